// Server-sent events: any bytes are taken, cut anyhow, with the same events; and what sse_event
// writes is read back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/client.h"

using namespace nimbus::net;

namespace {

std::string read_events(std::string_view input, size_t step) {
  SseParser parser;
  std::string out;
  for (size_t at = 0; at < input.size(); at += step) {
    for (const auto& event : parser.feed(input.substr(at, step))) {
      out += event.event + '\0' + event.id + '\0' + event.data + '\0';
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string whole = read_events(input, size + 1);
  if (read_events(input, 1) != whole || read_events(input, 3) != whole) std::abort();
  SseParser parser;
  const auto events = parser.feed(sse_event("e", input, "1"));
  if (events.size() != 1 || events[0].event != "e" || events[0].id != "1") std::abort();
  if (input.find('\r') == input.npos && events[0].data != input) std::abort();
  return 0;
}
