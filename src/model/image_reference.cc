#include "model/image_reference.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/text.h"

namespace nimbus::model {
namespace {

constexpr std::string_view kDigestPrefix = "sha256:";
constexpr size_t kDigestBytes = 7 + 64;
constexpr size_t kShownBytesMax = 80;
constexpr std::string_view kRight =
    "write it like nimbus/base, registry.example/acme/tool:2 or acme/tool@sha256:…";

bool is_lower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_word(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z') || c == '_'; }

tl::unexpected<Error> wrong(std::string_view part, std::string_view text, std::string_view rule) {
  return fail(Code::bad_request,
              "the image's " + std::string(part) + " '" +
                  to_utf8_lossy(text.substr(0, kShownBytesMax)) + "' " + std::string(rule),
              std::string(kRight));
}

// Lower-case letters and digits in runs that `.`, `_`, `__` or any number of `-` separate.
bool is_component(std::string_view text) {
  if (text.empty() || !is_lower(text.front()) || !is_lower(text.back())) return false;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    while (i < text.size() && !is_lower(text[i])) ++i;
    const std::string_view separator = text.substr(begin, i - begin);
    const bool dashes = separator.find_first_not_of('-') == separator.npos;
    if (!dashes && separator != "." && separator != "_" && separator != "__") return false;
    while (i < text.size() && is_lower(text[i])) ++i;
  }
  return true;
}

// A host name or address with an optional port: what comes before the first slash and could not be
// a repository's own first component.
bool looks_like_host(std::string_view text) {
  return text == "localhost" || text.find_first_of(".:[") != text.npos;
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_host(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == text.npos || end == 1) return false;
    if (text.substr(1, end - 1).find_first_not_of("0123456789abcdefABCDEF:.") != text.npos) {
      return false;
    }
    return end + 1 == text.size() || (text[end + 1] == ':' && is_port(text.substr(end + 2)));
  }
  if (const size_t colon = text.find(':'); colon != text.npos) {
    if (!is_port(text.substr(colon + 1))) return false;
    text = text.substr(0, colon);
  }
  for (const std::string_view label : split(text, '.')) {
    const auto good = [](char c) { return (is_word(c) && c != '_') || c == '-'; };
    if (label.empty() || label.front() == '-' || label.back() == '-' ||
        !std::all_of(label.begin(), label.end(), good)) {
      return false;
    }
  }
  return true;
}

Result<void> check_name(std::string_view name) {
  if (name.empty()) return wrong("name", name, "is empty");
  if (name.size() > kImageNameBytesMax) {
    return wrong("name", name,
                 "is longer than " + std::to_string(kImageNameBytesMax) + " characters");
  }
  std::string_view path = name;
  const size_t slash = name.find('/');
  if (slash != name.npos && looks_like_host(name.substr(0, slash))) {
    if (!is_host(name.substr(0, slash)))
      return wrong("registry", name.substr(0, slash), "is no host");
    path = name.substr(slash + 1);
  }
  for (const std::string_view component : split(path, '/')) {
    if (is_component(component)) continue;
    return wrong("name", name,
                 "must be lower-case letters and digits, with single '.', '_', '__' or '-' only "
                 "between them, in parts separated by '/'");
  }
  return {};
}

Result<void> check_tag(std::string_view tag) {
  const auto good = [](char c) { return is_word(c) || c == '.' || c == '-'; };
  if (!tag.empty() && tag.size() <= kImageTagBytesMax && is_word(tag.front()) &&
      std::all_of(tag.begin(), tag.end(), good)) {
    return {};
  }
  return wrong("tag", tag,
               "must be 1 to 128 letters, digits, '_', '.' and '-', not starting with '.' or '-'");
}

Result<void> check_digest(std::string_view digest) {
  if (digest.size() == kDigestBytes && digest.starts_with(kDigestPrefix) &&
      digest.find_first_not_of("0123456789abcdef", kDigestPrefix.size()) == digest.npos) {
    return {};
  }
  return wrong("digest", digest, "must be sha256: and 64 lower-case hexadecimal digits");
}

}  // namespace

Result<ImageReference> parse_image_reference(std::string_view text) {
  ImageReference reference;
  std::string_view name = text;
  if (const size_t at = text.find('@'); at != text.npos) {
    reference.digest = std::string(text.substr(at + 1));
    name = text.substr(0, at);
    TRY(check_digest(reference.digest));
  } else if (text.starts_with(kDigestPrefix)) {
    reference.digest = std::string(text);
    TRY(check_digest(reference.digest));
    return reference;
  }
  // A colon before the last slash is a registry's port.
  const size_t colon = name.rfind(':');
  const size_t slash = name.rfind('/');
  if (colon != name.npos && (slash == name.npos || colon > slash)) {
    reference.tag = std::string(name.substr(colon + 1));
    TRY(check_tag(reference.tag));
    name = name.substr(0, colon);
  }
  TRY(check_name(name));
  reference.name = std::string(name);
  return reference;
}

}  // namespace nimbus::model
