// A server for tests of the agent: it gives the jobs a test adds, keeps their leases, and notes
// events and lines as they come. A test can take parts of it away and bring them back.
//
// Threads: the loop's.
#pragma once

#include <boost/json.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "net/server.h"

namespace nimbus::agent {

class FakeControl {
 public:
  struct Job {
    int64_t fence = 1;
    boost::json::object spec;
    bool cancel = false;
    bool stale = false;                       // its lease is over
    std::vector<boost::json::object> events;  // in order, without repetitions
    std::vector<boost::json::object> lines;   // the same
    int renewals = 0;

    std::string last_result() const {
      for (auto event = events.rbegin(); event != events.rend(); ++event) {
        if (event->contains("result")) return std::string(event->at("result").as_string());
      }
      return "";
    }
    bool has_event(std::string_view type) const {
      for (const auto& event : events) {
        if (event.at("type").as_string() == type) return true;
      }
      return false;
    }
    std::string text(std::string_view stream) const {
      std::string all;
      for (const auto& line : lines) {
        if (line.at("stream").as_string() == stream) {
          all += std::string(line.at("text").as_string()) + "\n";
        }
      }
      return all;
    }
  };

  explicit FakeControl(net::Loop& loop) : loop_(loop), changed_(loop) { move(); }

  // Goes on at another address: whoever knows only the old one is alone from now on.
  void move() {
    server_.reset();
    net::Router router;
    router.post("/api/v1/agents", bind(&FakeControl::enroll));
    router.post("/api/v1/agents/{id}/assignments", bind(&FakeControl::assign));
    router.put("/api/v1/jobs/{id}/lease", bind(&FakeControl::renew));
    router.post("/api/v1/jobs/{id}/events", bind(&FakeControl::take_event));
    net::RouteOptions large;
    large.body_bytes_max = size_t{8} << 20;
    router.post("/api/v1/jobs/{id}/logs", bind(&FakeControl::take_lines), large);
    router.post("/v1/traces", bind(&FakeControl::take_traces), large);
    net::RouteOptions streamed;
    streamed.body_bytes_max = size_t{64} << 20;
    streamed.stream_body = true;
    router.put("/blobs/mirror", bind(&FakeControl::mirror), streamed);
    router.fallback(bind(&FakeControl::echo));
    server_ = net::Server::listen(loop_, std::move(router), {}).value();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }

  Job& add_job(int64_t id, boost::json::object spec = {}) {
    for (const auto& [key, value] : boost::json::object{
             {"org", "acme"},
             {"repo", "app"},
             {"image", "nimbus/base"},
             {"timeout_s", 60},
             {"command", boost::json::array{"true"}},
             {"env", boost::json::object{}},
             {"resources",
              boost::json::object{{"cpus", 1}, {"memory_mb", 128}, {"disk_mb", 64}}}}) {
      if (!spec.contains(key)) spec[key] = value;
    }
    Job& job = jobs[id];
    job.spec = std::move(spec);
    waiting.push_back(id);
    changed_.notify_all();
    return job;
  }
  void notify() { changed_.notify_all(); }

