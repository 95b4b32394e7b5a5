// nimbus cache list|usage|purge|audit
#include <boost/json.hpp>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/list_page.h"
#include "cli/option_checks.h"
#include "cli/table.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

const Option kOrgOption = {"--org", "ORG", "Only this org's"};
const Option kRepoOption = {"--repo", "REPO", "Only this repository's"};
const Option kRefOption = {"--ref", "REF", "Only this scope's, for instance refs/heads/main"};
const Option kKeyOption = {"--key", "PREFIX", "Only keys that start with this"};
const Option kKindOption = {"--kind", "KIND",     "Only `actions` or `plain` entries", false, "",
                            nullptr,  entry_kinds};

const Option kSortOption = {"--sort", "ORDER",
                            "newest (default), oldest, used, unused, largest or smallest"};

std::string writer_cell(const json::object& object) {
  const auto* writer = object.if_contains("writer");
  if (writer == nullptr || !writer->is_object()) return "-";
  return cell(writer->get_object(), "by") + " (" + cell(writer->get_object(), "trust") + ")";
}

std::string entries_table(const json::array& entries) {
  const Time now = system_clock().now();
  Table table({{"ID", Align::right},
               {"REPO", Align::left, 40},
               {"REF", Align::left, 32},
               {"KEY", Align::left, 60},
               {"SIZE", Align::right},
               {"USED", Align::right},
               {"WRITER"}});
  for (const auto& value : entries) {
    if (!value.is_object()) continue;
    const auto& one = value.get_object();
    const auto* used = one.if_contains("last_used_at");
    table.add({cell(one, "id"), repo_cell(one), cell(one, "ref"), cell(one, "key"), size_cell(one),
               used == nullptr ? "-" : age(*used, now), writer_cell(one)});
  }
  return table.text(stdout_takes_colour());
}

std::string usage_table(const json::array& repos) {
  Table table(
      {{"REPO"}, {"ENTRIES", Align::right}, {"BLOBS", Align::right}, {"SIZE", Align::right}});
  for (const auto& value : repos) {
    if (!value.is_object()) continue;
    const auto& one = value.get_object();
    table.add({repo_cell(one), cell(one, "entries"), cell(one, "blobs"), size_cell(one)});
  }
  return table.text(stdout_takes_colour());
}

std::string filter_of(const Arguments& arguments) {
  return query_of({{"org", arguments.find("--org")},
                   {"repo", arguments.find("--repo")},
                   {"ref", arguments.find("--ref")},
                   {"key", arguments.find("--key")},
                   {"kind", arguments.find("--kind")},
                   {"sort", arguments.find("--sort")},
                   {"limit", arguments.find("--limit")},
                   {"cursor", arguments.find("--cursor")}});
}

Result<int> list(ApiClient& api, const Arguments& arguments) {
  const auto page =
      TRY(api.call("GET", "/api/v1/caches" + filter_of(arguments), "listing cache entries"));
  return print_page(page, arguments.has("--json"), entries_table);
}

Result<int> usage(ApiClient& api, const Arguments& arguments) {
  const auto page =
      TRY(api.call("GET",
                   "/api/v1/caches/usage" + query_of({{"org", arguments.find("--org")},
                                                      {"limit", arguments.find("--limit")},
                                                      {"cursor", arguments.find("--cursor")}}),
                   "reading what caches use"));
  return print_page(page, arguments.has("--json"), usage_table);
}

Result<int> purge(ApiClient& api, const Arguments& arguments) {
  if (!arguments.find("--org")) {
    complain(Error{Code::bad_request, "purging needs to know whose entries", "give --org ORG"});
    return kExitUsage;
  }
  const auto done =
      TRY(api.call("DELETE", "/api/v1/caches" + filter_of(arguments), "purging cache entries"));
  return print_removed(done, arguments.has("--json"), "entries");
}

// Fails when there are findings, so that a pipeline notices.
Result<int> audit(ApiClient& api, const Arguments& arguments) {
  const auto page =
      TRY(api.call("GET", "/api/v1/caches/audit" + filter_of(arguments), "auditing the cache"));
  const auto* items = page.is_object() ? page.get_object().if_contains("items") : nullptr;
  const bool clean = items != nullptr && items->is_array() && items->get_array().empty();
  if (clean && !arguments.has("--json")) {
    print_out("no entry can be read by jobs of more trust than its writer\n");
    return kExitDone;
  }
  const int printed = TRY(print_page(page, arguments.has("--json"), entries_table));
  return clean ? printed : kExitFailed;
}

template <Result<int> (*kRun)(ApiClient&, const Arguments&)>
int command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return kRun(api, arguments); });
}

}  // namespace

std::vector<Command> cache_commands() {
  const std::vector<Option> filters = {kOrgOption, kRepoOption, kRefOption, kKeyOption,
                                       kKindOption};
  std::vector<Option> pages = filters;
  pages.push_back(kLimitOption);
  pages.push_back(kCursorOption);
  std::vector<Option> lists = pages;
  lists.push_back(kSortOption);
  return {
      {.noun = "cache",
       .verb = "list",
       .summary = "List cache entries, and who wrote them",
       .example = "nimbus cache list --org acme --repo app --key npm- --sort largest",
       .options = lists,
       .talks_to_server = true,
       .run = command<list>},
      {.noun = "cache",
       .verb = "usage",
       .summary = "Show what caches and artifacts use, by repository",
       .example = "nimbus cache usage --org acme",
       .options = {kOrgOption, kLimitOption, kCursorOption},
       .talks_to_server = true,
       .run = command<usage>},
      {.noun = "cache",
       .verb = "purge",
       .summary = "Remove the cache entries of an org that the options select",
       .example = "nimbus cache purge --org acme --repo app --ref refs/heads/old",
       .options = filters,
       .notes = "Artifacts stay. The bytes go when nothing refers to them for an hour.",
       .talks_to_server = true,
       .run = command<purge>},
      {.noun = "cache",
       .verb = "audit",
       .summary = "List entries that jobs of more trust than their writer can read: none is right",
       .example = "nimbus cache audit",
       .options = pages,
       .notes = "Exits with 1 when there is one.",
       .talks_to_server = true,
       .run = command<audit>},
  };
}

}  // namespace nimbus::cli
