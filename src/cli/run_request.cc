#include "cli/run_request.h"

#include <boost/json.hpp>

#include "cli/job_print.h"
#include "cli/option_checks.h"
#include "control/job_request.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

std::string text_or(const Arguments& arguments, std::string_view option,
                    const Environment& environment, const std::string& variable,
                    std::string_view otherwise) {
  if (const auto given = arguments.find(option)) return *given;
  const char* value = environment(variable);
  return value != nullptr && *value != '\0' ? value : std::string(otherwise);
}

// --env NAME takes the value from this shell, as docker does: a secret need not stand in argv.
Result<json::object> read_env(const Arguments& arguments, const Environment& environment) {
  json::object env;
  for (const std::string& given : arguments.all("--env")) {
    const size_t equals = given.find('=');
    const std::string name = given.substr(0, equals);
    if (name.empty())
      return fail(Code::bad_request, "--env '" + given + "' has no name", "write NAME=VALUE");
    if (equals != std::string::npos) {
      env[name] = given.substr(equals + 1);
      continue;
    }
    const char* value = environment(name);
    if (value == nullptr) {
      return fail(Code::bad_request, "--env " + name + ": this shell has no such variable",
                  "write --env " + name + "=VALUE, or export it");
    }
    env[name] = value;
  }
  return env;
}

Result<json::object> read_metadata(const Arguments& arguments) {
  json::object metadata;
  for (const std::string& given : arguments.all("--metadata")) {
    const size_t equals = given.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(Code::bad_request, "--metadata '" + given + "' is not KEY=VALUE");
    }
    metadata[given.substr(0, equals)] = given.substr(equals + 1);
  }
  return metadata;
}

Result<json::object> read_resources(const Arguments& arguments) {
  json::object resources;
  if (const auto cpus = TRY(arguments.find_integer("--cpus", 1, control::kCpusMax)))
    resources["cpus"] = *cpus;
  if (const auto memory = TRY(arguments.find_integer("--memory", 128, control::kMemoryMbMax))) {
    resources["memory_mb"] = *memory;
  }
  if (const auto disk = TRY(arguments.find_integer("--disk", 64, control::kDiskMbMax)))
    resources["disk_mb"] = *disk;
  return resources;
}

}  // namespace

const std::vector<Option>& run_options() {
  static const std::vector<Option> options = {
      {"", "", "what runs"},
      {"--image", "IMAGE", "Image to boot (default: the server's, nimbus/base)", false, "",
       image_name},
      {"--env", "NAME=VALUE", "Variable for the command; NAME alone takes this shell's", true, "-e",
       variable},
      {"--timeout", "TIME",
       "End it after this long: seconds, or 15m, 2h (default: the server's, 1h)"},
      {"--retries", "N", "Tries after a lost host (default: the server's, 2)", false, "",
       integer_between<0, control::kRetriesMax>},
      {"", "", "resources"},
      {"--cpus", "N", "Processors (default: the server's, 2)", false, "",
       integer_between<1, control::kCpusMax>},
      {"--memory", "MB", "Memory in MB (default: the server's, 2048)", false, "",
       integer_between<128, control::kMemoryMbMax>},
      {"--disk", "MB", "Scratch disk in MB (default: the server's, 10240)", false, "",
       integer_between<64, control::kDiskMbMax>},
      {"", "", "whose it is"},
      {"--org", "ORG", "Org it belongs to (default $NIMBUS_ORG, else local)"},
      {"--repo", "REPO", "Repository it belongs to (default $NIMBUS_REPO, else local)"},
      {"--ref", "REF", "Git ref to note with it"},
      {"--sha", "SHA", "Commit to note with it"},
      {"--label", "LABEL", "Label that agents and filters see", true},
      {"--metadata", "KEY=VALUE", "Note for filters and people", true, "", key_and_value},
      {"", "", "output"},
      {"--detach", "", "Print the job's number and leave", false, "-d"},
      {"--quiet", "", "Print the command's output alone", false, "-q"},
  };
  return options;
}

Result<json::object> make_job_request(const Arguments& arguments, const Environment& environment) {
  json::object body;
  body["org"] = text_or(arguments, "--org", environment, "NIMBUS_ORG", "local");
  body["repo"] = text_or(arguments, "--repo", environment, "NIMBUS_REPO", "local");
  for (const char* name : {"ref", "sha", "image"}) {
    if (const auto given = arguments.find("--" + std::string(name))) body[name] = *given;
  }
  json::array command;
  for (const std::string& word : arguments.rest()) command.emplace_back(word);
  body["command"] = std::move(command);
  auto env = TRY(read_env(arguments, environment));
  if (!env.empty()) body["env"] = std::move(env);
  if (const auto timeout = arguments.find("--timeout")) {
    const int64_t seconds = TRY_IN("--timeout", parse_seconds(*timeout));
    if (seconds < 1 || seconds > control::kTimeoutSecondsMax) {
      return fail(Code::bad_request, "--timeout '" + *timeout + "' is not from 1 s to 5 days");
    }
    body["timeout_s"] = seconds;
  }
  auto resources = TRY(read_resources(arguments));
  if (!resources.empty()) body["resources"] = std::move(resources);
  json::array labels;
  for (const std::string& label : arguments.all("--label")) labels.emplace_back(label);
  if (!labels.empty()) body["labels"] = std::move(labels);
  auto metadata = TRY(read_metadata(arguments));
  if (!metadata.empty()) body["metadata"] = std::move(metadata);
  if (const auto retries = TRY(arguments.find_integer("--retries", 0, control::kRetriesMax)))
    body["retries"] = *retries;
  return body;
}

}  // namespace nimbus::cli
