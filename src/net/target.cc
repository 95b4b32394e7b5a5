#include "net/target.h"

#include "net/http.h"

namespace nimbus::net {
namespace {

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Printable ASCII and bytes above it, with every % starting an escape.
bool well_formed(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte <= 0x20 || byte == 0x7f) return false;
    if (byte == '%' && (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2]))) {
      return false;
    }
  }
  return true;
}

// No empty segment but the last, none of dots alone, no control character.
bool sane_path(std::string_view path) {
  size_t start = 1;
  for (size_t i = 1; i <= path.size(); ++i) {
    if (i < path.size()) {
      const auto byte = static_cast<unsigned char>(path[i]);
      if (byte < 0x20 || byte == 0x7f) return false;
      if (byte != '/') continue;
    }
    const std::string_view segment = path.substr(start, i - start);
    if (segment == "." || segment == "..") return false;
    if (segment.empty() && i < path.size()) return false;
    start = i + 1;
  }
  return true;
}

void parse_query(std::string_view text, Target& target) {
  while (!text.empty()) {
    const size_t end = text.find('&');
    const std::string_view field = text.substr(0, end);
    if (!field.empty()) {
      const size_t equals = field.find('=');
      const std::string_view value =
          equals == std::string_view::npos ? "" : field.substr(equals + 1);
      target.query.emplace_back(percent_decode(field.substr(0, equals), true),
                                percent_decode(value, true));
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

Result<void> parse_target(std::string_view text, Target& target) {
  target.query.clear();
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!text.starts_with(scheme)) continue;
    const size_t slash = text.find_first_of("/?", scheme.size());
    text = slash == std::string_view::npos ? "/" : text.substr(slash);
    break;
  }
  if (text.empty() || text[0] != '/') {
    return fail(Code::bad_request, "the request target is not a path");
  }
  if (!well_formed(text)) {
    return fail(Code::bad_request, "the request target has a control character or a bad % escape");
  }
  if (text.find('#') != std::string_view::npos) {
    return fail(Code::bad_request, "the request target has a fragment");
  }
  const size_t question = text.find('?');
  target.raw_path = text.substr(0, question);
  if (target.raw_path.find('%') == std::string_view::npos) {
    target.path = target.raw_path;
  } else {
    target.path = percent_decode(target.raw_path);
  }
  if (!sane_path(target.path)) {
    return fail(Code::bad_request, "the path has an empty or dot segment, or a control character");
  }
  if (question != std::string_view::npos) parse_query(text.substr(question + 1), target);
  if (target.query.size() > kQueryFieldsMax) {
    return fail(Code::bad_request, "the query has too many fields");
  }
  return {};
}

}  // namespace nimbus::net
