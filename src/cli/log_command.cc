// nimbus log search|verify
#include <boost/json.hpp>
#include <cstdio>

#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/job_print.h"
#include "cli/list_page.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

std::string lines_text(const json::array& lines) {
  std::string out;
  for (const auto& value : lines) {
    if (!value.is_object()) continue;
    const auto& line = value.get_object();
    out += cell(line, "ts") + "  " + cell(line, "job") + "  " +
           printable(line.contains("text") ? cell(line, "text") : cell(line, "body")) + "\n";
  }
  return out;
}

Result<int> search(ApiClient& api, const Arguments& arguments) {
  const Time now = system_clock().now();
  std::optional<std::string> since;
  std::optional<std::string> until;
  if (const auto text = arguments.find("--since"))
    since = TRY_IN("--since", parse_when(*text, now));
  if (const auto text = arguments.find("--until"))
    until = TRY_IN("--until", parse_when(*text, now));
  std::optional<std::string> words;
  for (const std::string& word : arguments.words()) {
    words = words ? *words + " " + word : word;
  }
  const std::string query = query_of({{"q", words},
                                      {"org", arguments.find("--org")},
                                      {"repo", arguments.find("--repo")},
                                      {"job", arguments.find("--job")},
                                      {"level", arguments.find("--level")},
                                      {"since", since},
                                      {"until", until},
                                      {"limit", arguments.find("--limit").value_or("50")},
                                      {"cursor", arguments.find("--cursor")}});
  const auto page = TRY(api.call("GET", "/api/v1/logs" + query, "searching logs"));
  return print_page(page, arguments.has("--json"), lines_text);
}

// What reading every line of the latest execution shows.
struct Verdict {
  int64_t lines = 0;
  int64_t missing = 0;
  int64_t last = 0;
};

Task<Result<Verdict>> read_all(ApiClient& api, std::string path) {
  Verdict verdict;
  for (;;) {
    auto request =
        api.request("GET", path + "/logs?limit=1000&after=" + std::to_string(verdict.last));
    std::string doing = "reading the log";
    CO_TRY_ASSIGN(const auto answer, co_await api.send(std::move(request), std::move(doing)));
    const int64_t before = verdict.lines;
    std::string_view rest = answer.body;
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      const std::string_view text = rest.substr(0, end);
      rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
      if (text.empty()) continue;
      CO_TRY_ASSIGN(const auto line, parse_log_line(text));
      if (line.seq <= verdict.last)
        co_return fail(Code::corrupt, "the log's lines are out of order");
      verdict.missing += line.seq - verdict.last - 1;
      verdict.last = line.seq;
      ++verdict.lines;
    }
    if (verdict.lines - before < 1000) co_return verdict;
  }
}

Result<int> verify(ApiClient& api, const Arguments& arguments) {
  const std::string id = std::to_string(TRY(parse_job_id(arguments.words().at(0))));
  const std::string path = "/api/v1/jobs/" + id;
  const auto job = TRY(api.call("GET", path, "showing job " + id));
  std::optional<Result<Verdict>> read;
  api.complete([](ApiClient& a, std::string p, std::optional<Result<Verdict>>& out) -> Task<int> {
    out.emplace(co_await read_all(a, std::move(p)));
    co_return kExitDone;
  }(api, path, read));
  Verdict verdict = TRY(std::move(*read));
  // Lines that the agent says it wrote, past the last one that is there.
  if (job.is_object()) {
    const auto* log = TRY(find_object(job.get_object(), "log"));
    const auto last = log == nullptr ? std::nullopt : TRY(find_int(*log, "last_seq", 0));
    if (last && *last > verdict.last) verdict.missing += *last - verdict.last;
  }
  const bool whole = verdict.missing == 0;
  if (arguments.has("--json")) {
    print_json(json::object{{"job", std::stoll(id)},
                            {"lines", verdict.lines},
                            {"missing", verdict.missing},
                            {"complete", whole}});
  } else {
    print_out("job " + id + ": " + std::to_string(verdict.lines) + " lines, " +
              (whole ? "none missing\n" : std::to_string(verdict.missing) + " missing\n"));
  }
  return whole ? kExitDone : kExitFailed;
}

template <Result<int> (*kRun)(ApiClient&, const Arguments&)>
int command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return kRun(api, arguments); });
}

}  // namespace

std::vector<Command> log_commands() {
  std::vector<Command> commands;
  commands.push_back(
      {.noun = "log",
       .verb = "search",
       .summary = "Search the lines of all jobs",
       .example = "nimbus log search 'out of memory' --org acme --since 2h",
       .options = {{"--org", "ORG", "Of this org (default: all you may see)"},
                   {"--repo", "REPO", "Of this repository"},
                   {"--job", "ID", "Of this job"},
                   {"--level", "LEVEL", "Of this level: debug, info, warn, error"},
                   {"--since", "TIME", "Since then: 2h, 3d, or 2026-01-31T12:00:00Z"},
                   {"--until", "TIME", "Before then, written the same way"},
                   kLimitOption,
                   kCursorOption},
       .words = {"[TEXT...]"},
       .talks_to_server = true,
       .run = command<search>});
  commands.push_back({.noun = "log",
                      .verb = "verify",
                      .summary = "Prove that no line of a job's log is missing",
                      .example = "nimbus log verify 12",
                      .words = {"JOB"},
                      .talks_to_server = true,
                      .run = command<verify>});
  return commands;
}

}  // namespace nimbus::cli
