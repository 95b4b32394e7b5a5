#include "cli/api_client.h"

#include <boost/json.hpp>
#include <cstdlib>

#include "base/json.h"
#include "base/text.h"
#include "cli/data_directory.h"
#include "net/url.h"
#include "os/atomic_file.h"

namespace nimbus::cli {
namespace {

constexpr const char* kServerDefault = "http://127.0.0.1:8080";
constexpr size_t kTokenFileBytesMax = 4096;
constexpr auto kAnswerTime = std::chrono::seconds(60);

std::string environment_text(const Environment& environment, const std::string& name) {
  const char* value = environment(name);
  return value == nullptr ? "" : value;
}

bool is_this_machine(const net::Url& url) {
  return !url.socket_path.empty() || url.host == "localhost" || url.host == "::1" ||
         url.host.starts_with("127.");
}

Result<Secret> read_token(const std::string& file) {
  const std::string text = TRY(os::read_file(file, kTokenFileBytesMax));
  return Secret(std::string(trim(text)));
}

Result<Secret> find_token(const net::Url& url, const Environment& environment) {
  const std::string token = environment_text(environment, "NIMBUS_TOKEN");
  if (!token.empty()) return Secret(token);
  const std::string file = environment_text(environment, "NIMBUS_TOKEN_FILE");
  if (!file.empty()) return TRY_IN("NIMBUS_TOKEN_FILE", read_token(file));
  if (!is_this_machine(url)) return Secret();
  std::string data = environment_text(environment, "NIMBUS_DATA");
  if (data.empty()) data = kDataDirectoryDefault;
  auto local = read_token(data + "/admin.token");
  return local ? std::move(*local) : Secret();
}

Code code_of(int status) {
  switch (status) {
    case 401: return Code::unauthenticated;
    case 403: return Code::forbidden;
    case 404: return Code::not_found;
    case 409: return Code::conflict;
    case 413: return Code::too_large;
    case 429: return Code::too_many_requests;
    case 502:
    case 503:
    case 504: return Code::unavailable;
    default: return status >= 500 ? Code::internal : Code::bad_request;
  }
}

}  // namespace

Result<ServerAccess> find_server(const Arguments& arguments, const Environment& environment) {
  ServerAccess access;
  access.url = arguments.find("--server").value_or(environment_text(environment, "NIMBUS_SERVER"));
  if (access.url.empty()) access.url = kServerDefault;
  while (access.url.ends_with('/')) access.url.pop_back();
  const net::Url url = TRY_IN("server '" + access.url + "'", net::parse_url(access.url));
  access.token = TRY(find_token(url, environment));
  access.ca_file = environment_text(environment, "NIMBUS_CA_FILE");
  return access;
}

Error refusal_of(const net::ClientResponse& response, std::string_view doing) {
  Error error{code_of(response.status), "", ""};
  const auto body = parse_json_object(response.body);
  if (body) {
    if (const auto detail = find_text(*body, "detail"); detail && *detail) error.message = **detail;
    if (const auto hint = find_text(*body, "hint"); hint && *hint) error.hint = **hint;
  }
  if (error.message.empty()) {
    error.message = "the server answered " + std::to_string(response.status);
  }
  if (error.code == Code::unauthenticated && error.hint.empty()) {
    error.hint =
        "set NIMBUS_TOKEN or NIMBUS_TOKEN_FILE, or run this beside the server's nimbus-data";
  }
  return std::move(error).in(doing);
}

ApiClient::ApiClient(ServerAccess access)
    : access_(std::move(access)), loop_(1), client_(loop_, {.ca_file = access_.ca_file}) {}
ApiClient::~ApiClient() = default;

net::ClientRequest ApiClient::request(std::string_view method, std::string_view path,
                                      std::string body) const {
  net::ClientRequest request;
  request.method = method;
  request.url = access_.url + std::string(path);
  request.timeout = kAnswerTime;
  if (!access_.token.empty()) {
    request.headers.set("Authorization", "Bearer " + access_.token.reveal());
  }
  if (!body.empty()) request.headers.set("Content-Type", "application/json");
  request.body = std::move(body);
  return request;
}

Task<Result<net::ClientResponse>> ApiClient::send(net::ClientRequest request, std::string doing) {
  asked_ = true;
  auto answer = co_await client_.send(std::move(request));
  if (!answer) {
    Error error = std::move(answer).error();
    if (error.message.find(net::kDistrusted) != std::string::npos) {
      error.hint = "if its certificate is of an authority of your own, name that in NIMBUS_CA_FILE";
    } else if (error.code == Code::unavailable && error.hint.empty()) {
      error.hint = "is the server running? Start one with `nimbus up`, or name it with --server";
    }
    co_return fail(std::move(error).in(doing));
  }
  if (answer->status >= 300) co_return fail(refusal_of(*answer, doing));
  co_return std::move(*answer);
}

int ApiClient::complete(Task<int> task) {
  int status = kExitFailed;
  loop_.spawn(
      [](Task<int> inner, net::Loop& loop, int& out) -> Task<void> {
        out = co_await std::move(inner);
        loop.stop();
      }(std::move(task), loop_, status),
      "command");
  loop_.run();
  return status;
}

Result<boost::json::value> ApiClient::call(std::string_view method, std::string_view path,
                                           std::string_view doing, std::string body) {
  std::optional<Result<net::ClientResponse>> answer;
  complete([](ApiClient& self, net::ClientRequest wanted, std::string what,
              std::optional<Result<net::ClientResponse>>& out) -> Task<int> {
    out.emplace(co_await self.send(std::move(wanted), std::move(what)));
    co_return kExitDone;
  }(*this, request(method, path, std::move(body)), std::string(doing), answer));
  if (!*answer) return fail(std::move(*answer).error());
  if ((*answer)->body.empty()) return boost::json::value(nullptr);
  return TRY_IN(doing, parse_json((*answer)->body));
}

int with_server(const Arguments& arguments, const std::function<Result<int>(ApiClient&)>& run) {
  auto access =
      find_server(arguments, [](const std::string& name) { return getenv(name.c_str()); });
  if (!access) {
    complain(access.error());
    return access.error().code == Code::bad_request ? kExitUsage : kExitFailed;
  }
  ApiClient client(std::move(*access));
  const auto status = run(client);
  if (status) return *status;
  complain(status.error());
  return status.error().code == Code::bad_request && !client.asked() ? kExitUsage : kExitFailed;
}

std::string query_of(
    std::initializer_list<std::pair<std::string_view, std::optional<std::string>>> parameters) {
  std::string out;
  for (const auto& [name, value] : parameters) {
    if (!value) continue;
    out += (out.empty() ? "?" : "&") + std::string(name) + "=" + net::percent_encode(*value);
  }
  return out;
}

}  // namespace nimbus::cli
