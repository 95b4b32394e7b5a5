// Job tokens from outside: arbitrary text, and arbitrary headers and payloads under a signature
// that is right, since only those reach the parsers behind it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "access/job_token.h"
#include "base/encoding.h"
#include "base/hash.h"

using namespace nimbus;
using namespace nimbus::access;

namespace {

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";
constexpr std::string_view kHeader = R"({"alg":"HS256","typ":"JWT"})";
const Time kNow = from_us(1'700'000'000'000'000);

std::string signed_token(std::string_view header, std::string_view payload) {
  const std::string text = to_base64url(header) + "." + to_base64url(payload);
  return text + "." + to_base64url(hmac_sha256(kKey, text));
}

// What is accepted stays the same when it is signed again.
void check(const JobTokens& tokens, std::string_view text) {
  const auto claims = tokens.verify(text, kNow);
  if (!claims) return;
  const auto again = tokens.verify(tokens.sign(*claims), kNow);
  const bool grew = tokens.sign(*claims).size() > kJobTokenBytesMax;
  if (!grew && (!again || again->org != claims->org || again->fence != claims->fence ||
                again->cache_scopes != claims->cache_scopes)) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const JobTokens kTokens({Secret(std::string(kKey))});
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check(kTokens, input);
  check(kTokens, signed_token(kHeader, input));
  const size_t half = size / 2;
  check(kTokens, signed_token(input.substr(0, half), input.substr(half)));
  return 0;
}
