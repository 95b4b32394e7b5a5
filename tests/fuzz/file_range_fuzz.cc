// Requests for a part of a file. The first two bytes say how large the file is, the lines after
// them are Range, If-None-Match and If-Range. Whatever is asked for, what is given lies inside.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/file_response.h"

using namespace nimbus::net;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint64_t file_bytes = data[0] == 0xff ? UINT64_MAX - data[1] : data[0] * 256U + data[1];
  std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  Request request;
  request.method = "GET";
  for (const std::string_view name : {"Range", "If-None-Match", "If-Range"}) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) request.headers.set(name, rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const RangeChoice choice = choose_range(request, file_bytes, "\"etag\"");
  const bool inside = choice.offset <= file_bytes && choice.size <= file_bytes - choice.offset;
  if (!inside || (choice.status == 206 && choice.size == 0)) std::abort();
  if (choice.status == 200 && choice.size != file_bytes) std::abort();
  const Response head = range_head(choice, file_bytes, {.etag = "\"etag\""});
  if (head.headers.find("Content-Range").has_value() !=
      (choice.status == 206 || choice.status == 416)) {
    std::abort();
  }
  return 0;
}
