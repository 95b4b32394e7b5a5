#include "control/event_routes.h"

#include "base/log.h"
#include "control/job_store.h"

namespace nimbus::control {
namespace {

constexpr Duration kGatherTime = std::chrono::milliseconds(20);
constexpr Duration kQuietTime = std::chrono::seconds(1);

struct Stream {
  EventBus& events;
  access::Authenticator& authenticator;
  access::Caller caller;
  std::unique_ptr<Subscription> subscription;
  bool missed = false;
};

// The text of what came, or a comment that keeps the connection alive.
std::string frame(const std::vector<BusEvent>& events) {
  if (events.empty()) return ": still here\n\n";
  std::string text;
  for (const BusEvent& event : events) {
    text += net::sse_event(event.name, *event.data, std::to_string(event.id));
  }
  return text;
}

Task<void> send(std::shared_ptr<Stream> stream, net::BodyWriter& writer) {
  std::string opening = "retry: 2000\n\n";
  if (stream->missed) {
    opening += net::sse_event("resync", "{}", std::to_string(stream->events.last_id()));
  }
  const auto opened = co_await writer.write(opening);
  if (!opened) co_return;
  while (!writer.peer_gone()) {
    const auto events = co_await stream->subscription->take(kEventPollEvery);
    const auto stands = co_await stream->authenticator.confirm(stream->caller);
    if (!stands) co_return;
    const std::string text = frame(events);
    const auto written = co_await writer.write(text);
    if (!written) co_return;
  }
}

Task<net::Response> open(Board& board, access::Authenticator& authenticator,
                         net::Request& request) {
  auto caller = co_await authenticator.require_operator(request, access::Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  const access::OrgScope orgs = caller->orgs.narrow(request.find_query("org"));
  auto subscription = board.events().subscribe(orgs);
  if (subscription == nullptr) {
    co_return net::problem(Error{Code::unavailable, "too many event streams are open", {}});
  }
  const auto last = request.headers.find("Last-Event-ID");
  const bool missed = last && *last != std::to_string(board.events().last_id());
  auto stream = std::make_shared<Stream>(
      Stream{board.events(), authenticator, std::move(*caller), std::move(subscription), missed});
  co_return net::Response::streamed(
      "text/event-stream", [stream](net::BodyWriter& writer) { return send(stream, writer); });
}

}  // namespace

void add_event_routes(net::Router& router, Board& board, access::Authenticator& authenticator) {
  router.get("/api/v1/events", [&board, &authenticator](net::Request& request) {
    return open(board, authenticator, request);
  });
}

Task<void> publish_jobs(Board& board, db::Database& database, net::Loop& loop,
                        std::shared_ptr<const bool> stopped) {
  while (!*stopped) {
    if (!board.has_dirty()) {
      co_await board.dirty().wait(kQuietTime);
      continue;
    }
    co_await loop.sleep(kGatherTime);
    if (*stopped) co_return;
    const auto dirty = board.take_dirty();
    if (!dirty) {
      board.events().resync();
      continue;
    }
    std::function<Result<std::vector<Job>>(db::Transaction&)> work =
        [ids = *dirty](db::Transaction& tx) { return find_jobs(tx, ids); };
    const auto jobs = co_await database.read<std::vector<Job>>(std::move(work));
    if (*stopped) co_return;
    if (!jobs) {
      log_warn("reading changed jobs", {{"error", jobs.error().message}});
      board.events().resync();
      continue;
    }
    for (const Job& job : *jobs) {
      const std::string hold =
          job.state == model::JobState::queued ? board.hold_reason(job.org) : "";
      board.events().publish("job", job.org, job_json(job, hold));
    }
  }
}

}  // namespace nimbus::control
