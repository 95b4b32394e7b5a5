#include "cli/run_request.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <map>

#include "cli/commands.h"

using namespace nimbus;
using namespace nimbus::cli;

namespace {

using Variables = std::map<std::string, std::string>;

Environment with(const Variables& variables) {
  return [&variables](const std::string& name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

Result<boost::json::object> request(const std::vector<std::string>& words,
                                    const Variables& variables = {}) {
  const auto arguments = TRY(parse_arguments(run_commands().front(), words));
  return make_job_request(arguments, with(variables));
}

}  // namespace

TEST_CASE("a bare command leaves the rest to the server") {
  CHECK(boost::json::serialize(*request({"--", "echo", "hello world"})) ==
        R"({"org":"local","repo":"local","command":["echo","hello world"]})");
}

TEST_CASE("options become the job's fields") {
  const auto body =
      *request({"--org",      "acme", "--repo",    "app", "--image",  "i",   "-e",      "A=1=2",
                "--timeout",  "2h",   "--cpus",    "4",   "--memory", "512", "--label", "gpu",
                "--metadata", "k=v",  "--retries", "0",   "--",       "x"});
  CHECK(
      boost::json::serialize(body) ==
      R"({"org":"acme","repo":"app","image":"i","command":["x"],"env":{"A":"1=2"},"timeout_s":7200,)"
      R"("resources":{"cpus":4,"memory_mb":512},"labels":["gpu"],"metadata":{"k":"v"},"retries":0})");
}

TEST_CASE("a variable without a value is taken from this shell, or refused") {
  const auto body = *request({"--env", "TOKEN", "--", "x"}, {{"TOKEN", "t"}});
  CHECK(body.at("env").at("TOKEN").as_string() == "t");
  CHECK(!request({"--env", "TOKEN", "--", "x"}).has_value());
  CHECK(!request({"--env", "=x", "--", "x"}).has_value());
}

TEST_CASE("org and repository come from the environment unless they are given") {
  const Variables variables = {{"NIMBUS_ORG", "acme"}, {"NIMBUS_REPO", "app"}};
  CHECK(request({"--", "x"}, variables)->at("org").as_string() == "acme");
  CHECK(request({"--org", "other", "--", "x"}, variables)->at("org").as_string() == "other");
}

TEST_CASE("numbers out of bounds are refused before the server is asked") {
  CHECK(!request({"--cpus", "0", "--", "x"}).has_value());
  CHECK(!request({"--memory", "64", "--", "x"}).has_value());
  CHECK(!request({"--timeout", "8d", "--", "x"}).has_value());
}
