// Search over the lines of many jobs: those they wrote (job_logs) and those they sent by OTLP
// (otel_logs), newest first. The one place that makes such a query, and it begins with the caller's
// org filter; what the caller typed travels as parameters. Without `since` the newest hour is
// searched first, then a day, then all, until the page is full: recent lines come at once however
// much there is.
//
// Threads: the loop's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "access/scope.h"
#include "base/time.h"
#include "telemetry/clickhouse_client.h"

namespace nimbus::telemetry {

constexpr size_t kSearchTextBytesMax = 500;
constexpr size_t kSearchLimitMax = 1'000;
constexpr size_t kSearchLimitDefault = 100;

struct LogSearch {
  access::OrgScope orgs;  // what the caller may see, already cut down to the org asked for
  std::string repo;       // empty: all
  int64_t job = 0;        // 0: all
  std::string level;      // empty: all
  std::string text;       // a piece of the line, without regard to case
  std::optional<Time> since;
  std::optional<Time> until;
  Time now;  // where the newest hour begins
  std::string cursor;
  size_t limit = kSearchLimitDefault;
};

// From a request's query parameters. bad_request names the parameter.
Result<LogSearch> parse_log_search(const net::Request& request, const access::OrgScope& orgs,
                                   Time now);

// {"items":[{"ts","org","repo","job","fence","seq","stream","level","text"}],"next_cursor":…}; OTLP
// records have stream "otlp" and seq 0. bad_request: the cursor is not one of ours.
Task<Result<std::string>> search_logs(ClickhouseClient& client, LogSearch search);

}  // namespace nimbus::telemetry
