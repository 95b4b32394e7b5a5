// nimbus agent list|show|drain|resume|revoke|enroll
#include <boost/json.hpp>
#include <cstdio>

#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/list_page.h"
#include "cli/table.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

std::string agent_path(const std::string& id) {
  return "/api/v1/agents/" + net::percent_encode(id);
}

std::string agents_table(const json::array& agents) {
  const Time now = system_clock().now();
  Table table({{"ID"},
               {"NAME", Align::left, 30},
               {"STATE"},
               {"FREE", Align::right},
               {"WARM", Align::right},
               {"VMM"},
               {"ACCEL"},
               {"VERSION"},
               {"SEEN", Align::right},
               {"JOBS", Align::left, 40}});
  for (const auto& value : agents) {
    if (!value.is_object()) continue;
    const auto& agent = value.get_object();
    const auto* seen = agent.if_contains("last_seen_at");
    table.add({cell(agent, "id"), cell(agent, "name"), cell(agent, "state"),
               cell(agent, "slots_free") + "/" + cell(agent, "slots"), cell(agent, "warm"),
               cell(agent, "vmm"), cell(agent, "accel"), cell(agent, "version"),
               seen == nullptr ? "-" : age(*seen, now), cell(agent, "jobs")});
  }
  return table.text(stdout_takes_colour());
}

std::string agent_details(const json::object& agent) {
  std::string out;
  for (const char* field : {"id", "name", "state", "slots", "slots_free", "warm", "version", "vmm",
                            "accel", "cgroup", "enrolled_at", "last_seen_at", "jobs"}) {
    std::string label = field;
    label.resize(14, ' ');
    out += label + printable(cell(agent, field)) + "\n";
  }
  return out;
}

Result<int> list(ApiClient& api, const Arguments& arguments) {
  const auto page =
      TRY(api.call("GET",
                   "/api/v1/agents" + query_of({{"limit", arguments.find("--limit")},
                                                {"cursor", arguments.find("--cursor")}}),
                   "listing agents"));
  return print_page(page, arguments.has("--json"), agents_table);
}

Result<int> show(ApiClient& api, const Arguments& arguments) {
  const std::string& id = arguments.words().at(0);
  const auto agent = TRY(api.call("GET", agent_path(id), "showing agent " + id));
  if (arguments.has("--json")) {
    print_json(agent);
  } else if (agent.is_object()) {
    print_out(agent_details(agent.get_object()));
  }
  return kExitDone;
}

Result<int> change(ApiClient& api, const Arguments& arguments, std::string_view method,
                   std::string_view path_end, const std::string& doing, const std::string& done) {
  const std::string& id = arguments.words().at(0);
  const auto agent =
      TRY(api.call(method, agent_path(id) + std::string(path_end), doing + " agent " + id));
  if (arguments.has("--json")) {
    // One that is revoked is answered with nothing.
    print_json(agent.is_object() ? agent : json::value{{"id", id}, {"revoked", true}});
  } else {
    print_out("agent " + id + " " + done + "\n");
  }
  return kExitDone;
}

Result<int> drain(ApiClient& api, const Arguments& arguments) {
  return change(api, arguments, "POST", "/drain", "draining",
                "gets no new jobs; those it runs go on");
}
Result<int> resume(ApiClient& api, const Arguments& arguments) {
  return change(api, arguments, "POST", "/resume", "resuming", "gets jobs again");
}
Result<int> revoke(ApiClient& api, const Arguments& arguments) {
  return change(api, arguments, "DELETE", "", "revoking",
                "is revoked; jobs it ran are tried elsewhere");
}

Result<int> enroll(ApiClient& api, const Arguments& arguments) {
  const auto answer =
      TRY(api.call("POST", "/api/v1/agents/enrollments", "making an enrolment token"));
  if (arguments.has("--json")) {
    print_json(answer);
    return kExitDone;
  }
  if (!answer.is_object()) return fail(Code::corrupt, "the server's answer is not an object");
  const std::string token = TRY(read_text(answer.get_object(), "token"));
  print_out(token + "\n");
  std::fprintf(stderr,
               "This token enrols one agent, once, until %s. On its host:\n"
               "  NIMBUS_AGENT_ENROLLMENT_TOKEN=%s nimbus serve agent --server %s\n",
               cell(answer.get_object(), "expires_at").c_str(), token.c_str(), api.url().c_str());
  return kExitDone;
}

template <Result<int> (*kRun)(ApiClient&, const Arguments&)>
int command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return kRun(api, arguments); });
}

Command about(std::string_view verb, std::string_view summary, std::string_view example,
              int (*run)(const Arguments&)) {
  return {.noun = "agent",
          .verb = verb,
          .summary = summary,
          .example = example,
          .words = {"ID"},
          .talks_to_server = true,
          .run = run};
}

}  // namespace

std::vector<Command> agent_commands() {
  std::vector<Command> commands;
  commands.push_back({.noun = "agent",
                      .verb = "list",
                      .summary = "List the hosts that run jobs",
                      .example = "nimbus agent list",
                      .options = {kLimitOption, kCursorOption},
                      .talks_to_server = true,
                      .run = command<list>});
  commands.push_back(
      about("show", "Show one agent", "nimbus agent show agent-0123456789ab", command<show>));
  commands.push_back(about("drain", "Give an agent no new jobs; those it runs go on",
                           "nimbus agent drain agent-0123456789ab", command<drain>));
  commands.push_back(about("resume", "Give a drained agent jobs again",
                           "nimbus agent resume agent-0123456789ab", command<resume>));
  commands.push_back(about("revoke", "Take an agent's credential away for good",
                           "nimbus agent revoke agent-0123456789ab", command<revoke>));
  commands.push_back({.noun = "agent",
                      .verb = "enroll",
                      .summary = "Make a one-time token for a new agent, valid for an hour",
                      .example = "nimbus agent enroll",
                      .talks_to_server = true,
                      .run = command<enroll>});
  return commands;
}

}  // namespace nimbus::cli
