#include "telemetry/log_routes.h"

#include <charconv>

#include "api/json_text.h"
#include "base/log.h"
#include "telemetry/line_json.h"
#include "telemetry/log_lines.h"
#include "telemetry/log_search.h"

namespace nimbus::telemetry {
namespace {

using access::Role;

constexpr size_t kGapsShownMax = 100;

Result<int64_t> parse_count(std::string_view name, std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0) {
    return fail(Code::bad_request, std::string(name) + " must be a number from 0");
  }
  return number;
}

Result<std::optional<int64_t>> find_count(const net::Request& request, std::string_view name) {
  const auto text = request.find_query(name);
  if (!text) return std::nullopt;
  return TRY(parse_count(name, *text));
}

// Errors of storing: what is for later carries Retry-After, a full disk says so.
net::Response store_problem(const Error& error) {
  if (error.code == Code::unavailable && error.hint == Writer::kDiskFull) {
    return net::problem(507, error.message, error.hint);
  }
  if (error.code == Code::conflict) return net::problem(error, "stale-fence");
  return net::problem(error);
}

std::string execution_json(model::Fence fence, const SeqSet& seqs,
                           std::optional<int64_t> last_seq) {
  const int64_t expected = std::max(seqs.highest(), last_seq.value_or(0));
  const auto gaps = seqs.gaps(expected);
  int64_t missing = 0;
  std::vector<std::string> shown;
  for (const auto& [first, last] : gaps) {
    missing += last - first + 1;
    if (shown.size() == kGapsShownMax) continue;
    shown.push_back("[" + std::to_string(first) + "," + std::to_string(last) + "]");
  }
  return api::JsonText()
      .integer("fence", fence.value)
      .integer("lines", seqs.count())
      .integer("last_seq", seqs.highest())
      .integer("announced_last_seq", last_seq)
      .integer("missing", missing)
      .raw("gaps", api::json_array(shown))
      .finish();
}

}  // namespace

LogRoutes::LogRoutes(Parts parts)
    : parts_(std::move(parts)),
      followers_(parts_.metrics.gauge("nimbus_log_followers", "Open log follow streams.")) {}

void LogRoutes::add_to(net::Router& router) {
  router.post("/api/v1/jobs/{id}/logs", [this](net::Request& request) { return take(request); },
              {.body_bytes_max = kLogBodyBytesMax});
  router.get("/api/v1/jobs/{id}/logs", [this](net::Request& request) { return show(request); });
  router.get("/api/v1/jobs/{id}/logs/verify",
             [this](net::Request& request) { return verify(request); });
  router.get("/api/v1/logs", [this](net::Request& request) { return search(request); });
}

Task<net::Response> LogRoutes::take(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_job(request, access::kScopeLogs);
  if (!caller) co_return access::refusal(caller.error());
  const access::JobClaims& claims = *caller->job;
  if (request.parameter("id") != std::to_string(claims.job.value)) {
    co_return net::problem(404, "no such job");
  }
  auto lines = parse_log_lines(request.body);
  if (!lines) co_return net::problem(lines.error());
  LogOwner owner{claims.org, claims.repo, claims.job, claims.fence};
  const auto acked = co_await parts_.ingest.take(std::move(owner), std::move(*lines));
  if (!acked) co_return store_problem(acked.error());
  co_return net::Response::json(200, api::JsonText().integer("acked", *acked).finish());
}

// The caller and the job, as far as the caller may see it.
Task<Result<LogRoutes::Asked>> LogRoutes::ask(net::Request& request) {
  auto caller = co_await parts_.authenticator.require_operator(request, Role::viewer);
  if (!caller) co_return fail(std::move(caller).error());
  const auto id = parse_count("the job's id", request.parameter("id"));
  if (!id || *id == 0) co_return fail(Code::not_found, "no such job");
  const ForwardedCredential credential = credential_of(request);
  CO_TRY_ASSIGN(JobView job, co_await parts_.jobs.find({*id}, credential));
  // Control has decided already; this wall stands for the day it errs.
  const auto allowed = caller->require(Role::viewer, job.org, "job");
  if (!allowed) co_return fail(allowed.error());
  co_return Asked{std::move(*caller), std::move(job)};
}

Task<net::Response> LogRoutes::show(net::Request& request) {
  auto asked = co_await ask(request);
  if (!asked) co_return access::refusal(asked.error());
  const auto fence_given = find_count(request, "fence");
  const auto after = find_count(request, "after");
  const auto limit = find_count(request, "limit");
  for (const auto* parameter : {&fence_given, &after, &limit}) {
    if (!*parameter) co_return net::problem(parameter->error());
  }
  std::optional<model::Fence> fence;
  if (*fence_given) fence = model::Fence{**fence_given};
  const auto follow_given = request.find_query("follow");
  if (follow_given && *follow_given != "0" && *follow_given != "false") {
    const auto last_event = request.headers.find("Last-Event-ID");
    const auto resumed =
        last_event ? parse_count("Last-Event-ID", *last_event) : Result<int64_t>(0);
    const int64_t start = after->value_or(resumed.value_or(0));
    co_return follow(request, std::move(*asked), fence, start);
  }
  const size_t lines_max = *limit && **limit > 0 ? static_cast<size_t>(**limit) : SIZE_MAX;
  const model::Fence shown = fence.value_or(asked->job.fence);
  co_return co_await download(std::move(asked->job), shown, after->value_or(0), lines_max);
}

