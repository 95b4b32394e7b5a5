#include "blob/aws_credentials.h"

#include <fstream>
#include <map>

#include "base/fake_clock.h"
#include "blob/blob_fixture.h"
#include "net/server.h"

namespace nimbus::blob {
namespace {

constexpr std::string_view kRoles = "/latest/meta-data/iam/security-credentials/";

// The instance metadata service, version 2 alone, and a container's credential endpoint: what comes
// without the right token is refused.
class MetadataService {
 public:
  explicit MetadataService(net::Loop& loop) {
    net::Router router;
    router.put("/latest/api/token", [this](net::Request& request) -> Task<net::Response> {
      ++sessions;
      if (away) co_return net::Response::empty(503);
      if (request.headers.find("X-aws-ec2-metadata-token-ttl-seconds") != "21600") {
        co_return net::Response::empty(400);
      }
      co_return net::Response::text(200, "session");
    });
    router.get(std::string(kRoles), [this](net::Request& request) -> Task<net::Response> {
      co_return guarded(request, "X-aws-ec2-metadata-token", "session", role);
    });
    router.get(std::string(kRoles) + "builder",
               [this](net::Request& request) -> Task<net::Response> {
                 co_return guarded(request, "X-aws-ec2-metadata-token", "session", answer());
               });
    router.get("/container", [this](net::Request& request) -> Task<net::Response> {
      ++asked;
      co_return guarded(request, "Authorization", container_token, answer());
    });
    auto listening = net::Server::listen(loop, std::move(router), {});
    REQUIRE(listening);
    server = std::move(*listening);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server->port()); }
  std::string answer() const {
    return R"({"Code":")" + code + R"(","AccessKeyId":")" + key +
           R"(","SecretAccessKey":"hidden","Token":"t","Expiration":")" + expiration + "\"}";
  }

  std::string role = "builder\n";
  std::string code = "Success";
  std::string key = "first";
  std::string expiration;
  std::string container_token;
  bool away = false;
  int sessions = 0;
  int asked = 0;
  std::unique_ptr<net::Server> server;

 private:
  net::Response guarded(const net::Request& request, std::string_view header,
                        const std::string& value, std::string text) {
    if (away) return net::Response::empty(503);
    if (request.headers.find(header).value_or("") != value) return net::Response::empty(401);
    return net::Response::text(200, std::move(text));
  }
};

struct CredentialsFixture {
  CredentialsFixture() {
    service.expiration = in(std::chrono::hours(6));
    variables = {{"HOME", directory.path}, {"AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url()}};
    chain = make({});
  }
  ~CredentialsFixture() { loop.end_tasks(); }
  std::string in(Duration time) const { return to_rfc3339(clock.now() + time); }
  std::unique_ptr<AwsCredentialChain> make(AwsCredentials configured) {
    const ReadEnvironment environment = [this](const std::string& name) -> const char* {
      const auto found = variables.find(name);
      return found == variables.end() ? nullptr : found->second.c_str();
    };
    return std::make_unique<AwsCredentialChain>(loop, std::move(configured), environment, clock);
  }
  Result<AwsCredentials> get() { return run_task(loop, chain->current()); }
  std::string key() {
    const auto found = get();
    return found ? found->access_key_id : std::string(to_string(found.error().code));
  }
  void until_key(const std::string& wanted) {
    for (int turn = 0; turn < 5000 && key() != wanted; ++turn) {
      run_task(loop, [](net::Loop& l) -> Task<bool> {
        co_await l.sleep(std::chrono::milliseconds(1));
        co_return true;
      }(loop));
    }
    CHECK(key() == wanted);
  }

  TestDirectory directory;
  net::Loop loop;
  FakeClock clock;
  MetadataService service{loop};
  std::map<std::string, std::string> variables;
  std::unique_ptr<AwsCredentialChain> chain;
};

}  // namespace

TEST_CASE_FIXTURE(CredentialsFixture,
                  "credentials come from the configuration, the environment, the files, in order") {
  const std::string file = directory.path + "/credentials";
  std::ofstream(file) << "[work]\naws_access_key_id=file\naws_secret_access_key=s\n";
  variables["AWS_SHARED_CREDENTIALS_FILE"] = file;
  variables["AWS_PROFILE"] = "work";
  CHECK(key() == "file");
  std::ofstream(file) << "[work]\naws_access_key_id=rotated\naws_secret_access_key=s\n";
  CHECK(key() == "file");
  clock.advance(std::chrono::minutes(2));
  CHECK(key() == "rotated");
  std::filesystem::remove(file);
  clock.advance(std::chrono::minutes(2));
  CHECK(key() == "rotated");  // being replaced
  variables["AWS_ACCESS_KEY_ID"] = "environment";
  variables["AWS_SECRET_ACCESS_KEY"] = "s";
  CHECK(key() == "environment");
  chain = make({"own", Secret("s"), Secret()});
  CHECK(key() == "own");
  CHECK(service.sessions == 0);
}

TEST_CASE_FIXTURE(CredentialsFixture, "a profile of the configuration file has keys too") {
  const std::string file = directory.path + "/config";
  std::ofstream(file) << "[profile work]\naws_access_key_id=config\naws_secret_access_key=s\n";
  variables["AWS_CONFIG_FILE"] = file;
  variables["AWS_PROFILE"] = "work";
  CHECK(key() == "config");
}

TEST_CASE_FIXTURE(CredentialsFixture, "where nobody has credentials, the hint says what to set") {
  variables["AWS_EC2_METADATA_DISABLED"] = "true";
  const auto none = get();
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::unauthenticated);
  CHECK(none.error().hint.find("AWS_ACCESS_KEY_ID") != std::string::npos);
  CHECK(service.sessions == 0);
}

