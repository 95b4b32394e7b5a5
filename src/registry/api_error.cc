#include "registry/api_error.h"

#include <boost/json.hpp>

namespace nimbus::registry {

net::Response api_error(int status, std::string_view code, std::string_view message,
                        std::string_view hint) {
  boost::json::object error{{"code", code}, {"message", message}};
  if (!hint.empty()) error["detail"] = boost::json::object{{"hint", hint}};
  boost::json::object body;
  body["errors"] = boost::json::array{std::move(error)};
  net::Response response = net::Response::json(status, boost::json::serialize(body));
  if (status == 429 || status == 503) response.headers.add("Retry-After", "1");
  return response;
}

net::Response api_error(const Error& error, std::string_view code) {
  const int status = http_status(error.code);
  switch (error.code) {
    case Code::unauthenticated: code = "UNAUTHORIZED"; break;
    case Code::forbidden: code = "DENIED"; break;
    case Code::too_many_requests: code = "TOOMANYREQUESTS"; break;
    case Code::too_large: code = "SIZE_INVALID"; break;
    case Code::unavailable:
    case Code::corrupt:
    case Code::internal: code = "UNKNOWN"; break;
    default: break;
  }
  return api_error(status, code, error.message, error.hint);
}

}  // namespace nimbus::registry
