// Twirp (twitchtv.github.io/twirp, version 7) in its JSON form: POST of an object, answered by an
// object, or by {"code","msg"} and the status that belongs to the code.
//
// Threads: pure functions.
#pragma once

#include <boost/json/fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http.h"

namespace nimbus::cache {

constexpr size_t kTwirpBodyBytesMax = 64 * 1024;

Result<boost::json::object> read_twirp(const net::Request& request);
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
