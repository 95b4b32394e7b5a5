#include "cli/api_client.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <map>

#include "net/net_fixture.h"

using namespace nimbus;
using namespace nimbus::cli;

namespace {

using Variables = std::map<std::string, std::string>;

class Folder {
 public:
  Folder() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("nimbus-cli-" + std::to_string(getpid()) + "-" + std::to_string(++count));
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

Result<ServerAccess> find(const Variables& variables, const std::vector<std::string>& words = {}) {
  const Command command = {.noun = "x", .summary = "x", .talks_to_server = true};
  const auto arguments = parse_arguments(command, words);
  REQUIRE(arguments.has_value());
  return find_server(*arguments, [&](const std::string& name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

}  // namespace

TEST_CASE("the server is the option's, else the environment's, else this machine's") {
  CHECK(find({})->url == "http://127.0.0.1:8080");
  CHECK(find({{"NIMBUS_SERVER", "https://n.example/"}})->url == "https://n.example");
  CHECK(find({{"NIMBUS_SERVER", "https://n.example"}}, {"--server", "http://x:1"})->url ==
        "http://x:1");
  CHECK(!find({}, {"--server", "n.example"}).has_value());
}

TEST_CASE("the token is the environment's, a named file's, else the local admin's") {
  const Folder folder;
  const std::string file = folder.file("token", "from-file\n");
  folder.file("admin.token", "admin\n");
  CHECK(find({{"NIMBUS_TOKEN", "direct"}, {"NIMBUS_TOKEN_FILE", file}})->token.reveal() ==
        "direct");
  CHECK(find({{"NIMBUS_TOKEN_FILE", file}, {"NIMBUS_DATA", folder.path()}})->token.reveal() ==
        "from-file");
  CHECK(find({{"NIMBUS_DATA", folder.path()}})->token.reveal() == "admin");
  CHECK(!find({{"NIMBUS_TOKEN_FILE", folder.path() + "/absent"}}).has_value());
}

TEST_CASE("the local admin's token never leaves this machine") {
  const Folder folder;
  folder.file("admin.token", "admin\n");
  const Variables variables = {{"NIMBUS_DATA", folder.path()}};
  CHECK(find(variables, {"--server", "https://nimbus.example"})->token.empty());
  CHECK(find(variables, {"--server", "http://10.0.0.1:8080"})->token.empty());
  CHECK(find(variables, {"--server", "http://localhost:9"})->token.reveal() == "admin");
}

TEST_CASE("a refusal's detail and hint reach the person") {
  net::ClientResponse response;
  response.status = 409;
  response.body = R"({"status":409,"detail":"it has ended","hint":"run it again"})";
  const Error error = refusal_of(response, "cancelling job 7");
  CHECK(error.code == Code::conflict);
  CHECK(error.message == "cancelling job 7: it has ended");
  CHECK(error.hint == "run it again");
}

TEST_CASE("a refusal without a problem document still says something") {
  net::ClientResponse response;
  response.status = 502;
  response.body = "<html>";
  CHECK(refusal_of(response, "listing jobs").message == "listing jobs: the server answered 502");
  response.status = 401;
  CHECK(refusal_of(response, "x").hint.find("NIMBUS_TOKEN") != std::string::npos);
}

TEST_CASE("a call carries the token and gives the parsed answer") {
  net::Router router;
  router.post("/api/v1/x", [](net::Request& request) -> Task<net::Response> {
    co_return net::Response::json(200, "{\"token\":\"" +
                                           std::string(request.bearer().value_or("")) +
                                           "\",\"body\":" + request.body + "}");
  });
  net::RunningServer running(std::move(router));
  ApiClient client({running.url(""), Secret("t0"), ""});
  const auto answer = client.call("POST", "/api/v1/x", "trying", "[1]");
  REQUIRE(answer.has_value());
  CHECK(boost::json::serialize(*answer) == R"({"token":"t0","body":[1]})");
  CHECK(client.call("GET", "/api/v1/nothing", "trying").error().code == Code::not_found);
}

TEST_CASE("a query leaves out what is not given and escapes the rest") {
  CHECK(query_of({{"a", std::nullopt}, {"b", "x y&z"}, {"c", "1"}}) == "?b=x%20y%26z&c=1");
  CHECK(query_of({{"a", std::nullopt}}).empty());
}
