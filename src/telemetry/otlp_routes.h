// POST /v1/traces, /v1/logs, /v1/metrics: OTLP/HTTP in protobuf and JSON, gzip or plain. Answers,
// also refusals, are in the request's encoding: 200 with a partial success when items were left
// out, 400 for what will never be right, 503 with Retry-After for what should be sent again.
//
// Promises: 200 only when the rows are durable; the same body sent again (a lost answer) is stored
// once; what a request may cost in memory is bounded, however it is compressed.
//
// Threads: the loop's; decoding of large bodies runs on blocking threads.
#pragma once

#include <deque>
#include <set>

#include "access/authenticator.h"
#include "base/clock.h"
#include "net/router.h"
#include "telemetry/log_book.h"
#include "telemetry/otlp_rows.h"
#include "telemetry/writer.h"

namespace nimbus::telemetry {

class OtlpRoutes {
 public:
  struct Parts {
    net::Loop& loop;
    access::Authenticator& authenticator;
    LogBook& book;
    Writer& writer;
    Metrics& metrics;
    const Clock& clock;
  };
  explicit OtlpRoutes(Parts parts);

  void add_to(net::Router& router);

 private:
  struct Decoded {
    std::vector<RowBatch> batches;
    uint64_t rejected = 0;
    std::string reason;
  };
  Task<net::Response> take(OtlpSignal signal, net::Request& request);
  Task<Result<OtlpOwner>> owner_of(net::Request& request);
  Task<Result<Decoded>> decode(OtlpSignal signal, net::Request& request, OtlpOwner owner);
  Task<Result<void>> store(std::vector<RowBatch> batches);
  bool is_repeated(const std::string& digest) const { return seen_.contains(digest); }
  void remember(std::string digest);
  void count(OtlpSignal signal, std::string_view result);

  Parts parts_;
  net::Notifier decoder_free_;
  int decoding_ = 0;
  std::set<std::string, std::less<>> seen_;  // digests of the newest stored bodies
  std::deque<std::string> seen_order_;
};

}  // namespace nimbus::telemetry
