// nimbus org list|show|set
#include <array>
#include <boost/json.hpp>
#include <cstdio>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/list_page.h"
#include "cli/option_checks.h"
#include "cli/table.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

struct Limit {
  const char* option;
  const char* field;
  bool bytes;
};
constexpr std::array<Limit, 4> kLimits = {{
    {"--jobs-per-minute", "jobs_per_minute", false},
    {"--concurrent-jobs", "concurrent_jobs", false},
    {"--cache-bytes-max", "cache_bytes_max", true},
    {"--registry-bytes-max", "registry_bytes_max", true},
}};

std::string limit_cell(const json::object& org, const Limit& limit) {
  const auto number = find_int(org, limit.field);
  if (!limit.bytes && number && *number && **number == 0) return "no limit";
  if (!limit.bytes || !number || !*number) return cell(org, limit.field);
  return bytes_text(**number);
}

std::string orgs_table(const json::array& orgs) {
  Table table({{"ORG"},
               {"JOBS/MIN", Align::right},
               {"CONCURRENT", Align::right},
               {"CACHE", Align::right},
               {"REGISTRY", Align::right},
               {"EGRESS"}});
  for (const auto& value : orgs) {
    if (!value.is_object()) continue;
    const auto& org = value.get_object();
    std::vector<std::string> row = {cell(org, "org")};
    for (const Limit& limit : kLimits) row.push_back(limit_cell(org, limit));
    row.push_back(cell(org, "egress"));
    table.add(std::move(row));
  }
  return table.text(stdout_takes_colour());
}

Result<int> print_org(const json::value& org, bool as_json) {
  if (as_json) {
    print_json(org);
  } else {
    print_out(orgs_table(json::array{org}));
    const std::string defaults = org.is_object() ? cell(org.get_object(), "defaults") : "-";
    if (defaults != "-") print_out("\nas the server's defaults: " + printable(defaults) + "\n");
  }
  return kExitDone;
}

std::string org_path(const Arguments& arguments) {
  return "/api/v1/orgs/" + net::percent_encode(arguments.words().at(0));
}

Result<int> list(ApiClient& api, const Arguments& arguments) {
  const std::string query =
      query_of({{"limit", arguments.find("--limit")}, {"cursor", arguments.find("--cursor")}});
  const auto page = TRY(api.call("GET", "/api/v1/orgs" + query, "listing orgs"));
  return print_page(page, arguments.has("--json"), orgs_table);
}

Result<int> show(ApiClient& api, const Arguments& arguments) {
  const auto org =
      TRY(api.call("GET", org_path(arguments), "showing org " + arguments.words().at(0)));
  return print_org(org, arguments.has("--json"));
}

// "default" takes a setting back.
Result<json::object> make_change(const Arguments& arguments) {
  json::object body;
  for (const Limit& limit : kLimits) {
    const auto given = arguments.find(limit.option);
    if (!given) continue;
    if (*given == "default") {
      body[limit.field] = nullptr;
    } else {
      body[limit.field] = *TRY(arguments.find_integer(limit.option, 0, INT64_MAX));
    }
  }
  if (const auto egress = arguments.find("--egress")) body["egress"] = *egress;
  if (body.empty()) {
    return fail(Code::bad_request, "nothing to set", "name a limit, e.g. --concurrent-jobs 20");
  }
  return body;
}

Result<int> set(ApiClient& api, const Arguments& arguments) {
  const std::string body = json::serialize(TRY(make_change(arguments)));
  const auto org =
      TRY(api.call("PUT", org_path(arguments), "setting org " + arguments.words().at(0), body));
  return print_org(org, arguments.has("--json"));
}

template <Result<int> (*kRun)(ApiClient&, const Arguments&)>
int command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return kRun(api, arguments); });
}

}  // namespace

std::vector<Command> org_commands() {
  std::vector<Command> commands;
  commands.push_back({.noun = "org",
                      .verb = "list",
                      .summary = "List orgs and their limits",
                      .example = "nimbus org list",
                      .options = {kLimitOption, kCursorOption},
                      .talks_to_server = true,
                      .run = command<list>});
  commands.push_back({.noun = "org",
                      .verb = "show",
                      .summary = "Show one org's limits",
                      .example = "nimbus org show acme",
                      .words = {"ORG"},
                      .talks_to_server = true,
                      .run = command<show>});
  commands.push_back(
      {.noun = "org",
       .verb = "set",
       .summary = "Change an org's limits; 'default' takes one back",
       .example = "nimbus org set acme --concurrent-jobs 20 --jobs-per-minute 120",
       .options = {{"--jobs-per-minute", "N", "Jobs that may start in a minute; 0: no limit"},
                   {"--concurrent-jobs", "N", "Jobs that may run at once; 0: no limit"},
                   {"--cache-bytes-max", "BYTES", "Room for the Actions cache"},
                   {"--registry-bytes-max", "BYTES", "Room for images"},
                   {"--egress", "POLICY", "default (no private networks) or open", false, "",
                    nullptr, egress_policies}},
       .words = {"ORG"},
       .talks_to_server = true,
       .run = command<set>});
  return commands;
}

}  // namespace nimbus::cli
