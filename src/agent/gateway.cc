#include "agent/gateway.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "agent/relay.h"
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

namespace nimbus::agent {
namespace {

namespace json = boost::json;
using net::Request;
using net::Response;

constexpr Duration kWaitMax = std::chrono::seconds(60);
constexpr int64_t kSeqMax = int64_t{1} << 53;
constexpr int64_t kAgeMsMax = int64_t{30} * 24 * 3600 * 1000;
constexpr size_t kReasonBytesMax = 1000;

// What is forwarded, apart from the guest's own protocol; all else is not there.
constexpr std::string_view kForwarded[] = {"/v1/traces", "/v1/logs", "/v1/metrics", "/_apis/",
                                           "/twirp/",    "/blobs/",  "/cache/",     "/ac/",
                                           "/cas/",      "/v2"};
// The server may have to write the last of a large upload to its disk before it answers.
constexpr Duration kProxiedPatience = std::chrono::minutes(15);

// Fields that belong to one connection, or that the gateway decides.
constexpr std::string_view kNotForwarded[] = {"host",
                                              "authorization",
                                              "proxy-authorization",
                                              "cookie",
                                              "connection",
                                              "keep-alive",
                                              "te",
                                              "trailer",
                                              "transfer-encoding",
                                              "upgrade",
                                              "content-length",
                                              "x-request-id",
                                              "forwarded",
                                              "x-forwarded-for",
                                              "x-forwarded-proto",
                                              "x-forwarded-host",
                                              "expect"};

bool is_forwarded_field(std::string_view name) {
  return std::none_of(std::begin(kNotForwarded), std::end(kNotForwarded),
                      [&](std::string_view other) { return equal_ignoring_case(name, other); });
}

bool is_forwarded_path(std::string_view path) {
  return std::any_of(std::begin(kForwarded), std::end(kForwarded), [&](std::string_view start) {
    return path == start ||
           (path.starts_with(start) && (start.ends_with('/') || path[start.size()] == '/'));
  });
}

Duration wait_of(const Request& request) {
  int seconds = 0;
  if (const auto text = request.find_query("wait_s")) {
    (void)std::from_chars(text->data(), text->data() + text->size(), seconds);
  }
  return std::clamp<Duration>(std::chrono::seconds(seconds), Duration(0), kWaitMax);
}

Response no_work() {
  Response response = net::problem(503, "no job runs here");
  response.headers.set("Retry-After", "1");
  return response;
}

Response acked(int64_t seq) {
  return Response::json(200, "{\"acked\":" + std::to_string(seq) + "}");
}

}  // namespace

struct Gateway::State : std::enable_shared_from_this<State> {
  State(net::Loop& l, ControlClient& c) : loop(l), control(c), changed(l) {}

  net::Loop& loop;
  ControlClient& control;
  net::Notifier changed;
  std::optional<GuestWork> work;
  std::optional<Duration> cancelled;  // its grace
  bool parked = false;
  bool given = false;
  bool started = false;
  bool finished = false;
  bool closed = false;
  int proxied = 0;

  // Each is a coroutine that holds the state; the request outlives it by the server's promise.
  static Task<Response> job(std::shared_ptr<State> self, Request& request);
  static Task<Response> signals(std::shared_ptr<State> self, Request& request);
  static Task<Response> take_started(std::shared_ptr<State> self, Request& request);
  static Task<Response> take_lines(std::shared_ptr<State> self, Request& request);
  static Task<Response> take_finished(std::shared_ptr<State> self, Request& request);
  static Task<Response> take_otlp(std::shared_ptr<State> self, Request& request);
  static Task<Response> proxy(std::shared_ptr<State> self, Request& request);

