// Bytes as text: lower-case hexadecimal and base64 (RFC 4648: standard with padding, and URL-safe
// without). Decoders are strict and refuse anything else with bad_request.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus {

std::string to_hex(std::string_view bytes);
Result<std::string> parse_hex(std::string_view text);

std::string to_base64(std::string_view bytes);
Result<std::string> parse_base64(std::string_view text);

std::string to_base64url(std::string_view bytes);
Result<std::string> parse_base64url(std::string_view text);

// True when `text` is well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view text);
// The same text with each ill-formed byte replaced by U+FFFD.
std::string to_utf8_lossy(std::string_view bytes);

}  // namespace nimbus
