// HTTP messages from outside, as both ends read them: the scan of the head, Beast behind it,
// bodies. The same bytes must be the same message, or none, however they are cut into pieces.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "net/head_scan.h"
#include "net/message_parser.h"

using namespace nimbus::net;

namespace {

constexpr uint64_t kBodyBytesMax = 4096;

struct Seen {
  HeadScan::State state = HeadScan::State::more;
  std::string head;
  std::string body;
  bool failed = false;
  bool done = false;
  bool operator==(const Seen&) const = default;
};

std::string describe(const Headers& headers) {
  std::string out;
  for (const auto& [name, value] : headers) {
    out += name;
    out += '=';
    out += value;
    out += '\n';
  }
  return out;
}

template <bool kIsRequest>
Seen read_message(std::string_view input, size_t step) {
  Seen seen;
  HeadScan scan;
  for (size_t have = 0; have < input.size() && seen.state == HeadScan::State::more;) {
    have = std::min(input.size(), have + step);
    seen.state = scan.feed(input.substr(0, have));
  }
  if (seen.state != HeadScan::State::complete || !scan.first_line_done()) return seen;
  Headers headers;
  MessageParser<kIsRequest> parser(headers);
  boost::beast::error_code ec;
  parser.feed_head(input.substr(0, scan.end()), ec);
  seen.head = describe(headers);
  seen.failed = static_cast<bool>(ec);
  if (ec) return seen;
  parser.sink(&seen.body, kBodyBytesMax);
  std::string buffer;
  for (size_t at = scan.end(); at < input.size() && !parser.is_done() && !ec; at += step) {
    buffer += input.substr(at, step);
    buffer.erase(0, parser.feed(buffer, ec));
  }
  seen.done = parser.is_done();
  // A refused or unfinished body may have been taken to different points, and its fault be found
  // later.
  if (!seen.done) seen.body.clear();
  return seen;
}

template <bool kIsRequest>
void check(std::string_view input) {
  const Seen whole = read_message<kIsRequest>(input, input.size() + 1);
  if (read_message<kIsRequest>(input, 1) != whole || read_message<kIsRequest>(input, 7) != whole) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check<true>(input);
  check<false>(input);
  return 0;
}
