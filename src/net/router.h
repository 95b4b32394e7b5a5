// Which handler answers a path. Patterns are literal segments and `{name}` for one segment;
// a last `{name...}` takes the rest of the path, slashes included. Literal beats parameter.
// Unknown path: 404; known path, other method: 405 with Allow. HEAD is answered by GET's handler.
//
// Threads: filled before the server starts, then read-only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.h"

namespace nimbus::net {

constexpr size_t kBodyBytesMaxDefault = size_t{1} << 20;

struct RouteOptions {
  size_t body_bytes_max = kBodyBytesMaxDefault;  // 413 past it
  bool stream_body = false;                      // the handler reads Request::reader itself
};

struct RouteMatch {
  const Handler* handler = nullptr;  // nullptr: see status
  RouteOptions options;
  std::string_view pattern;  // as registered; metrics are labelled with it
  std::vector<std::pair<std::string, std::string>> parameters;
  int status = 404;   // 404 or 405 when there is no handler
  std::string allow;  // for 405
};

// Refuses a request, before the handler of the route with this pattern is called; nullopt: go on.
using RequestGuard = std::function<std::optional<Response>(std::string_view, const Request&)>;

class Router {
 public:
  Router();
  ~Router();
  Router(Router&&) noexcept;

  void get(std::string_view pattern, Handler handler, RouteOptions options = {});
  void post(std::string_view pattern, Handler handler, RouteOptions options = {});
  void put(std::string_view pattern, Handler handler, RouteOptions options = {});
  void del(std::string_view pattern, Handler handler, RouteOptions options = {});
  void add(std::string_view method, std::string_view pattern, Handler handler,
           RouteOptions options);
  // Answers what no pattern matches (a gateway's pass-through, the dashboard's index.html).
  void fallback(Handler handler, RouteOptions options = {});

  // Asked about every request that has a route; at most one.
  void guard(RequestGuard guard) { guard_ = std::move(guard); }
  std::optional<Response> refuse(const RouteMatch& match, const Request& request) const {
    return guard_ ? guard_(match.pattern, request) : std::nullopt;
  }

  // `path` as it was sent, percent-encoded: an encoded slash stays inside its segment, and
  // parameters come out decoded.
  RouteMatch match(std::string_view method, std::string_view path) const;
  // (method, pattern) of every route, for the OpenAPI check.
  std::vector<std::pair<std::string, std::string>> routes() const;

 private:
  struct Node;
  std::unique_ptr<Node> root_;
  struct Entry;
  std::unique_ptr<Entry> fallback_;
  RequestGuard guard_;
};

}  // namespace nimbus::net
