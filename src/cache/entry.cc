#include "cache/entry.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/text.h"

namespace nimbus::cache {
namespace {

constexpr size_t kActionsKeyCharactersMax = 512;

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

Result<void> check_text(std::string_view text, std::string_view what, size_t bytes_max) {
  const std::string name(what);
  if (text.empty()) return fail(Code::bad_request, name + " is empty");
  if (text.size() > bytes_max) {
    return fail(Code::bad_request,
                name + " is longer than " + std::to_string(bytes_max) + " bytes");
  }
  const bool controls = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (controls || !is_utf8(text)) {
    return fail(Code::bad_request, name + " has a control character or is not UTF-8");
  }
  return {};
}

}  // namespace

std::string_view to_string(Kind kind) { return kind == Kind::actions ? "actions" : "plain"; }

std::optional<Kind> find_kind(std::string_view name) {
  if (name == "actions") return Kind::actions;
  if (name == "plain") return Kind::plain;
  return std::nullopt;
}

Result<void> check_actions_key(std::string_view key) {
  TRY(check_text(key, "the key", kActionsKeyBytesMax));
  if (characters(key) > kActionsKeyCharactersMax) {
    return fail(Code::bad_request, "the key is longer than 512 characters");
  }
  if (key.find(',') != std::string_view::npos) {
    return fail(Code::bad_request, "the key has a comma");
  }
  return {};
}

Result<void> check_plain_key(std::string_view key) {
  TRY(check_text(key, "the key", kPlainKeyBytesMax));
  if (key.find('\\') != std::string_view::npos) {
    return fail(Code::bad_request, "the key has a backslash");
  }
  for (const std::string_view segment : split(key, '/')) {
    if (segment.empty() || segment == "." || segment == "..") {
      return fail(Code::bad_request, "the key has an empty, `.` or `..` segment");
    }
  }
  return {};
}

Result<void> check_version(std::string_view version) {
  return check_text(version, "the version", kVersionBytesMax);
}

}  // namespace nimbus::cache
