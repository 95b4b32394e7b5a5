#include "cli/job_follow.h"

#include <boost/json.hpp>
#include <charconv>
#include <csignal>

#include "base/json.h"
#include "model/job.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

constexpr auto kPauseFirst = std::chrono::milliseconds(200);
constexpr auto kPauseMax = std::chrono::seconds(3);
constexpr int kTriesWithoutServer = 40;  // about two minutes
constexpr int kTriesAfterTheEnd = 5;     // for the rest of an ended job's log
constexpr auto kWaitingPoll = std::chrono::seconds(2);

std::string job_path(int64_t job) { return "/api/v1/jobs/" + std::to_string(job); }

// A command that a signal ended has no exit code; its reason begins as guest/job.cc words it. The
// kernel kills with SIGKILL when there is no memory.
std::optional<int> find_signal(std::string_view reason) {
  if (reason == "out of memory") return SIGKILL;
  constexpr std::string_view kBegin = "killed by signal ";
  constexpr int kSignalMax = 64;
  if (!reason.starts_with(kBegin)) return std::nullopt;
  reason.remove_prefix(kBegin.size());
  int number = 0;
  const auto [end, error] = std::from_chars(reason.data(), reason.data() + reason.size(), number);
  if (error != std::errc() || number < 1 || number > kSignalMax) return std::nullopt;
  return number;
}

bool is_final(std::string_view state) {
  const auto known = model::find_job_state(state);
  return known && model::is_final(*known);
}

Result<JobEnd> parse_job_end(const json::object& job) {
  JobEnd end;
  end.state = TRY(read_text(job, "state"));
  end.reason = TRY(find_text(job, "reason")).value_or("");
  end.exit_code = TRY(find_int(job, "exit_code"));
  end.fence = TRY(find_int(job, "fence")).value_or(0);
  return end;
}

// What one connection brought; kept between connections.
struct Progress {
  int64_t fence = 0;
  int64_t seq = 0;
  bool ended = false;
  bool left = false;  // nobody reads any more
  int64_t missing = 0;
};

void begin_execution(int64_t fence, const Follow& follow, Progress& progress) {
  if (fence == progress.fence) return;
  if (progress.fence != 0) {
    follow.talk("the job is tried again");
    progress.seq = 0;
  }
  progress.fence = fence;
}

void take_event(const net::SseParser::Event& event, const Follow& follow, Progress& progress) {
  if (event.event == "line") {
    const auto line = parse_log_line(event.data);
    if (!line) return;
    if (line->fence != progress.fence) {
      // What the caller has seen before is the first execution's.
      progress.seq = progress.fence == 0 ? follow.after : 0;
      progress.fence = line->fence;
    }
    if (line->seq <= progress.seq) return;  // seen before the connection broke
    progress.seq = line->seq;
    progress.left = !follow.on_line(*line);
  } else if (event.event == "execution") {
    const auto body = parse_json_object(event.data);
    const auto fence = body ? find_int(*body, "fence") : Result<std::optional<int64_t>>();
    if (fence && *fence) begin_execution(**fence, follow, progress);
  } else if (event.event == "end") {
    progress.ended = true;
    const auto body = parse_json_object(event.data);
    if (!body) return;
    const auto missing = find_int(*body, "missing");
    if (missing && *missing) progress.missing = **missing;
  }
}

Task<Result<void>> follow_once(ApiClient& api, const Follow& follow, Progress& progress) {
  const std::string path =
      job_path(follow.job) + "/logs?follow=1&after=" + std::to_string(progress.seq);
  auto request = api.request("GET", path);
  request.headers.set("Accept", "text/event-stream");
  net::SseParser parser;
  net::ClientResponse head;
  std::function<void(const net::ClientResponse&)> on_head =
      [&](const net::ClientResponse& response) { head = response; };
  std::function<bool(std::string_view)> on_bytes = [&](std::string_view bytes) {
    if (head.status != 200) {
      head.body += bytes;
      return head.body.size() < 65536;
    }
    for (const auto& event : parser.feed(bytes)) take_event(event, follow, progress);
    return !progress.ended && !progress.left;
  };
  auto done =
      co_await api.client().stream(std::move(request), std::move(on_head), std::move(on_bytes));
  if (head.status != 0 && head.status != 200) co_return fail(refusal_of(head, "reading the log"));
  co_return done;
}

Task<Result<JobEnd>> read_job(ApiClient& api, int64_t job) {
  auto request = api.request("GET", job_path(job));
  std::string doing = "reading job " + std::to_string(job);
  CO_TRY_ASSIGN(const auto answer, co_await api.send(std::move(request), std::move(doing)));
  CO_TRY_ASSIGN(const auto body, parse_json_object(answer.body));
  co_return parse_job_end(body);
}

