// Another registry, as a client of its: the challenge it answers with is met (Basic, or a token of
// its token server), redirects are followed, without our credential when they lead elsewhere.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "net/client.h"
#include "registry/options.h"

namespace nimbus::registry {

constexpr size_t kUpstreamAnswerBytesMax = size_t{4} << 20;

class Upstream {
 public:
  Upstream(net::Loop& loop, const Clock& clock, MirrorOptions options);

  const MirrorOptions& options() const { return options_; }

  struct Question {
    std::string method = "GET";
    std::string repository;
    std::string path;  // below the repository: "/manifests/3.20"
    std::string accept;
  };
  // The answer, with a body of at most kUpstreamAnswerBytesMax. unavailable: none came, or the
  // upstream is overloaded or broken (429, 5xx); any other status is a success.
  Task<Result<net::ClientResponse>> ask(Question question);
  // Takes the body of a 200 as it comes, and before it the size that its head tells.
  struct Sink {
    std::function<Task<bool>(std::string_view)> on_bytes;  // false stops the transfer
    std::function<void(int64_t)> on_size = [](int64_t) {};
  };
  Task<Result<net::ClientResponse>> fetch(Question question, Sink sink);

 private:
  struct Token {
    std::string header;  // Authorization's value
    Duration until{0};
  };
  Task<Result<net::ClientResponse>> try_once(const Question& question, const std::string& url,
                                             const Sink& sink);
  Task<Result<void>> authorize(const std::string& repository, const std::string& challenge);
  std::string basic() const;

  const Clock& clock_;
  MirrorOptions options_;
  net::Client client_;
  std::map<std::string, Token> tokens_;  // by repository
};

// The parameters of a `Bearer a="b",c="d"` challenge; lower-case names.
std::map<std::string, std::string> parse_challenge(std::string_view text);

}  // namespace nimbus::registry
