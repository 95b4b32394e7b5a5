#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>

#include "base/check.h"

namespace nimbus {
namespace {

constexpr size_t kBlockBytes = 64;

using Digest = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Digest make_digest() {
  Digest digest(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  CHECK(digest != nullptr);
  return digest;
}

void start(EVP_MD_CTX* context) { CHECK(EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1); }

void add(EVP_MD_CTX* context, std::string_view bytes) {
  CHECK(EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1);
}

std::string take(EVP_MD_CTX* context) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(out.data()), &size) == 1);
  return out;
}

}  // namespace

std::string sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  return HmacKey(key).sign(bytes);
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

struct Sha256::Context {
  Digest digest = make_digest();
};

Sha256::Sha256() : context_(std::make_unique<Context>()) { start(context_->digest.get()); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) { add(context_->digest.get(), bytes); }
std::string Sha256::finish() { return take(context_->digest.get()); }

// RFC 2104: H(key ^ opad, H(key ^ ipad, text)); both padded prefixes are absorbed once per key.
struct HmacKey::State {
  Digest inner = make_digest();
  Digest outer = make_digest();
};

HmacKey::HmacKey(std::string_view key) : state_(std::make_unique<State>()) {
  const std::string shortened = key.size() > kBlockBytes ? sha256(key) : std::string(key);
  std::string inner(kBlockBytes, '\x36');
  std::string outer(kBlockBytes, '\x5c');
  for (size_t i = 0; i < shortened.size(); ++i) {
    inner[i] = static_cast<char>(inner[i] ^ shortened[i]);
    outer[i] = static_cast<char>(outer[i] ^ shortened[i]);
  }
  start(state_->inner.get());
  add(state_->inner.get(), inner);
  start(state_->outer.get());
  add(state_->outer.get(), outer);
  OPENSSL_cleanse(inner.data(), inner.size());
  OPENSSL_cleanse(outer.data(), outer.size());
}
HmacKey::~HmacKey() = default;
HmacKey::HmacKey(HmacKey&&) noexcept = default;
HmacKey& HmacKey::operator=(HmacKey&&) noexcept = default;

std::string HmacKey::sign(std::string_view bytes) const { return sign(bytes, {}); }

std::string HmacKey::sign(std::string_view first, std::string_view second) const {
  const Digest digest = make_digest();
  CHECK(EVP_MD_CTX_copy_ex(digest.get(), state_->inner.get()) == 1);
  add(digest.get(), first);
  add(digest.get(), second);
  const std::string inner = take(digest.get());
  CHECK(EVP_MD_CTX_copy_ex(digest.get(), state_->outer.get()) == 1);
  add(digest.get(), inner);
  return take(digest.get());
}

}  // namespace nimbus
