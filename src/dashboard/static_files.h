// The dashboard's files over HTTP: each by its path, and the page itself for every other path that
// a browser opens (/jobs/12 is the page's business). Hashed assets may be cached for ever,
// everything else is asked for again by its ETag. Every answer carries the headers that keep the
// page to itself: no foreign scripts, styles, connections or frames.
//
// Threads: the loop's; immutable once made.
// Not here: the session cookie (session_routes.h), the bytes (embedded_files.h).
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "dashboard/embedded_files.h"
#include "net/http.h"
#include "net/router.h"

namespace nimbus::dashboard {

// Takes the router's fallback: every path that no other route answers.
void add_dashboard_routes(net::Router& router);

class StaticFiles {
 public:
  // `files` outlive this. Without an /index.html among them the page says how to build the
  // dashboard.
  explicit StaticFiles(std::span<const EmbeddedFile> files);

  // A file of that path, the page when the client takes HTML and the path is not an API's, or a 404
  // problem. GET and HEAD alone.
  net::Response answer(const net::Request& request) const;

 private:
  struct Entry {
    const EmbeddedFile* file;
    std::string hash;  // what its ETags begin with
  };
  net::Response serve(const Entry& entry, const net::Request& request) const;

  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace nimbus::dashboard
