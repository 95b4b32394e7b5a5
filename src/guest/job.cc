#include "guest/job.h"

#include <sys/wait.h>

#include <array>
#include <boost/json.hpp>
#include <csignal>

#include "base/encoding.h"
#include "base/json.h"

namespace nimbus::guest {
namespace {

namespace json = boost::json;

constexpr int64_t kTimeoutSecondsMax = 432'000;  // five days
constexpr int64_t kGraceSecondsMax = 600;
constexpr int64_t kJsMax = int64_t{1} << 53;

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Result<void> refuse_nul(const GuestJob& job) {
  bool found = has_nul(job.user) || has_nul(job.workdir) || has_nul(job.hostname);
  for (const std::string& word : job.command) found = found || has_nul(word);
  for (const auto& [name, value] : job.env) {
    found = found || has_nul(name) || has_nul(value) || name.empty() ||
            name.find('=') != std::string::npos;
  }
  if (found) return fail(Code::bad_request, "job has a NUL byte or an impossible variable name");
  return {};
}

}  // namespace

Result<GuestJob> parse_job(std::string_view body) {
  const json::object object = TRY(parse_json_object(body));
  GuestJob job;
  job.job = TRY(read_int(object, "job", 1, kJsMax));
  job.fence = TRY(read_int(object, "fence", 1, kJsMax));
  job.command = TRY(find_texts(object, "command"));
  if (job.command.empty()) return fail(Code::bad_request, "field 'command' must not be empty");
  job.env = TRY(find_text_map(object, "env"));
  job.user = TRY(find_text(object, "user")).value_or("runner");
  job.workdir = TRY(find_text(object, "workdir")).value_or("/home/runner/work");
  job.timeout = std::chrono::seconds(TRY(read_int(object, "timeout_s", 1, kTimeoutSecondsMax)));
  job.hostname = TRY(find_text(object, "hostname")).value_or("nimbus");
  job.time_ns = TRY(find_int(object, "time_ns", 0)).value_or(0);
  job.entropy = TRY(parse_base64(TRY(find_text(object, "entropy")).value_or("")));
  TRY(refuse_nul(job));
  return job;
}

Result<std::optional<Cancel>> parse_signal(std::string_view body) {
  const json::object object = TRY(parse_json_object(body));
  if (TRY(read_text(object, "signal")) != "cancel") return std::nullopt;
  Cancel cancel;
  const auto grace = TRY(find_int(object, "grace_s", 0, kGraceSecondsMax));
  if (grace) cancel.grace = std::chrono::seconds(*grace);
  return cancel;
}

Result<int64_t> parse_acked(std::string_view body) {
  const json::object object = TRY(parse_json_object(body));
  return read_int(object, "acked", 0);
}

std::string signal_name(int number) {
  const char* abbreviation = ::sigabbrev_np(number);
  if (abbreviation == nullptr) return "signal " + std::to_string(number);
  return std::string("SIG") + abbreviation;
}

Outcome classify(const Ending& ending) {
  using model::JobResult;
  Outcome outcome;
  const bool exited = WIFEXITED(ending.wait_status);
  if (exited) outcome.exit_code = WEXITSTATUS(ending.wait_status);
  if (ending.cancelled) {
    outcome.result = JobResult::cancelled;
    outcome.reason = "cancelled";
  } else if (ending.timed_out) {
    outcome.result = JobResult::timed_out;
    outcome.reason = "timed out after " + std::to_string(ending.timeout.count()) + " s";
  } else if (exited && *outcome.exit_code == 0) {
    outcome.result = JobResult::succeeded;
  } else if (ending.out_of_memory) {
    outcome.reason = "out of memory";
  } else if (ending.disk_full) {
    outcome.reason = "disk full";
  } else if (exited) {
    outcome.reason = "exit code " + std::to_string(*outcome.exit_code);
  } else {
    const int signal = WTERMSIG(ending.wait_status);
    outcome.reason =
        "killed by signal " + std::to_string(signal) + " (" + signal_name(signal) + ")";
  }
  return outcome;
}

std::string finished_body(const Outcome& outcome, int64_t last_seq, std::chrono::milliseconds age) {
  json::object body;
  body["result"] = model::to_string(outcome.result);
  if (outcome.exit_code) body["exit_code"] = *outcome.exit_code;
  body["reason"] = outcome.reason;
  body["last_seq"] = last_seq;
  body["age_ms"] = age.count();
  return json::serialize(body);
}

}  // namespace nimbus::guest