TEST_CASE_FIXTURE(CredentialsFixture, "an instance's role lends credentials, by a session") {
  const auto lent = get();
  REQUIRE(lent);
  CHECK(lent->access_key_id == "first");
  CHECK(lent->secret_access_key.reveal() == "hidden");
  CHECK(lent->session_token.reveal() == "t");
  clock.advance(std::chrono::hours(5));
  CHECK(key() == "first");
  CHECK(service.sessions == 1);
}

TEST_CASE_FIXTURE(CredentialsFixture, "lent credentials are renewed before they expire") {
  CHECK(key() == "first");
  service.key = "second";
  clock.advance(std::chrono::hours(6) - std::chrono::minutes(4));
  service.expiration = in(std::chrono::hours(6));
  CHECK(key() == "first");  // nobody waits
  until_key("second");
  CHECK(service.sessions == 2);
}

TEST_CASE_FIXTURE(CredentialsFixture,
                  "a service that is away costs nothing until the credentials expire") {
  CHECK(key() == "first");
  service.away = true;
  clock.advance(std::chrono::hours(6) - std::chrono::minutes(2));
  for (int i = 0; i < 3; ++i) CHECK(key() == "first");
  clock.advance(std::chrono::minutes(3));
  CHECK_FALSE(get());
  service.away = false;
  service.key = "back";
  service.expiration = in(std::chrono::hours(6));
  clock.advance(std::chrono::minutes(1));
  until_key("back");
}

TEST_CASE_FIXTURE(CredentialsFixture, "credentials that the bucket refuses are lent anew, once") {
  CHECK(key() == "first");
  service.key = "second";
  CHECK(chain->distrust());
  CHECK(key() == "second");
  CHECK_FALSE(chain->distrust());
}

TEST_CASE_FIXTURE(CredentialsFixture, "what is no credentials is refused, and quoted nowhere") {
  service.code = "Failed";
  auto refused = get();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("hidden") == std::string::npos);
  clock.advance(std::chrono::minutes(1));
  service.code = "Success";
  service.expiration = in(-std::chrono::hours(1));
  CHECK_FALSE(get());
  clock.advance(std::chrono::minutes(1));
  service.expiration = "\",hidden";
  refused = get();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("hidden") == std::string::npos);
  clock.advance(std::chrono::minutes(1));
  service.role = "\n";
  CHECK_FALSE(get());
}

TEST_CASE_FIXTURE(CredentialsFixture, "a container's endpoint lends credentials, for its token") {
  variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = service.url() + "/container";
  service.container_token = "let me in";
  CHECK(key() == "unavailable");
  CHECK(service.sessions == 0);
  clock.advance(std::chrono::minutes(1));
  variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "let me in";
  CHECK(key() == "first");
  const std::string file = directory.path + "/token";
  std::ofstream(file) << "from the file\n";
  variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = file;
  service.container_token = "from the file";
  service.key = "second";
  CHECK(chain->distrust());
  CHECK(key() == "second");
}

TEST_CASE_FIXTURE(CredentialsFixture, "credentials are not asked for in clear on other hosts") {
  for (const char* url : {"http://198.51.100.7/x", "http://127.evil.example/x", "nonsense"}) {
    variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url;
    chain = make({});
    const auto refused = get();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::bad_request);
  }
}

}  // namespace nimbus::blob