  net::Router make_router();
};

Result<GuestReport> parse_guest_report(std::string_view body) {
  const json::object object = TRY(parse_json_object(body, 2));
  GuestReport report;
  const auto result = model::find_job_result(TRY(read_text(object, "result")));
  if (!result) return fail(Code::bad_request, "field 'result' is not a result");
  report.result = *result;
  const auto exit_code = TRY(find_int(object, "exit_code", 0, 255));
  if (exit_code) report.exit_code = static_cast<int>(*exit_code);
  TRY(model::check_result(report.result, exit_code));
  report.reason = TRY(find_text(object, "reason")).value_or("").substr(0, kReasonBytesMax);
  report.last_seq = TRY(read_int(object, "last_seq", 0, kSeqMax));
  report.age = std::chrono::milliseconds(TRY(find_int(object, "age_ms", 0, kAgeMsMax)).value_or(0));
  return report;
}

Task<Response> Gateway::State::job(std::shared_ptr<State> self, Request& request) {
  const Duration wait = wait_of(request);
  if (!self->parked) {
    self->parked = true;
    self->changed.notify_all();
  }
  if (!self->work && wait > Duration(0)) (void)co_await self->changed.wait(wait);
  if (!self->work || self->closed) co_return Response::empty(204);
  // A guest asks until it has its job; after that it never does, so asking again is not a second
  // run.
  if (!self->given) {
    self->given = true;
    self->work->on_given();
  }
  co_return Response::json(200, self->work->job_body());
}

Task<Response> Gateway::State::signals(std::shared_ptr<State> self, Request& request) {
  const Duration wait = wait_of(request);
  if (!self->work) co_return no_work();
  if (!self->cancelled && wait > Duration(0)) (void)co_await self->changed.wait(wait);
  if (!self->cancelled || self->closed) co_return Response::empty(204);
  const auto grace = std::chrono::duration_cast<std::chrono::seconds>(*self->cancelled).count();
  co_return Response::json(200,
                           "{\"signal\":\"cancel\",\"grace_s\":" + std::to_string(grace) + "}");
}

Task<Response> Gateway::State::take_started(std::shared_ptr<State> self, Request&) {
  if (!self->work) co_return no_work();
  if (!self->started) {
    auto noted = co_await self->work->on_started();
    if (!noted) co_return net::problem(noted.error());
    self->started = true;
  }
  co_return Response::json(200, "{}");
}

Task<Response> Gateway::State::take_lines(std::shared_ptr<State> self, Request& request) {
  if (!self->work) co_return no_work();
  auto taken = co_await self->work->forwarder->take_lines(std::move(request.body));
  if (!taken) co_return net::problem(taken.error());
  co_return acked(*taken);
}

Task<Response> Gateway::State::take_finished(std::shared_ptr<State> self, Request& request) {
  if (!self->work) co_return no_work();
  auto report = parse_guest_report(request.body);
  if (!report) co_return net::problem(report.error());
  if (!self->work->forwarder->ends_with(report->last_seq)) {
    const std::string have = std::to_string(self->work->forwarder->last_seq());
    co_return net::problem(409, "last_seq is not the last line's, which is " + have);
  }
  if (!self->finished) {
    self->finished = true;
    self->work->on_finished(std::move(*report));
  }
  co_return Response::json(200, "{}");
}

Task<Response> Gateway::State::take_otlp(std::shared_ptr<State> self, Request& request) {
  if (!self->work) co_return no_work();
  OtlpExport exported;
  exported.target = request.path;
  exported.content_type = request.headers.find("Content-Type").value_or("application/json");
  exported.content_encoding = request.headers.find("Content-Encoding").value_or("");
  exported.body = std::move(request.body);
  const bool as_json = exported.content_type.starts_with("application/json");
  const std::string type = exported.content_type;
  auto answer = co_await self->work->forwarder->take_otlp(std::move(exported));
  if (!answer) co_return net::problem(answer.error());
  Response response;
  response.status = answer->status;
  response.body = answer->body.empty() && as_json ? "{}" : std::move(answer->body);
  response.headers.set("Content-Type", answer->headers.find("Content-Type").value_or(type));
  if (const auto later = answer->headers.find("Retry-After")) {
    response.headers.set("Retry-After", *later);
  }
  co_return response;
}

Task<Response> Gateway::State::proxy(std::shared_ptr<State> self, Request& request) {
  const bool known = request.target.starts_with('/') && is_forwarded_path(request.path);
  if (!known) co_return net::problem(404, "nothing is served here");
  if (!self->work) co_return no_work();
  if (self->proxied >= kProxiedRequestsMax) {
    Response busy = net::problem(429, "too many requests at once");
    busy.headers.set("Retry-After", "1");
    co_return busy;
  }
  net::ClientRequest out;
  out.method = request.method;
  for (const auto& [name, value] : request.headers) {
    if (is_forwarded_field(name)) out.headers.add(name, value);
  }
  // URLs in answers must lead back here.
  const std::string host(request.headers.find("Host").value_or("169.254.169.254"));
  out.headers.set("X-Forwarded-Host", host);
  out.headers.set("X-Forwarded-Proto", "http");
  out.timeout = kProxiedPatience;
  const auto length = request.headers.find("Content-Length");
  if (length || request.headers.find("Transfer-Encoding")) out.body_source = request.reader;
  uint64_t bytes = 0;  // the server has judged the field
  if (length) {
    (void)std::from_chars(length->data(), length->data() + length->size(), bytes);
    out.body_source_bytes = bytes;
  }
  std::string target = request.target;
  ++self->proxied;
  auto answer = co_await relay(self->loop, self->control, std::move(out), std::move(target),
                               self->work->job_token());
  --self->proxied;
  if (!answer) co_return net::problem(answer.error());
  const net::Headers headers = std::exchange(answer->headers, {});
  for (const auto& [name, value] : headers) {
    const bool length_of_head =
        request.method == "HEAD" && equal_ignoring_case(name, "Content-Length");
    const bool own = equal_ignoring_case(name, "set-cookie") || equal_ignoring_case(name, "date");
    if (length_of_head || (is_forwarded_field(name) && !own)) {
      answer->headers.add(name, value);
    }
  }
  co_return std::move(*answer);
}

net::Router Gateway::State::make_router() {
  net::Router router;
  const auto self = shared_from_this();
  const auto bound = [&self](auto call) {
    return [self, call](Request& request) { return call(self, request); };
  };
  net::RouteOptions lines;
  lines.body_bytes_max = kLinesBodyBytesMax;
  net::RouteOptions otlp;
  otlp.body_bytes_max = kOtlpBodyBytesMax;
  net::RouteOptions any;
  any.body_bytes_max = kProxiedBodyBytesMax;
  any.stream_body = true;
  router.get("/guest/v1/job", bound(&State::job));
  router.get("/guest/v1/signals", bound(&State::signals));
  router.post("/guest/v1/started", bound(&State::take_started));
  router.post("/guest/v1/lines", bound(&State::take_lines), lines);
  router.post("/guest/v1/finished", bound(&State::take_finished));
  for (const char* path : {"/v1/traces", "/v1/logs", "/v1/metrics"}) {
    router.post(path, bound(&State::take_otlp), otlp);
  }
  router.fallback(bound(&State::proxy), any);
  return router;
}

Result<std::unique_ptr<Gateway>> Gateway::open(net::Loop& loop, ControlClient& control,
                                               os::UniqueFd listener) {
  auto state = std::make_shared<State>(loop, control);
  net::ServerOptions options;
  options.listen_fd = listener.release();
  options.connections_max = kGuestConnectionsMax;
  options.idle_timeout = std::chrono::hours(24);  // a guest's connections are its own to keep
  std::unique_ptr<Gateway> gateway(new Gateway(state));
  gateway->server_ =
      TRY_IN("opening a gateway", net::Server::listen(loop, state->make_router(), options));
  return gateway;
}

Gateway::~Gateway() {
  state_->closed = true;
  state_->changed.notify_all();
}

void Gateway::give(GuestWork work) {
  CHECK(!state_->work);
  state_->work = std::move(work);
  state_->changed.notify_all();
}

void Gateway::cancel(Duration grace) {
  state_->cancelled = grace;
  state_->changed.notify_all();
}

bool Gateway::parked() const { return state_->parked; }

Task<bool> Gateway::wait_parked(Duration timeout) {
  const auto state = state_;
  const auto until = std::chrono::steady_clock::now() + timeout;
  while (!state->parked && !state->closed) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= until) break;
    (void)co_await state->changed.wait(std::chrono::duration_cast<Duration>(until - now));
  }
  co_return state->parked;
}

}  // namespace nimbus::agent
