// Twirp (twitchtv.github.io/twirp, version 7): POST of a message, answered by a message in the same
// encoding, JSON or protobuf, or by {"code","msg"} in JSON and the status that belongs to the code.
// GitHub's own clients speak JSON, sccache (opendal) speaks protobuf.
//
// Errors: bad_request with the field that is wrong. Fields that are not known are skipped, as both
// encodings ask for. Threads: pure functions, values.
#pragma once

#include <boost/json/fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_text.h"
#include "base/protobuf.h"
#include "base/result.h"
#include "net/http.h"

namespace nimbus::cache {

constexpr size_t kTwirpBodyBytesMax = 64 * 1024;

enum class TwirpKind { text, texts, integer, boolean };

// A field of a message: its number in protobuf, its name in JSON.
struct TwirpField {
  uint32_t number;
  std::string_view name;
  TwirpKind kind;
};

// The request's message as JSON, whichever encoding it came in. Without `fields` only JSON is
// taken.
Result<boost::json::object> read_twirp(const net::Request& request,
                                       std::span<const TwirpField> fields = {});
// A message in protobuf as the object that its JSON form would be.
Result<boost::json::object> parse_twirp_protobuf(std::string_view bytes,
                                                 std::span<const TwirpField> fields);

// A message that answers `request`, in its encoding.
class TwirpAnswer {
 public:
  explicit TwirpAnswer(const net::Request& request);

  TwirpAnswer& boolean(const TwirpField& field, bool value);
  TwirpAnswer& text(const TwirpField& field, std::string_view value);
  TwirpAnswer& integer(const TwirpField& field, int64_t value);  // in JSON a text, as proto3 wants

  net::Response finish();  // this is spent afterwards

 private:
  bool protobuf_;
  ProtobufWriter message_;
  api::JsonText json_;
};

net::Response twirp_problem(const Error& error);

// Fields by their protobuf name ("size_bytes"), or its camelCase form, which proto3's JSON allows
// too. Absent and empty are the same (proto3's default values).
Result<std::string> twirp_text(const boost::json::object& object, std::string_view field);
Result<std::vector<std::string>> twirp_texts(const boost::json::object& object,
                                             std::string_view field);
// 64-bit integers come as text; a number is taken too. nullopt: absent.
Result<std::optional<int64_t>> twirp_integer(const boost::json::object& object,
                                             std::string_view field);
// google.protobuf wrappers come as the plain value, or as {"value": …} from some clients.
Result<std::optional<std::string>> twirp_wrapped(const boost::json::object& object,
                                                 std::string_view field);

}  // namespace nimbus::cache
