// nimbus artifact list|purge
#include <boost/json.hpp>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/list_page.h"
#include "cli/table.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

std::string artifacts_table(const json::array& artifacts) {
  const Time now = system_clock().now();
  Table table({{"ID", Align::right},
               {"REPO", Align::left, 40},
               {"RUN", Align::right},
               {"JOB", Align::right},
               {"NAME", Align::left, 60},
               {"SIZE", Align::right},
               {"AGE", Align::right}});
  for (const auto& value : artifacts) {
    if (!value.is_object()) continue;
    const auto& one = value.get_object();
    const auto* created = one.if_contains("created_at");
    table.add({cell(one, "id"), repo_cell(one), cell(one, "run"), cell(one, "job"),
               cell(one, "name"), size_cell(one), created == nullptr ? "-" : age(*created, now)});
  }
  return table.text(stdout_takes_colour());
}

std::string filter_of(const Arguments& arguments) {
  return query_of({{"org", arguments.find("--org")},
                   {"repo", arguments.find("--repo")},
                   {"run", arguments.find("--run")},
                   {"name", arguments.find("--name")},
                   {"limit", arguments.find("--limit")},
                   {"cursor", arguments.find("--cursor")}});
}

Result<int> list(ApiClient& api, const Arguments& arguments) {
  const auto page =
      TRY(api.call("GET", "/api/v1/artifacts" + filter_of(arguments), "listing artifacts"));
  return print_page(page, arguments.has("--json"), artifacts_table);
}

Result<int> remove_one(ApiClient& api, const std::string& id, bool as_json) {
  TRY(api.call("DELETE", "/api/v1/artifacts/" + net::percent_encode(id),
               "removing artifact " + id));
  if (as_json) {
    print_json(json::object{{"deleted", 1}});
  } else {
    print_out("removed artifact " + id + "\n");
  }
  return kExitDone;
}

Result<int> purge(ApiClient& api, const Arguments& arguments) {
  const std::string filter = filter_of(arguments);
  const bool one = !arguments.words().empty();
  if (one != filter.empty()) {
    complain(Error{Code::bad_request, "it takes either an artifact's ID or options that select",
                   "see: nimbus artifact list"});
    return kExitUsage;
  }
  if (one) return remove_one(api, arguments.words().front(), arguments.has("--json"));
  if (!arguments.find("--org")) {
    complain(Error{Code::bad_request, "purging needs to know whose artifacts", "give --org ORG"});
    return kExitUsage;
  }
  const auto done = TRY(api.call("DELETE", "/api/v1/artifacts" + filter, "purging artifacts"));
  return print_removed(done, arguments.has("--json"), "artifacts");
}

template <Result<int> (*kRun)(ApiClient&, const Arguments&)>
int command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return kRun(api, arguments); });
}

}  // namespace

std::vector<Command> artifact_commands() {
  const std::vector<Option> filters = {
      {"--org", "ORG", "Only this org's"},
      {"--repo", "REPO", "Only this repository's"},
      {"--run", "RUN", "Only this run's: GitHub's run id, or a native job's number"},
      {"--name", "NAME", "Only those of this name"}};
  std::vector<Option> pages = filters;
  pages.push_back(kLimitOption);
  pages.push_back(kCursorOption);
  return {
      {.noun = "artifact",
       .verb = "list",
       .summary = "List artifacts, newest first, and the runs that made them",
       .example = "nimbus artifact list --org acme --repo app --run 4711",
       .options = pages,
       .talks_to_server = true,
       .run = command<list>},
      {.noun = "artifact",
       .verb = "purge",
       .summary = "Remove one artifact, or those of an org that the options select",
       .example = "nimbus artifact purge --org acme --repo app --name coverage",
       .options = filters,
       .words = {"[ID]"},
       .notes = "The bytes go when nothing refers to them for an hour.",
       .talks_to_server = true,
       .run = command<purge>},
  };
}

}  // namespace nimbus::cli
