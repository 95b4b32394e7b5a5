// Operators' and ingest tokens over HTTP: POST, GET /api/v1/tokens, DELETE /api/v1/tokens/{id}, and
// the audit log, GET /api/v1/audit. For admins; the admin of one org makes, sees and revokes that
// org's alone. A token's text stands in the answer that creates it and nowhere else.
//
// Threads: the loop's. Lives as long as the server whose router holds its handlers.
#pragma once

#include "access/authenticator.h"
#include "access/token_book.h"
#include "base/clock.h"
#include "db/database.h"
#include "net/router.h"

namespace nimbus::control {

constexpr size_t kTokenNameBytesMax = 100;
constexpr int64_t kTokenLifeSecondsMax = int64_t{10} * 366 * 24 * 3600;

class TokenRoutes {
 public:
  struct Parts {
    access::Authenticator& authenticator;
    access::TokenBook& tokens;
    db::Database& database;
    const Clock& clock;
  };
  explicit TokenRoutes(Parts parts) : parts_(parts) {}

  void add_to(net::Router& router);

 private:
  Task<net::Response> create(net::Request& request);
  Task<net::Response> list(net::Request& request);
  Task<net::Response> revoke(net::Request& request);
  Task<net::Response> audit(net::Request& request);

  Parts parts_;
};

}  // namespace nimbus::control