// Why a job that no limit holds is not started; who may not see the agents learns less.
Task<std::string> why_waiting(ApiClient& api) {
  auto request = api.request("GET", "/api/v1/agents?limit=1000");
  std::string doing = "listing agents";
  const auto answer = co_await api.send(std::move(request), std::move(doing));
  const auto page = answer ? parse_json_object(answer->body) : Result<json::object>(json::object());
  const auto items = page ? find_array(*page, "items") : Result<const json::array*>(nullptr);
  if (!items || *items == nullptr) co_return "waiting for a free slot";
  for (const auto& agent : **items) {
    if (!agent.is_object()) continue;
    const auto state = find_text(agent.get_object(), "state");
    if (state && *state && **state == "online") co_return "waiting for a free slot";
  }
  co_return "waiting: no agent is online; 'nimbus agent list' shows them, 'nimbus doctor' checks a host";
}

// Says why the job waits, while it does.
Task<void> tell_waiting(ApiClient& api, int64_t job, std::function<void(const std::string&)> talk,
                        std::shared_ptr<bool> over) {
  std::string told;
  while (!*over) {
    co_await api.loop().sleep(kWaitingPoll);
    if (*over) break;
    const auto now = co_await read_job(api, job);
    if (!now || now->state != "queued") break;
    std::string why = now->reason;
    if (why.empty()) why = co_await why_waiting(api);
    if (why != told && !*over) talk(why);
    told = why;
  }
}

}  // namespace

Result<LogLine> parse_log_line(std::string_view text) {
  const json::object object = TRY(parse_json_object(text));
  LogLine line;
  line.ts = TRY(find_text(object, "ts")).value_or("");
  line.seq = TRY(read_int(object, "seq", 0));
  line.fence = TRY(find_int(object, "fence")).value_or(0);
  line.stream = TRY(read_text(object, "stream"));
  line.text = TRY(read_text(object, "text"));
  line.partial = TRY(find_bool(object, "partial")).value_or(false);
  line.json = text;
  return line;
}

int exit_status(const JobEnd& end) {
  if (end.state == "succeeded") return kExitDone;
  if (end.state == "timed_out") return kExitTimedOut;
  if (end.state == "cancelled") return kExitCancelled;
  if (end.exit_code && *end.exit_code > 0 && *end.exit_code < 256) {
    return static_cast<int>(*end.exit_code);
  }
  const auto signal = end.state == "failed" ? find_signal(end.reason) : std::nullopt;
  return signal && !end.exit_code ? kExitSignalled + *signal : kExitFailed;
}

Task<Result<JobEnd>> follow_job(ApiClient& api, Follow follow) {
  Progress progress;
  progress.seq = follow.after;
  const auto over = std::make_shared<bool>(false);
  api.loop().spawn(tell_waiting(api, follow.job, follow.talk, over), "waiting");
  Duration pause = kPauseFirst;
  int tries_left = kTriesWithoutServer;
  int tries_after_end = kTriesAfterTheEnd;
  bool told_trouble = false;
  for (;;) {
    const int64_t seq_before = progress.seq;
    const auto done = co_await follow_once(api, follow, progress);
    if (progress.ended || progress.left) break;
    if (progress.seq != seq_before) {
      pause = kPauseFirst;
      tries_left = kTriesWithoutServer;
    }
    const bool hopeless = !done && done.error().code != Code::unavailable &&
                          done.error().code != Code::too_many_requests &&
                          done.error().code != Code::not_found &&
                          done.error().code != Code::internal;
    if (hopeless || --tries_left == 0) {
      *over = true;
      co_return fail(done ? Error{Code::unavailable, "the log ended before the job did", ""}
                          : done.error());
    }
    if (!done && !told_trouble && progress.seq == seq_before) {
      follow.talk(done.error().message + "; trying again");
      told_trouble = true;
    }
    const auto now = co_await read_job(api, follow.job);
    if (now && is_final(now->state) && --tries_after_end == 0) {
      follow.talk("the log's end could not be read");
      break;
    }
    if (!now && now.error().code != Code::unavailable) {
      *over = true;
      co_return fail(now.error());
    }
    // The server counts `after` in the latest execution, which may have begun meanwhile.
    if (now && progress.fence != 0) begin_execution(now->fence, follow, progress);
    co_await api.loop().sleep(pause);
    pause = std::min<Duration>(pause * 2, kPauseMax);
  }
  *over = true;
  auto end = co_await read_job(api, follow.job);
  if (end) end->missing = progress.missing;
  co_return end;
}

}  // namespace nimbus::cli
