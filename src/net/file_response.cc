#include "net/file_response.h"

#include <charconv>

#include "base/text.h"

namespace nimbus::net {
namespace {

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Weak comparison, as If-None-Match wants it.
bool names_etag(std::string_view list, std::string_view etag) {
  if (trim(list) == "*") return true;
  for (std::string_view one : split(list, ',')) {
    one = trim(one);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == etag) return true;
  }
  return false;
}

// "bytes=a-b", "bytes=a-", "bytes=-n". nullopt: not one range that we read, so it is ignored.
std::optional<RangeChoice> parse_range(std::string_view text, uint64_t size) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos ||
      !equal_ignoring_case(trim(text.substr(0, equals)), "bytes"))
    return std::nullopt;
  const std::string_view range = trim(text.substr(equals + 1));
  const size_t dash = range.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view first_text = trim(range.substr(0, dash));
  const std::string_view last_text = trim(range.substr(dash + 1));
  const auto first = parse_number(first_text);
  const auto last = parse_number(last_text);
  if (first_text.empty()) {
    if (!last) return std::nullopt;
    if (*last == 0 || size == 0) return RangeChoice{416, 0, 0};
    const uint64_t length = std::min(*last, size);
    return RangeChoice{206, size - length, length};
  }
  if (!first || (!last && !last_text.empty()) || (last && *last < *first)) return std::nullopt;
  if (*first >= size) return RangeChoice{416, 0, 0};
  const uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return RangeChoice{206, *first, end - *first + 1};
}

}  // namespace

RangeChoice choose_range(const Request& request, uint64_t size, std::string_view etag) {
  const RangeChoice whole{200, 0, size};
  if (const auto known = request.headers.find("If-None-Match");
      known && !etag.empty() && names_etag(*known, etag)) {
    return {304, 0, 0};
  }
  const auto range = request.headers.find("Range");
  if (!range || (request.method != "GET" && request.method != "HEAD")) return whole;
  if (const auto condition = request.headers.find("If-Range");
      condition && (etag.empty() || trim(*condition) != etag)) {
    return whole;
  }
  return parse_range(*range, size).value_or(whole);
}

Response range_head(const RangeChoice& choice, uint64_t size, const FileAnswer& answer) {
  const std::string total = std::to_string(size);
  Response response;
  if (choice.status == 416) {
    response = problem(416, "the range lies outside of the " + total + " bytes");
    response.headers.set("Content-Range", "bytes */" + total);
    return response;
  }
  response.status = choice.status;
  response.headers = answer.headers;
  if (!answer.etag.empty()) response.headers.set("ETag", answer.etag);
  if (choice.status == 304) return response;
  response.headers.set("Content-Type", answer.content_type);
  response.headers.set("Accept-Ranges", "bytes");
  if (choice.status == 206) {
    response.headers.set("Content-Range", "bytes " + std::to_string(choice.offset) + "-" +
                                              std::to_string(choice.offset + choice.size - 1) +
                                              "/" + total);
  }
  return response;
}

Response file_response(const Request& request, const FileBody& file, const FileAnswer& answer) {
  const RangeChoice choice = choose_range(request, file.size, answer.etag);
  Response response = range_head(choice, file.size, answer);
  if (choice.status != 200 && choice.status != 206) return response;
  response.file = file;
  response.file->offset += choice.offset;
  response.file->size = choice.size;
  return response;
}

}  // namespace nimbus::net
