// The client commands' way to a Nimbus server: its public HTTP API and nothing else. Finds the
// server
// (--server, NIMBUS_SERVER, else http://127.0.0.1:8080) and the token (NIMBUS_TOKEN, the file of
// NIMBUS_TOKEN_FILE, else the admin token of the local data directory, which is only ever sent to
// this machine).
//
// Threads: one; `call` and `complete` run the loop until they have an answer.
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "cli/command.h"
#include "net/client.h"

namespace nimbus::cli {

using Environment = std::function<const char*(const std::string&)>;

struct ServerAccess {
  std::string url;  // without a final slash
  Secret token;     // empty: none was found
  std::string ca_file;
};
// bad_request: the URL is none, or a named token file cannot be read.
Result<ServerAccess> find_server(const Arguments& arguments, const Environment& environment);

// The Error that a refusal's problem document tells, as `doing` failed.
Error refusal_of(const net::ClientResponse& response, std::string_view doing);

class ApiClient {
 public:
  explicit ApiClient(ServerAccess access);
  ~ApiClient();

  const std::string& url() const { return access_.url; }
  net::Loop& loop() { return loop_; }

  // A request for `path` (with its query) that carries the token.
  net::ClientRequest request(std::string_view method, std::string_view path,
                             std::string body = {}) const;
  bool asked() const { return asked_; }  // anything yet
  // The answer when it is a success; else why `doing` failed.
  Task<Result<net::ClientResponse>> send(net::ClientRequest request, std::string doing);
  net::Client& client() { return client_; }

  // The same, run to its end, and its JSON parsed (null when there is no body).
  Result<boost::json::value> call(std::string_view method, std::string_view path,
                                  std::string_view doing, std::string body = {});
  // Runs a Task to its end.
  int complete(Task<int> task);

 private:
  ServerAccess access_;
  bool asked_ = false;
  net::Loop loop_;
  net::Client client_;
};

// Opens the client, calls `run`, tells its error: the body of most client commands. Input that was
// wrong before the server was asked is wrong usage.
int with_server(const Arguments& arguments, const std::function<Result<int>(ApiClient&)>& run);

// "?a=b&c=d" of the parameters that have a value; "" when none has.
std::string query_of(
    std::initializer_list<std::pair<std::string_view, std::optional<std::string>>> parameters);

}  // namespace nimbus::cli
