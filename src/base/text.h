// Small text questions that several folders ask. Pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nimbus {

std::string_view trim(std::string_view text);
std::string to_lower(std::string_view text);                       // ASCII only
bool equal_ignoring_case(std::string_view a, std::string_view b);  // ASCII only
std::vector<std::string_view> split(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);

// The candidate nearest to `word` by edit distance, or "" when none is near enough to suggest.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace nimbus
