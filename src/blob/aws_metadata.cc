#include "blob/aws_metadata.h"

#include <array>
#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "net/url.h"
#include "os/atomic_file.h"

namespace nimbus::blob {
namespace {

constexpr size_t kAnswerBytesMax = 64 * 1024;
constexpr size_t kTokenBytesMax = 64 * 1024;
// Such a service is on this host or beside it.
constexpr Duration kTimeout = std::chrono::seconds(2);
constexpr int kAttempts = 2;
constexpr std::string_view kContainerHost = "http://169.254.170.2";
constexpr std::string_view kInstance = "http://169.254.169.254";
constexpr std::string_view kInstanceIpv6 = "http://[fd00:ec2::254]";
constexpr std::string_view kRolesPath = "/latest/meta-data/iam/security-credentials/";

bool is_of_this_host(std::string_view host) {
  constexpr std::array<std::string_view, 7> kKnown = {
      "localhost",      "::1",          "[::1]",          "169.254.170.2",
      "169.254.170.23", "fd00:ec2::23", "[fd00:ec2::23]",
  };
  if (host.starts_with("127.")) return host.find_first_not_of("0123456789.") == std::string::npos;
  for (const std::string_view known : kKnown) {
    if (host == known) return true;
  }
  return false;
}

// Of both services: the same object, with a `Code` only from the instance's.
Result<LentCredentials> parse_lent(const std::string& body, const std::string& what) {
  const auto object = parse_json_object(body);
  // Not the parser's words: they may quote.
  if (!object) return fail(Code::unavailable, what + ": the answer is no JSON object");
  LentCredentials lent;
  const auto code = find_text(*object, "Code");
  const auto id = find_text(*object, "AccessKeyId");
  auto secret = find_text(*object, "SecretAccessKey");
  auto token = find_text(*object, "Token");
  const auto expires = find_text(*object, "Expiration");
  const bool refused = code && *code && **code != "Success";
  if (refused || !id || !*id || !secret || !*secret || !token || !expires) {
    return fail(Code::unavailable, what + ": the answer holds no credentials");
  }
  lent.credentials = {**id, Secret(std::move(**secret)), Secret(token->value_or(""))};
  if (*expires) {
    const auto at = parse_rfc3339(**expires);
    if (!at) return fail(Code::unavailable, what + ": the answer has no readable Expiration");
    lent.expires_at = *at;
  }
  return lent;
}

}  // namespace

std::string AwsMetadata::variable(const std::string& name) const {
  const char* value = environment_(name);
  return value == nullptr ? std::string() : std::string(value);
}

Result<std::string> AwsMetadata::container_url() const {
  const std::string relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!relative.empty()) return std::string(kContainerHost) + relative;
  const std::string full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (full.empty()) return full;
  const auto url = net::parse_url(full);
  if (!url) return fail(Code::bad_request, "AWS_CONTAINER_CREDENTIALS_FULL_URI is no URL");
  if (!url->tls && !is_of_this_host(url->host)) {
    return fail(Code::bad_request,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI names the host " + url->host + " without TLS",
                "name an https:// URL, or one of this host");
  }
  return full;
}

Task<Result<net::ClientResponse>> AwsMetadata::ask(net::ClientRequest request, std::string what) {
  request.timeout = kTimeout;
  request.answer_bytes_max = kAnswerBytesMax;
  for (int attempt = 1;; ++attempt) {
    net::ClientRequest copy = request;
    auto answer = co_await client_.send(std::move(copy));
    const bool again = !answer || answer->status >= 500;
    if (again && attempt < kAttempts) continue;
    if (!answer) co_return fail(Code::unavailable, what + ": " + answer.error().message);
    if (answer->status == 200) co_return answer;
    co_return fail(Code::unavailable, what + ": the answer is " + std::to_string(answer->status));
  }
}

Task<Result<std::string>> AwsMetadata::container_authorization() {
  std::string token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  const std::string path = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  if (!path.empty()) {
    // Read each time: it is replaced while we run.
    std::function<Result<std::string>()> read = [&path] {
      return os::read_file(path, kTokenBytesMax);
    };
    const auto text = co_await loop_.blocking(std::move(read));
    if (!text) co_return fail(Error(text.error()).in("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
    token = trim(*text);
  }
  if (token.find_first_of("\r\n") != std::string::npos) {
    co_return fail(Code::bad_request, "the container's authorization token has a line break");
  }
  co_return token;
}

Task<Result<LentCredentials>> AwsMetadata::from_container(std::string url) {
  const std::string what = "the container's credential endpoint";
  CO_TRY_ASSIGN(const std::string authorization, co_await container_authorization());
  net::ClientRequest request;
  request.url = std::move(url);
  if (!authorization.empty()) request.headers.set("Authorization", authorization);
  CO_TRY_ASSIGN(const auto answer, co_await ask(std::move(request), what));
  co_return parse_lent(answer.body, what);
}

Task<Result<LentCredentials>> AwsMetadata::from_instance() {
  if (equal_ignoring_case(variable("AWS_EC2_METADATA_DISABLED"), "true")) {
    co_return fail(Code::not_found, "the instance metadata service is disabled");
  }
  const std::string what = "the instance metadata service";
  std::string root = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (root.empty()) {
    const bool ipv6 =
        equal_ignoring_case(variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "ipv6");
    root = ipv6 ? kInstanceIpv6 : kInstance;
  }
  while (root.ends_with('/')) root.pop_back();
  net::ClientRequest session;
  session.method = "PUT";
  session.url = root + "/latest/api/token";
  session.headers.set("X-aws-ec2-metadata-token-ttl-seconds", "21600");
  CO_TRY_ASSIGN(const auto token, co_await ask(std::move(session), what));
  if (token.body.empty() || token.body.find_first_of("\r\n") != std::string::npos) {
    co_return fail(Code::unavailable, what + ": the answer is no session token");
  }
  net::ClientRequest roles;
  roles.url = root + std::string(kRolesPath);
  roles.headers.set("X-aws-ec2-metadata-token", token.body);
  CO_TRY_ASSIGN(const auto listed, co_await ask(std::move(roles), what));
  const std::string role(trim(listed.body.substr(0, listed.body.find('\n'))));
  if (role.empty()) co_return fail(Code::unavailable, what + ": the instance has no role");
  net::ClientRequest wanted;
  wanted.url = root + std::string(kRolesPath) + net::percent_encode(role);
  wanted.headers.set("X-aws-ec2-metadata-token", token.body);
  CO_TRY_ASSIGN(const auto answer, co_await ask(std::move(wanted), what));
  co_return parse_lent(answer.body, what);
}

}  // namespace nimbus::blob
