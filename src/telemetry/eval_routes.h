// GET /api/v1/evals/runs and /api/v1/evals/runs/{job}: what eval suites found, per job and case.
// Another org's job has no evals here.
//
// Threads: the loop's. Lives as long as the server whose router holds its handlers.
#pragma once

#include "access/authenticator.h"
#include "net/router.h"
#include "telemetry/clickhouse_client.h"

namespace nimbus::telemetry {

class EvalRoutes {
 public:
  struct Parts {
    access::Authenticator& authenticator;
    ClickhouseClient& client;
  };
  explicit EvalRoutes(Parts parts) : parts_(parts) {}

  void add_to(net::Router& router);

 private:
  Task<net::Response> list(net::Request& request);
  Task<net::Response> show(net::Request& request);
  Parts parts_;
};

}  // namespace nimbus::telemetry
