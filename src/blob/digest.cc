#include "blob/digest.h"

#include <openssl/evp.h>

#include <array>

#include "base/check.h"
#include "base/encoding.h"

namespace nimbus::blob {
namespace {

const EVP_MD* method(Algorithm algorithm) {
  return algorithm == Algorithm::sha256 ? EVP_sha256() : EVP_sha512();
}

size_t hex_digits(Algorithm algorithm) { return algorithm == Algorithm::sha256 ? 64 : 128; }

bool is_lower_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::string_view to_string(Algorithm algorithm) {
  return algorithm == Algorithm::sha256 ? "sha256" : "sha512";
}

Result<Digest> parse_digest(std::string_view text) {
  const size_t colon = text.find(':');
  Digest digest;
  const std::string_view name = text.substr(0, colon);
  if (name == "sha512") {
    digest.algorithm = Algorithm::sha512;
  } else if (colon == std::string_view::npos || name != "sha256") {
    return fail(Code::bad_request, "the digest is neither sha256:… nor sha512:…");
  }
  digest.hex = text.substr(colon + 1);
  if (digest.hex.size() != hex_digits(digest.algorithm) || !is_lower_hex(digest.hex)) {
    return fail(Code::bad_request, "the digest does not have " +
                                       std::to_string(hex_digits(digest.algorithm)) +
                                       " lower-case hexadecimal digits");
  }
  return digest;
}

std::string to_string(const Digest& digest) {
  std::string text(to_string(digest.algorithm));
  text += ':';
  text += digest.hex;
  return text;
}

struct Hasher::Context {
  Context() : md(EVP_MD_CTX_new()) { CHECK(md != nullptr); }
  ~Context() { EVP_MD_CTX_free(md); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  EVP_MD_CTX* md;
};

Hasher::Hasher(Algorithm algorithm) : algorithm_(algorithm), context_(std::make_unique<Context>()) {
  CHECK(EVP_DigestInit_ex(context_->md, method(algorithm), nullptr) == 1);
}

Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(context_->md, bytes.data(), bytes.size()) == 1);
}

Digest Hasher::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context_->md, bytes.data(), &size) == 1);
  return {algorithm_, to_hex({reinterpret_cast<const char*>(bytes.data()), size})};
}

Digest digest_of(std::string_view bytes, Algorithm algorithm) {
  Hasher hasher(algorithm);
  hasher.update(bytes);
  return hasher.finish();
}

}  // namespace nimbus::blob
