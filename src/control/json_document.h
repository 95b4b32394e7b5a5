// A webhook's body as simdjson's tree: one well-formed JSON object in UTF-8, nested at most
// kJsonDepthMax deep. Private to this folder. Threads: the parser's buffers are the thread's own; a
// Document's elements are good until the thread parses the next one.
#pragma once

#include <simdjson.h>

#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace nimbus::control {

// Parses with the thread's own buffers; those that a rare large body needed are not kept.
class Document {
 public:
  Result<simdjson::dom::object> parse(std::string_view body) {
    if (body.empty()) return malformed("it is empty");  // simdjson would copy from a null pointer
    // simdjson skips a byte order mark in some versions; JSON text has none (RFC 8259 §8.1).
    if (body.starts_with("\xef\xbb\xbf")) return malformed("it begins with a byte order mark");
    simdjson::dom::parser& parser = kept();
    if (parser.max_depth() != kJsonDepthMax) {
      if (parser.allocate(kParserBytesKept / 16, kJsonDepthMax) != simdjson::SUCCESS) {
        return fail(Code::unavailable, "out of memory");
      }
    }
    simdjson::dom::element root;
    if (const auto error = parser.parse(body.data(), body.size()).get(root)) {
      return malformed(simdjson::error_message(error));
    }
    simdjson::dom::object object;
    if (root.get_object().get(object) != simdjson::SUCCESS) return malformed("it is not an object");
    return object;
  }

  ~Document() {
    if (kept().capacity() > kParserBytesKept) kept() = simdjson::dom::parser();
  }

 private:
  static constexpr size_t kParserBytesKept = size_t{256} << 10;
  static simdjson::dom::parser& kept() {
    static thread_local simdjson::dom::parser parser;
    return parser;
  }
  static tl::unexpected<Error> malformed(std::string_view what) {
    return fail(Code::bad_request, "the body is not valid JSON: " + std::string(what));
  }
};

}  // namespace nimbus::control