  std::map<int64_t, Job> jobs;
  std::deque<int64_t> waiting;
  bool away = false;       // every answer is 503
  bool logs_away = false;  // only of the logs
  std::chrono::milliseconds lease_ttl{60'000};
  bool revoked = false;
  std::string credential = "secret";  // that it gives, and takes
  int enrolled = 0;
  std::vector<boost::json::object> polls;
  std::vector<std::string> traces;
  std::vector<std::string> authorizations;  // of proxied requests

 private:
  using Call = net::Response (FakeControl::*)(net::Request&);

  net::Handler bind(Call call) {
    return [this, call](net::Request& request) { return answer(call, request); };
  }
  net::Handler bind(Task<net::Response> (FakeControl::*call)(net::Request&)) {
    return [this, call](net::Request& request) { return (this->*call)(request); };
  }
  Task<net::Response> answer(Call call, net::Request& request) {
    co_return away ? net::Response::empty(503) : (this->*call)(request);
  }

  std::string expiry() const { return to_rfc3339(system_clock_now() + lease_ttl); }
  static Time system_clock_now() {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  }
  Job* find(net::Request& request) {
    const auto job = jobs.find(std::stoll(request.parameter("id")));
    return job == jobs.end() ? nullptr : &job->second;
  }
  static net::Response stale() {
    return net::problem(Error{Code::conflict, "stale fence"}, "stale-fence");
  }

  net::Response enroll(net::Request& request) {
    if (request.bearer() != "enrol-me") return net::problem(401, "no such token");
    ++enrolled;
    return net::Response::json(
        201, R"({"id":"agent-0123456789ab","credential":")" + credential + R"("})");
  }

  Task<net::Response> assign(net::Request& request) {
    if (away) co_return net::Response::empty(503);
    if (revoked) {
      co_return net::problem(Error{Code::unauthenticated, "revoked", {}}, "agent-revoked");
    }
    if (request.bearer() != credential) co_return net::problem(401, "the token is not valid");
    auto body = parse_json_object(request.body).value();
    polls.push_back(body);
    if (waiting.empty() && body.at("wait_s").as_int64() > 0) {
      (void)co_await changed_.wait(std::chrono::seconds(body.at("wait_s").as_int64()));
    }
    boost::json::array assignments;
    while (!waiting.empty() &&
           static_cast<int64_t>(assignments.size()) < body.at("slots_free").as_int64()) {
      const int64_t id = waiting.front();
      waiting.pop_front();
      assignments.push_back(boost::json::object{{"job", id},
                                                {"fence", jobs[id].fence},
                                                {"expires_at", expiry()},
                                                {"job_token", "token-" + std::to_string(id)},
                                                {"spec", jobs[id].spec}});
    }
    if (assignments.empty()) co_return net::Response::empty(204);
    co_return net::Response::json(
        200, boost::json::serialize(boost::json::object{{"assignments", std::move(assignments)}}));
  }

  Task<net::Response> renew(net::Request& request) {
    if (away) co_return net::Response::empty(503);
    Job* job = find(request);
    const int wait_s = std::stoi(std::string(request.find_query("wait_s").value_or("0")));
    if (job != nullptr && !job->cancel && !job->stale && wait_s > 0) {
      (void)co_await changed_.wait(std::chrono::seconds(wait_s));
    }
    if (away) co_return net::Response::empty(503);
    const auto fence = parse_json_object(request.body).value().at("fence").as_int64();
    if (job == nullptr || job->stale || job->fence != fence) co_return stale();
    ++job->renewals;
    co_return net::Response::json(200, boost::json::serialize(boost::json::object{
                                           {"expires_at", expiry()},
                                           {"cancel", job->cancel},
                                           {"job_token", "token-" + request.parameter("id")}}));
  }

  net::Response take_event(net::Request& request) {
    Job* job = find(request);
    auto event = parse_json_object(request.body).value();
    if (job == nullptr || job->stale || event.at("fence").as_int64() != job->fence) return stale();
    for (const auto& other : job->events) {
      if (other.at("seq") == event.at("seq")) return net::Response::json(200, "{}");
    }
    job->events.push_back(std::move(event));
    return net::Response::json(202, "{}");
  }

  net::Response take_lines(net::Request& request) {
    if (logs_away) return net::Response::empty(503);
    Job* job = find(request);
    if (job == nullptr || request.bearer() != "token-" + request.parameter("id")) {
      return net::problem(401, "no job token");
    }
    if (job->stale) return stale();
    std::string_view body = request.body;
    int64_t last = job->lines.empty() ? 0 : job->lines.back().at("seq").as_int64();
    while (!body.empty()) {
      const size_t end = body.find('\n');
      auto line = parse_json_object(body.substr(0, end)).value();
      body.remove_prefix(end + 1);
      if (line.at("seq").as_int64() <= last) continue;
      last = line.at("seq").as_int64();
      job->lines.push_back(std::move(line));
    }
    return net::Response::json(200, "{\"acked\":" + std::to_string(last) + "}");
  }

  net::Response take_traces(net::Request& request) {
    if (logs_away) return net::Response::empty(503);
    traces.push_back(request.body);
    return net::Response::json(200, R"({"partialSuccess":{}})");
  }

  // Gives the body back, in pieces; the host that the guest asked for stands in a field.
  Task<net::Response> mirror(net::Request& request) {
    auto all = std::make_shared<std::string>();
    for (;;) {
      auto piece = co_await request.reader->read();
      if (!piece) co_return net::problem(piece.error());
      if (piece->empty()) break;
      *all += *piece;
    }
    net::Response response;
    response.headers.set("X-Asked", request.headers.find("X-Forwarded-Host").value_or(""));
    response.stream_bytes = all->size();
    response.stream = [all](net::BodyWriter& writer) -> Task<void> {
      for (size_t at = 0; at < all->size(); at += 100'000) {
        const auto sent = co_await writer.write(std::string_view(*all).substr(at, 100'000));
        if (!sent) co_return;
      }
    };
    co_return response;
  }

  net::Response echo(net::Request& request) {
    authorizations.emplace_back(request.headers.find("Authorization").value_or(""));
    return net::Response::text(404, "nothing here");
  }

  net::Loop& loop_;
  net::Notifier changed_;
  std::unique_ptr<net::Server> server_;
};

}  // namespace nimbus::agent
