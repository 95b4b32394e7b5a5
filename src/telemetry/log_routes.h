// A job's log over HTTP: POST /api/v1/jobs/{id}/logs (job token), GET the same (NDJSON, or events
// with `follow=1`), GET …/logs/verify (how many lines, which lack), GET /api/v1/logs (search).
//
// Threads: the loop's. Lives as long as the server whose router holds its handlers.
#pragma once

#include "access/authenticator.h"
#include "net/router.h"
#include "telemetry/log_follow.h"
#include "telemetry/log_ingest.h"

namespace nimbus::telemetry {

class LogRoutes {
 public:
  struct Parts {
    access::Authenticator& authenticator;
    LogIngest& ingest;
    LogBook& book;
    LogHistory& history;
    JobLookup& jobs;
    ClickhouseClient& client;
    Writer& writer;
    Metrics& metrics;
    const Clock& clock;
    FollowTimes times;
  };
  explicit LogRoutes(Parts parts);

  void add_to(net::Router& router);

 private:
  struct Asked {
    access::Caller caller;
    JobView job;
  };
  Task<net::Response> take(net::Request& request);
  Task<net::Response> show(net::Request& request);
  Task<net::Response> verify(net::Request& request);
  Task<net::Response> search(net::Request& request);
  Task<Result<Asked>> ask(net::Request& request);
  net::Response follow(net::Request& request, Asked asked, std::optional<model::Fence> fence,
                       int64_t after);
  Task<net::Response> download(JobView job, model::Fence fence, int64_t after, size_t limit);

  Parts parts_;
  Gauge& followers_;
};

}  // namespace nimbus::telemetry
