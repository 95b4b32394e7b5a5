// nimbus repository list|usage|purge
#include <boost/json.hpp>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/list_page.h"
#include "cli/table.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

const Option kOrgOption = {"--org", "ORG", "Only this org's"};

std::string bytes_cell(const json::object& object) {
  const auto* bytes = object.if_contains("bytes");
  return bytes != nullptr && bytes->is_int64() ? bytes_text(bytes->get_int64()) : "-";
}

std::string age_cell(const json::object& object, std::string_view field, Time now) {
  const auto* time = object.if_contains(field);
  return time == nullptr ? "-" : age(*time, now);
}

std::string repositories_table(const json::array& repositories) {
  const Time now = system_clock().now();
  Table table({{"REPOSITORY", Align::left, 60},
               {"TAGS", Align::right},
               {"MANIFESTS", Align::right},
               {"BLOBS", Align::right},
               {"SIZE", Align::right},
               {"PUSHED", Align::right},
               {"PULLED", Align::right}});
  for (const auto& value : repositories) {
    if (!value.is_object()) continue;
    const auto& one = value.get_object();
    table.add({cell(one, "repository"), cell(one, "tags"), cell(one, "manifests"),
               cell(one, "blobs"), bytes_cell(one), age_cell(one, "pushed_at", now),
               age_cell(one, "pulled_at", now)});
  }
  return table.text(stdout_takes_colour());
}

std::string usage_table(const json::array& orgs) {
  Table table({{"ORG"}, {"BLOBS", Align::right}, {"SIZE", Align::right}});
  for (const auto& value : orgs) {
    if (!value.is_object()) continue;
    const auto& one = value.get_object();
    table.add({cell(one, "org"), cell(one, "blobs"), bytes_cell(one)});
  }
  return table.text(stdout_takes_colour());
}

Result<int> list(ApiClient& api, const Arguments& arguments) {
  const auto page =
      TRY(api.call("GET",
                   "/api/v1/repositories" + query_of({{"org", arguments.find("--org")},
                                                      {"limit", arguments.find("--limit")},
                                                      {"cursor", arguments.find("--cursor")}}),
                   "listing repositories"));
  return print_page(page, arguments.has("--json"), repositories_table);
}

Result<int> usage(ApiClient& api, const Arguments& arguments) {
  const auto page =
      TRY(api.call("GET", "/api/v1/repository-usage" + query_of({{"org", arguments.find("--org")}}),
                   "reading what repositories use"));
  return print_page(page, arguments.has("--json"), usage_table);
}

Result<int> purge(ApiClient& api, const Arguments& arguments) {
  const std::string& name = arguments.words().at(0);
  std::string path;
  for (const char c : name) path += c == '/' ? "/" : net::percent_encode(std::string(1, c));
  const std::optional<std::string> untagged =
      arguments.has("--untagged") ? std::optional<std::string>("true") : std::nullopt;
  const auto done =
      TRY(api.call("DELETE",
                   "/api/v1/repositories/" + path +
                       query_of({{"tag", arguments.find("--tag")}, {"untagged", untagged}}),
                   "purging " + name));
  if (arguments.has("--json")) {
    print_json(done);
  } else if (done.is_object()) {
    const auto& counts = done.get_object();
    print_out("removed from " + name + ": " + cell(counts, "tags") + " tags, " +
              cell(counts, "manifests") + " manifests, " + cell(counts, "blobs") + " blobs\n");
  }
  return kExitDone;
}

template <Result<int> (*kRun)(ApiClient&, const Arguments&)>
int command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return kRun(api, arguments); });
}

}  // namespace

std::vector<Command> repository_commands() {
  return {
      {.noun = "repository",
       .verb = "list",
       .summary = "List the registry's repositories, their size and last use",
       .example = "nimbus repository list --org acme",
       .options = {kOrgOption, kLimitOption, kCursorOption},
       .talks_to_server = true,
       .run = command<list>},
      {.noun = "repository",
       .verb = "usage",
       .summary = "Show what each org stores in the registry",
       .example = "nimbus repository usage",
       .options = {kOrgOption},
       .talks_to_server = true,
       .run = command<usage>},
      {.noun = "repository",
       .verb = "purge",
       .summary = "Remove a repository, one tag of it, or what no tag leads to",
       .example = "nimbus repository purge acme/app --untagged",
       .options = {{"--tag", "TAG", "Only this tag"},
                   {"--untagged", "", "Only manifests that no tag leads to"}},
       .words = {"REPOSITORY"},
       .notes = "The bytes go when nothing refers to them for an hour.",
       .talks_to_server = true,
       .run = command<purge>},
  };
}

}  // namespace nimbus::cli
