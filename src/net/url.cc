#include "net/url.h"

#include <charconv>

#include "net/http.h"

namespace nimbus::net {
namespace {

constexpr size_t kSocketPathBytesMax = 107;  // sockaddr_un

Result<void> take_authority(std::string_view authority, Url& url) {
  if (authority.empty() || authority.find('@') != std::string_view::npos) {
    return fail(Code::bad_request, "the URL has no host, or user information");
  }
  url.host_header = authority;
  std::string_view port;
  if (authority[0] == '[') {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos)
      return fail(Code::bad_request, "the URL's host is not closed");
    url.host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
    if (!port.empty() && port[0] != ':') return fail(Code::bad_request, "the URL's port is wrong");
    if (!port.empty()) port.remove_prefix(1);
  } else {
    const size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
  }
  if (url.host.empty()) return fail(Code::bad_request, "the URL has no host");
  if (port.empty()) return {};
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc{} || end != port.data() + port.size() || number == 0 || number > 65535) {
    return fail(Code::bad_request, "the URL's port is not between 1 and 65535");
  }
  url.port = static_cast<uint16_t>(number);
  return {};
}

}  // namespace

std::string Url::origin() const {
  if (!socket_path.empty()) return "unix:" + socket_path;
  const bool bare = host.find(':') == std::string::npos;
  return (tls ? "https://" : "http://") + (bare ? host : "[" + host + "]") + ":" +
         std::to_string(port);
}

Result<Url> parse_url(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f) {
      return fail(Code::bad_request, "the URL has a space or a control character");
    }
  }
  Url url;
  bool unix_socket = false;
  if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else if (text.starts_with("https://")) {
    text.remove_prefix(8);
    url.tls = true;
    url.port = 443;
  } else if (text.starts_with("http+unix://")) {
    text.remove_prefix(12);
    unix_socket = true;
  } else {
    return fail(Code::bad_request, "the URL does not start with http://, https:// or http+unix://");
  }
  const size_t end = text.find_first_of("/?#");
  const std::string_view authority = text.substr(0, end);
  if (unix_socket) {
    url.socket_path = percent_decode(authority);
    url.host_header = "localhost";
    if (url.socket_path.empty() || url.socket_path.size() > kSocketPathBytesMax ||
        url.socket_path.find('\0') != std::string::npos) {
      return fail(Code::bad_request, "the URL's socket path is empty or over 107 bytes");
    }
  } else {
    TRY(take_authority(authority, url));
  }
  if (end == std::string_view::npos) return url;
  std::string_view rest = text.substr(end);
  rest = rest.substr(0, rest.find('#'));
  url.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  return url;
}

}  // namespace nimbus::net
