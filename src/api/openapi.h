// The description of the whole HTTP API, OpenAPI 3.1: openapi.json, as /openapi.json answers it.
// Tests keep it true with the two checks below; the dashboard's types are generated from it.
//
// Threads: pure functions.
#pragma once

#include <boost/json/fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nimbus::api {

std::string_view openapi_json();

// Routes as (method, pattern), as net::Router::routes gives them. Each line of the answer names one
// route that is served and not described. Names of parameters do not matter.
std::vector<std::string> undocumented_routes(
    std::span<const std::pair<std::string, std::string>> routes);
// The other way round: described, and not served. `tags`: only operations with one of these; empty
// for all.
std::vector<std::string> unserved_routes(
    std::span<const std::pair<std::string, std::string>> routes,
    std::span<const std::string_view> tags);

// What keeps `value` from being a components.schemas entry, one line each ("/items/0/id: missing");
// empty when it is one. Knows the keywords that openapi.json uses.
std::vector<std::string> schema_faults(std::string_view schema, const boost::json::value& value);

}  // namespace nimbus::api
