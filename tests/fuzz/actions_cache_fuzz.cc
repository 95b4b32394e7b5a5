// What the Actions clients' protocols and the plain keys bring to the cache: Twirp's JSON, block
// lists, keys, the REST protocol's ranges, numbers of a query, and URLs that nobody signed.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "cache/block_list.h"
#include "cache/entry.h"
#include "cache/query.h"
#include "cache/signed_url.h"
#include "cache/twirp.h"
#include "cache/upload_range.h"
#include "cache/upload_session.h"

using namespace nimbus;
using namespace nimbus::cache;

namespace {

void require(bool good) {
  if (!good) std::abort();
}

void check_twirp(std::string_view text) {
  net::Request request;
  request.headers.set("Content-Type", "application/json");
  request.body = text;
  const auto body = read_twirp(request);
  if (!body) return;
  // Fields of every kind of the protocol, and every field that the body has itself.
  for (const std::string_view field : {"key", "version", "size_bytes", "restore_keys", "hash"}) {
    if (const auto read = twirp_text(*body, field)) require(is_utf8(*read));
    if (const auto read = twirp_wrapped(*body, field); read && *read) require(is_utf8(**read));
    (void)twirp_texts(*body, field);
  }
  for (const auto& member : *body) (void)twirp_integer(*body, member.key());
}

void check_keys(std::string_view text) {
  if (check_actions_key(text)) require(!text.empty() && text.size() <= kActionsKeyBytesMax);
  if (check_plain_key(text)) {
    const std::string framed = "/" + std::string(text) + "/";
    require(framed.find("/../") == std::string::npos && framed.find("/./") == std::string::npos);
    require(text.find('\\') == std::string_view::npos && text.size() <= kPlainKeyBytesMax);
  }
  if (check_version(text)) require(is_utf8(text));
}

void check_url(std::string_view text) {
  static const UrlSigner kSigner{Secret("0123456789abcdef0123456789abcdef")};
  net::Request request;
  const size_t half = text.size() / 2;
  request.query = {{"se", std::string(text.substr(0, half))},
                   {"sig", std::string(text.substr(half))}};
  require(!kSigner.check(request, "entry", "1", from_us(0)));  // nobody guesses a signature
  request.headers.set("Host", text.substr(0, half));
  request.headers.set("X-Forwarded-Host", text.substr(half));
  (void)origin_of(request);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_twirp(input);
  check_keys(input);
  check_url(input);
  if (const auto blocks = parse_block_list(input)) {
    for (const std::string& id : *blocks) require(!id.empty() && id.size() <= kBlockIdBytesMax);
  }
  if (const auto range = parse_content_range(input)) {
    require(range->offset >= 0 && range->size > 0);
    require(range->offset <= INT64_MAX - range->size);  // their sum is the size so far
  }
  (void)parse_number(input, "a number");
  return 0;
}
