// Orgs over HTTP: GET /api/v1/orgs, GET and PUT /api/v1/orgs/{org}. An org's admin sees its limits;
// setting them takes an admin of the whole installation, since they protect the others.
//
// PUT changes the fields it names; null puts one back to the installation's default.
//
// Threads: the loop's. Lives as long as the server whose router holds its handlers.
#pragma once

#include "access/authenticator.h"
#include "control/org_store.h"
#include "net/router.h"

namespace nimbus::control {

class OrgRoutes {
 public:
  OrgRoutes(access::Authenticator& authenticator, OrgStore& orgs)
      : authenticator_(authenticator), orgs_(orgs) {}

  void add_to(net::Router& router);

 private:
  Task<net::Response> list(net::Request& request);
  Task<net::Response> show(net::Request& request);
  Task<net::Response> change(net::Request& request);

  access::Authenticator& authenticator_;
  OrgStore& orgs_;
};

}  // namespace nimbus::control
