// nimbus token create|list|revoke
#include <boost/json.hpp>
#include <cstdio>

#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/job_print.h"
#include "cli/list_page.h"
#include "cli/option_checks.h"
#include "cli/table.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

std::string tokens_table(const json::array& tokens) {
  const Time now = system_clock().now();
  Table table({{"ID"},
               {"NAME", Align::left, 40},
               {"ROLE"},
               {"ORG"},
               {"MADE", Align::right},
               {"USED", Align::right},
               {"EXPIRES"}});
  for (const auto& value : tokens) {
    if (!value.is_object()) continue;
    const auto& token = value.get_object();
    const auto ago = [&](const char* field) {
      const auto* time = token.if_contains(field);
      return time == nullptr ? std::string("-") : age(*time, now);
    };
    table.add({cell(token, "id"), cell(token, "name"), cell(token, "role"), cell(token, "org"),
               ago("created_at"), ago("last_used_at"), cell(token, "expires_at")});
  }
  return table.text(stdout_takes_colour());
}

Result<std::string> make_request(const Arguments& arguments) {
  json::object body;
  body["name"] = arguments.words().at(0);
  body["role"] = arguments.find("--role").value_or("viewer");
  body["org"] = arguments.find("--org").value_or("*");
  if (const auto repo = arguments.find("--repo")) body["repo"] = *repo;
  if (const auto life = arguments.find("--expires-in")) {
    body["expires_in_s"] = TRY_IN("--expires-in", parse_seconds(*life));
  }
  return json::serialize(body);
}

Result<int> create(ApiClient& api, const Arguments& arguments) {
  const std::string body = TRY(make_request(arguments));
  const auto answer = TRY(api.call("POST", "/api/v1/tokens", "making a token", body));
  if (arguments.has("--json")) {
    print_json(answer);
    return kExitDone;
  }
  if (!answer.is_object()) return fail(Code::corrupt, "the server's answer is not an object");
  const auto& token = answer.get_object();
  print_out(TRY(read_text(token, "token")) + "\n");
  std::fprintf(stderr,
               "Shown this once: keep it. Take it away again with: nimbus token revoke %s\n",
               cell(token, "id").c_str());
  return kExitDone;
}

Result<int> list(ApiClient& api, const Arguments& arguments) {
  const std::string query = query_of({{"org", arguments.find("--org")},
                                      {"limit", arguments.find("--limit")},
                                      {"cursor", arguments.find("--cursor")}});
  const auto page = TRY(api.call("GET", "/api/v1/tokens" + query, "listing tokens"));
  return print_page(page, arguments.has("--json"), tokens_table);
}

Result<int> revoke(ApiClient& api, const Arguments& arguments) {
  const std::string& id = arguments.words().at(0);
  TRY(api.call("DELETE", "/api/v1/tokens/" + net::percent_encode(id), "revoking token " + id));
  if (arguments.has("--json")) {
    print_json(json::object{{"id", id}, {"revoked", true}});
  } else {
    print_out("token " + id + " is revoked\n");
  }
  return kExitDone;
}

template <Result<int> (*kRun)(ApiClient&, const Arguments&)>
int command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return kRun(api, arguments); });
}

}  // namespace

std::vector<Command> token_commands() {
  std::vector<Command> commands;
  commands.push_back(
      {.noun = "token",
       .verb = "create",
       .summary = "Make a token; it is shown once",
       .example = "nimbus token create ci-bot --role operator --org acme --expires-in 90d",
       .options = {{"--role", "ROLE", "viewer, operator, admin or ingest (default viewer)", false,
                    "", nullptr, token_roles},
                   {"--org", "ORG", "The org it may act in (default *: all)"},
                   {"--repo", "REPO", "The repository it may send for (role ingest only)"},
                   {"--expires-in", "TIME",
                    "Its life: seconds, or 15m, 2h, 90d (default: no end)"}},
       .words = {"NAME"},
       .talks_to_server = true,
       .run = command<create>});
  commands.push_back({.noun = "token",
                      .verb = "list",
                      .summary = "List tokens, without their text",
                      .example = "nimbus token list --org acme",
                      .options = {{"--org", "ORG", "Of this org (default: all you may see)"},
                                  kLimitOption,
                                  kCursorOption},
                      .talks_to_server = true,
                      .run = command<list>});
  commands.push_back({.noun = "token",
                      .verb = "revoke",
                      .summary = "Take a token away for good",
                      .example = "nimbus token revoke 3f2a9c",
                      .words = {"ID"},
                      .talks_to_server = true,
                      .run = command<revoke>});
  return commands;
}

}  // namespace nimbus::cli
