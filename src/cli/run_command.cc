// nimbus run: one command in a microVM, as if it ran here: its output, its exit status, Ctrl-C.
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/random.h"
#include "cli/commands.h"
#include "cli/job_print.h"
#include "cli/run_request.h"
#include "cli/signals.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

void talk(const std::string& text) {
  std::fprintf(stderr, "nimbus: %s\n", printable(text).c_str());
}

// Ctrl-C cancels the job; a second one leaves it to itself.
class Interrupts {
 public:
  Interrupts(ApiClient& api, int64_t job)
      : api_(api), job_(job), signals_(api.loop(), [this] { interrupted(); }, [] {}) {}

 private:
  void interrupted() {
    const std::string job = std::to_string(job_);
    if (++count_ > 1) {
      talk("leaving; 'nimbus job show " + job + "' tells how it ends");
      std::fflush(stdout);
      std::_Exit(kExitCancelled);
    }
    talk("cancelling job " + job + "; Ctrl-C again leaves it to itself");
    api_.loop().spawn(cancel(api_, job), "cancel");
  }

  static Task<void> cancel(ApiClient& api, std::string job) {
    auto request = api.request("POST", "/api/v1/jobs/" + job + "/cancel");
    std::string doing = "cancelling job " + job;
    const auto done = co_await api.send(std::move(request), std::move(doing));
    if (!done) talk(done.error().message);
  }

  ApiClient& api_;
  int64_t job_;
  int count_ = 0;
  Signals signals_;
};

Task<int> follow(ApiClient& api, int64_t job, bool json_lines, bool quiet) {
  LinePrinter printer(LineTarget::streams, json_lines, false);
  auto on_line = [&printer](const LogLine& line) {
    // Without a reader the job still runs, and its exit status is still wanted.
    printer.print(line);
    return true;
  };
  auto say = [quiet](const std::string& text) {
    if (!quiet) talk(text);
  };
  Follow wanted{job, 0, std::move(on_line), std::move(say)};
  const auto end = co_await follow_job(api, std::move(wanted));
  if (!end) co_return complain(end.error());
  if (end->missing > 0) talk(std::to_string(end->missing) + " lines of the log are missing");
  if (!quiet && end->state != "succeeded") {
    talk("job " + std::to_string(job) + " " + end->state +
         (end->reason.empty() ? "" : ": " + end->reason));
  }
  co_return exit_status(*end);
}

Result<int> run(ApiClient& api, const Arguments& arguments) {
  const bool quiet = arguments.has("--quiet");
  const auto environment = [](const std::string& name) { return getenv(name.c_str()); };
  const std::string body = json::serialize(TRY(make_job_request(arguments, environment)));
  auto request = api.request("POST", "/api/v1/jobs", body);
  request.headers.set("Idempotency-Key", to_hex(system_random().bytes(16)));
  std::optional<Result<net::ClientResponse>> answer;
  api.complete([](ApiClient& a, net::ClientRequest wanted,
                  std::optional<Result<net::ClientResponse>>& out) -> Task<int> {
    std::string doing = "ordering the job";
    out.emplace(co_await a.send(std::move(wanted), std::move(doing)));
    co_return kExitDone;
  }(api, std::move(request), answer));
  if (!*answer) return fail(std::move(*answer).error());
  const json::object created = TRY(parse_json_object((*answer)->body));
  const int64_t job = TRY(read_int(created, "id", 1));
  if (arguments.has("--detach")) {
    if (arguments.has("--json")) {
      print_json(created);
    } else {
      print_out(std::to_string(job) + "\n");
      if (!quiet) talk("follow it with: nimbus job logs -f " + std::to_string(job));
    }
    return kExitDone;
  }
  if (!quiet)
    talk("job " + std::to_string(job) + ": " + api.url() + "/jobs/" + std::to_string(job));
  const Interrupts interrupts(api, job);
  return api.complete(follow(api, job, arguments.has("--json"), quiet));
}

int run_command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return run(api, arguments); });
}

}  // namespace

std::vector<Command> run_commands() {
  return {{.noun = "run",
           .summary = "Run a command in a microVM, as if it ran here",
           .example = "nimbus run --env GREETING=hello -- sh -c 'echo $GREETING'",
           .options = run_options(),
           .notes = "Ctrl-C cancels the job; a second one leaves it to itself. Exit status: the "
                    "command's own,\n"
                    "128 and the signal's number when a signal ended it (137 when it ran out of "
                    "memory),\n"
                    "124 when it timed out, 130 when it was cancelled, 1 when its host was lost.",
           .takes_rest = true,
           .talks_to_server = true,
           .run = run_command}};
}

}  // namespace nimbus::cli
