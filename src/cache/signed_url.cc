#include "cache/signed_url.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "base/text.h"

namespace nimbus::cache {
namespace {

constexpr size_t kHostBytesMax = 255;

bool is_host(std::string_view text) {
  if (text.empty() || text.size() > kHostBytesMax) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == ':' || c == '[' || c == ']' || c == '_';
  });
}

}  // namespace

UrlSigner::UrlSigner(const Secret& key)
    : key_(hmac_sha256(key.reveal(), "nimbus signed blob URLs, version 1")) {}

std::string UrlSigner::signature(std::string_view kind, std::string_view id, int64_t expiry) const {
  const std::string text =
      std::string(kind) + "\n" + std::string(id) + "\n" + std::to_string(expiry);
  return to_hex(key_.sign(text));
}

std::string UrlSigner::sign(std::string_view kind, std::string_view id, Time expires_at) const {
  const int64_t expiry = to_seconds(expires_at);
  return "/blobs/" + std::string(kind) + "/" + std::string(id) + "?se=" + std::to_string(expiry) +
         "&sig=" + signature(kind, id, expiry);
}

Result<void> UrlSigner::check(const net::Request& request, std::string_view kind,
                              std::string_view id, Time now) const {
  const std::string_view text = request.find_query("se").value_or("");
  int64_t expiry = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), expiry);
  const std::string_view given = request.find_query("sig").value_or("");
  const bool genuine = equal_in_constant_time(signature(kind, id, expiry), given);
  if (!genuine || error != std::errc() || end != text.data() + text.size()) {
    return fail(Code::forbidden, "the URL's signature is missing or wrong");
  }
  if (to_seconds(now) >= expiry) return fail(Code::forbidden, "the URL has expired");
  return {};
}

std::string origin_of(const net::Request& request) {
  const auto forwarded = request.headers.find("X-Forwarded-Host");
  if (forwarded && is_host(*forwarded)) {
    const auto proto = request.headers.find("X-Forwarded-Proto");
    const bool secure = proto && equal_ignoring_case(*proto, "https");
    return std::string(secure ? "https://" : "http://") + std::string(*forwarded);
  }
  const auto host = request.headers.find("Host");
  return std::string(request.secure ? "https://" : "http://") +
         std::string(host && is_host(*host) ? *host : "localhost");
}

}  // namespace nimbus::cache
