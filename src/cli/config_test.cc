#include "cli/config.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>

using namespace nimbus;
using namespace nimbus::cli;

namespace {

Environment no_environment() {
  return [](const std::string&) -> const char* { return nullptr; };
}

Error refusal(std::string_view toml) {
  const auto config = parse_config(toml, "nimbus.toml", no_environment());
  REQUIRE(!config.has_value());
  return config.error();
}

}  // namespace

TEST_CASE("an empty file gives the defaults and the profile nimbus") {
  const auto config = parse_config("", "nimbus.toml", no_environment());
  REQUIRE(config.has_value());
  CHECK(config->control.lease_ttl_s == 60);
  CHECK(config->webhook.mode == "github");
  CHECK(config->profiles.contains("nimbus"));
}

TEST_CASE("the template of a new data directory is valid and changes no default") {
  const auto config = parse_config(config_template(), "nimbus.toml", no_environment());
  REQUIRE(config.has_value());
  CHECK(config_toml(*config) == config_toml(*parse_config("", "", no_environment())));
}

TEST_CASE("what config show prints reads back as the same configuration") {
  const auto config =
      parse_config("[agent]\nslots = 7\n[profiles.big]\ncpus = 8\nentry = [\"a\\\"b\"]\n", "f",
                   no_environment());
  REQUIRE(config.has_value());
  const auto again = parse_config(config_toml(*config), "f", no_environment());
  REQUIRE(again.has_value());
  CHECK(config_toml(*again) == config_toml(*config));
  CHECK(again->profiles.at("big").entry == std::vector<std::string>{"a\"b"});
}

TEST_CASE("config show keeps odd names and texts, and the order of many retention rules") {
  std::string toml = R"([profiles."two words"]
entry = ["sh", "-c", "a\nb\t\u007f\"c\\d"]
)";
  for (int i = 10; i < 22; ++i) {
    toml += "[registry.retention.r" + std::to_string(i) + "]\nkeep_newest = " + std::to_string(i);
    toml += "\n";
  }
  const auto config = parse_config(toml, "f", no_environment());
  REQUIRE(config.has_value());
  const auto again = parse_config(config_toml(*config), "shown", no_environment());
  REQUIRE_MESSAGE(again.has_value(), again.error().message);
  CHECK(again->profiles.at("two words").entry.back() == "a\nb\t\x7f\"c\\d");
  REQUIRE(again->registry.retention.size() == 12);
  for (size_t i = 0; i < 12; ++i) {
    CHECK(again->registry.retention[i].keep_newest == static_cast<int64_t>(i) + 10);
  }
}

TEST_CASE("an unknown key is refused with its line and the nearest known name") {
  const Error error = refusal("[control]\nlease_ttl = 5\n");
  CHECK(error.message == "nimbus.toml:2: unknown key in [control]: 'lease_ttl'");
  CHECK(error.hint == "did you mean 'lease_ttl_s'?");
}

TEST_CASE("an unknown section is refused with the nearest known name") {
  CHECK(refusal("[contrl]\n").hint == "did you mean 'control'?");
}

TEST_CASE("a value of the wrong type says where it stands and what is right") {
  CHECK(refusal("[agent]\nslots = \"two\"\n").message ==
        "nimbus.toml:2: agent.slots: must be a whole number");
}

TEST_CASE("a number out of range names the range") {
  CHECK(refusal("[agent]\nslots = 0\n").message ==
        "nimbus.toml:2: agent.slots: '0' is not a whole number from 1 to 1024");
}

TEST_CASE("a word outside a key's choices lists the choices") {
  CHECK(refusal("[webhook]\nmode = \"gitlab\"\n").message ==
        "nimbus.toml:2: webhook.mode: 'gitlab' is none of github, relay");
}

TEST_CASE("broken TOML is refused with its line") {
  CHECK(refusal("[agent\n").message.starts_with("nimbus.toml:1: "));
}

TEST_CASE("the environment beats the file") {
  const std::map<std::string, std::string> values = {{"NIMBUS_AGENT_SLOTS", "9"}};
  const auto config = parse_config("[agent]\nslots = 3\n", "f", [&](const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  });
  REQUIRE(config.has_value());
  CHECK(config->agent.slots == 9);
}

TEST_CASE("more warm VMs than slots is refused") {
  CHECK(refusal("[agent]\nslots = 1\nwarm = 2\n").message.find("agent.warm (2)") == 0);
}

TEST_CASE("a secret can stand in a file of its own") {
  const std::string path = "/tmp/nimbus-config-test-" + std::to_string(::getpid());
  std::ofstream(path) << "nbe_token\n";
  const auto config = parse_config("[agent]\nenrollment_token_file = \"" + path + "\"\n",
                                   "nimbus.toml", no_environment());
  std::remove(path.c_str());
  REQUIRE(config.has_value());
  CHECK(config->agent.enrollment_token.reveal() == "nbe_token");
  CHECK(refusal("[agent]\nenrollment_token_file = \"/nowhere/token\"\n")
            .message.find("cannot read /nowhere/token") != std::string::npos);
  CHECK(refusal("[agent]\nslots_file = \"x\"\n").message.find("unknown key") != std::string::npos);
}

TEST_CASE("a secret is never printed") {
  const auto config =
      parse_config("[agent]\nenrollment_token = \"nbe_hush\"\n", "f", no_environment());
  REQUIRE(config.has_value());
  CHECK(config_toml(*config).find("hush") == std::string::npos);
}

TEST_CASE("every key has a meaning and stands in the reference") {
  const std::string reference = config_reference();
  for (const ConfigKey& key : config_keys()) {
    CHECK(!key.meaning.empty());
    CHECK(reference.find("`" + std::string(key.section) + "." + std::string(key.name) + "`") !=
          std::string::npos);
  }
}

TEST_CASE("a profile with a malformed image name is refused with its place and what is right") {
  const Error error = refusal("[profiles.x]\nimage = \"Acme/Tool\"\n");
  CHECK(error.message.starts_with("nimbus.toml:2: profiles.x.image: the image's name 'Acme/Tool'"));
  CHECK_FALSE(error.hint.empty());
}