net::Response LogRoutes::follow(net::Request& request, Asked asked,
                                std::optional<model::Fence> fence, int64_t after) {
  auto ask_again = std::make_shared<access::Caller>(std::move(asked.caller));
  FollowRequest follow{std::move(asked.job), credential_of(request), fence, after, {}};
  follow.confirm = [this, ask_again] { return parts_.authenticator.confirm(*ask_again); };
  FollowParts follow_parts{parts_.book, parts_.history, parts_.jobs, parts_.times};
  auto shared = std::make_shared<FollowRequest>(std::move(follow));
  net::Response response = net::Response::streamed(
      "text/event-stream",
      [follow_parts, shared, &followers = followers_](net::BodyWriter& out) -> Task<void> {
        followers.add(1);
        FollowRequest request = *shared;
        co_await follow_log(follow_parts, std::move(request), out);
        followers.add(-1);
      });
  response.headers.set("Cache-Control", "no-store");
  response.headers.add("X-Accel-Buffering", "no");
  return response;
}

namespace {

struct Download {
  LogOwner owner;
  int64_t after = 0;
  size_t left = 0;
  std::vector<model::LogLine> page;
};

// Writes pages until there is none. The status is sent long before: a reader who cannot have the
// rest is told so by a last object.
Task<void> send_pages(LogHistory& history, std::shared_ptr<Download> state, net::BodyWriter& out) {
  while (!state->page.empty()) {
    std::string text;
    for (const model::LogLine& line : state->page) {
      append_line_json(text, line, state->owner.fence);
      text += '\n';
    }
    const auto written = co_await out.write(text);
    if (!written) co_return;
    state->left -= state->page.size();
    state->after = state->page.back().seq;
    state->page.clear();
    if (state->left == 0) co_return;
    LogOwner owner = state->owner;
    const size_t wanted = std::min(state->left, kLogPageLines);
    auto page = co_await history.read(std::move(owner), state->after, wanted);
    if (!page) {
      const std::string last =
          api::JsonText()
              .text("error", "the log cannot be read on: " + page.error().message)
              .finish();
      const std::string text_line = last + "\n";
      co_await out.write(text_line);
      co_return;
    }
    state->page = std::move(*page);
  }
}

}  // namespace

Task<net::Response> LogRoutes::download(JobView job, model::Fence fence, int64_t after,
                                        size_t limit) {
  auto state = std::make_shared<Download>();
  state->owner = {job.org, job.repo, job.id, fence};
  state->after = after;
  state->left = limit;
  LogOwner owner = state->owner;
  const size_t wanted = std::min(limit, kLogPageLines);
  auto page = co_await parts_.history.read(std::move(owner), after, wanted);
  if (!page) co_return net::problem(page.error());
  state->page = std::move(*page);
  LogHistory& history = parts_.history;
  co_return net::Response::streamed(
      "application/x-ndjson",
      [&history, state](net::BodyWriter& out) { return send_pages(history, state, out); });
}

Task<net::Response> LogRoutes::verify(net::Request& request) {
  const auto asked = co_await ask(request);
  if (!asked) co_return access::refusal(asked.error());
  const JobView& job = asked->job;
  LogOwner owner{job.org, job.repo, job.id, {}};
  if (!parts_.writer.ready()) {
    co_return net::problem(503, "the log cannot be verified while ClickHouse is away",
                           "try again later");
  }
  const auto known = co_await parts_.history.known(std::move(owner));
  if (!known) co_return net::problem(known.error());
  std::vector<std::string> executions;
  for (const auto& [fence, seqs] : *known) {
    const bool latest = fence == job.fence;
    executions.push_back(execution_json(fence, seqs, latest ? job.log_last_seq : std::nullopt));
  }
  if (!known->contains(job.fence) && job.log_last_seq.value_or(0) > 0) {
    executions.push_back(execution_json(job.fence, {}, job.log_last_seq));
  }
  api::JsonText json;
  json.integer("job", job.id.value).text("org", job.org).text("repo", job.repo);
  json.text("state", model::to_string(job.state)).integer("fence", job.fence.value);
  json.raw("executions", api::json_array(executions));
  co_return net::Response::json(200, json.finish());
}

Task<net::Response> LogRoutes::search(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_operator(request, Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  auto search = parse_log_search(request, caller->orgs, parts_.clock.now());
  if (!search) co_return net::problem(search.error());
  auto page = co_await search_logs(parts_.client, std::move(*search));
  if (!page) co_return net::problem(page.error());
  co_return net::Response::json(200, std::move(*page));
}

}  // namespace nimbus::telemetry
