// Signing in to the dashboard: POST, GET and DELETE /api/v1/session. POST trades an operator's
// token for a cookie that scripts cannot read; the answer's `csrf` goes with every write. Wrong
// tokens count against the address that sent them, and a page of another site cannot sign anybody
// in.
//
// Threads: the loop's. Lives as long as the server whose router holds its handlers.
#pragma once

#include "access/authenticator.h"
#include "access/session_book.h"
#include "access/token_book.h"
#include "net/router.h"

namespace nimbus::dashboard {

class SessionRoutes {
 public:
  struct Parts {
    access::Authenticator& authenticator;
    access::TokenBook& tokens;
    access::SessionBook& sessions;
  };
  explicit SessionRoutes(Parts parts) : parts_(parts) {}

  void add_to(net::Router& router);

 private:
  Task<net::Response> sign_in(net::Request& request);
  Task<net::Response> show(net::Request& request);
  Task<net::Response> sign_out(net::Request& request);

  Parts parts_;
};

}  // namespace nimbus::dashboard
