// Answers made of a file's bytes (RFC 9110 sections 13 and 14): one range, If-None-Match, If-Range,
// HEAD. The bytes go from the file to the socket without passing through this process where the
// connection allows it.
//
// Threads: the loop's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "net/http.h"

namespace nimbus::net {

struct FileAnswer {
  std::string content_type = "application/octet-stream";
  std::string etag;   // with its quotes; empty: none
  Headers headers{};  // more of them
};

// Which part of a resource of `size` bytes a request asks for.
struct RangeChoice {
  int status = 200;  // 200, 206, 304 or 416
  uint64_t offset = 0;
  uint64_t size = 0;
};
// Several ranges are answered with the whole (allowed, and nobody of our clients asks).
RangeChoice choose_range(const Request& request, uint64_t size, std::string_view etag);

// The head of such an answer, without its body; for bodies that do not come from a file.
Response range_head(const RangeChoice& choice, uint64_t size, const FileAnswer& answer);

// `file` is the whole resource.
Response file_response(const Request& request, const FileBody& file, const FileAnswer& answer);

}  // namespace nimbus::net
