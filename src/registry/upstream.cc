#include "registry/upstream.h"

#include <boost/json.hpp>
#include <charconv>

#include "base/encoding.h"
#include "base/json.h"
#include "base/text.h"
#include "net/url.h"

namespace nimbus::registry {
namespace {

constexpr int kStepsMax = 6;  // one challenge and a few redirects
constexpr size_t kTokensMax = 4'096;
constexpr Duration kStallTimeout = std::chrono::seconds(60);
constexpr Duration kTokenTtlDefault = std::chrono::seconds(60);
constexpr Duration kTokenMargin = std::chrono::seconds(10);

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string origin_of(std::string_view url) {
  const auto parsed = net::parse_url(url);
  return parsed ? parsed->origin() : std::string();
}

// `location` of an answer to `url`.
std::string resolve(const std::string& url, std::string_view location) {
  if (location.find("://") != std::string_view::npos) return std::string(location);
  const size_t path = url.find('/', url.find("://") + 3);
  return url.substr(0, path) + std::string(location);
}

int64_t parse_size(std::string_view text) {
  int64_t size = 0;
  std::from_chars(text.data(), text.data() + text.size(), size);
  return size;
}

// The challenge that can be met, Bearer before Basic.
std::string challenge_of(const net::ClientResponse& answer) {
  std::string basic;
  for (const auto& [name, value] : answer.headers) {
    if (!equal_ignoring_case(name, "WWW-Authenticate")) continue;
    if (to_lower(value.substr(0, 7)) == "bearer ") return std::string(value);
    if (to_lower(value.substr(0, 5)) == "basic") basic = value;
  }
  return basic;
}

}  // namespace

std::map<std::string, std::string> parse_challenge(std::string_view text) {
  std::map<std::string, std::string> out;
  const size_t space = text.find(' ');
  text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
  while (!text.empty()) {
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) break;
    const std::string name = to_lower(trim(text.substr(0, equals)));
    text.remove_prefix(equals + 1);
    const bool quoted = text.starts_with('"');
    if (quoted) text.remove_prefix(1);
    const size_t end = std::min(text.find(quoted ? '"' : ','), text.size());
    out[name] = text.substr(0, end);
    text.remove_prefix(end);
    const size_t comma = std::min(text.find(','), text.size());
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

Upstream::Upstream(net::Loop& loop, const Clock& clock, MirrorOptions options)
    : clock_(clock), options_(std::move(options)), client_(loop) {
  while (options_.upstream.ends_with('/')) options_.upstream.pop_back();
}

std::string Upstream::basic() const {
  return "Basic " + to_base64(options_.username + ":" + options_.password.reveal());
}

Task<Result<net::ClientResponse>> Upstream::try_once(const Question& question,
                                                     const std::string& url, const Sink& sink) {
  net::ClientRequest request;
  request.method = question.method;
  request.url = url;
  request.stall_timeout = kStallTimeout;
  if (!question.accept.empty()) request.headers.set("Accept", question.accept);
  const auto token = tokens_.find(question.repository);
  const bool ours = origin_of(url) == origin_of(options_.upstream);
  if (ours && token != tokens_.end() && clock_.steady() < token->second.until) {
    request.headers.set("Authorization", token->second.header);
  }
  net::ClientResponse answer;
  bool over = false;
  std::function<void(const net::ClientResponse&)> on_head =
      [&answer, &sink](const net::ClientResponse& head) {
        answer.status = head.status;
        answer.headers = head.headers;
        const auto size = head.headers.find("Content-Length");
        if (head.status == 200 && size) sink.on_size(parse_size(*size));
      };
  std::function<Task<bool>(std::string_view)> on_bytes =
      [&answer, &sink, &over](std::string_view bytes) -> Task<bool> {
    if (answer.status == 200 && sink.on_bytes) co_return co_await sink.on_bytes(bytes);
    over = answer.body.size() + bytes.size() > kUpstreamAnswerBytesMax;
    if (!over) answer.body += bytes;
    co_return !over;
  };
  CO_TRY(co_await client_.stream_to(std::move(request), std::move(on_head), std::move(on_bytes)));
  if (over) co_return fail(Code::unavailable, "the upstream's answer is over 4 MiB");
  co_return answer;
}

Task<Result<void>> Upstream::authorize(const std::string& repository,
                                       const std::string& challenge) {
  if (tokens_.size() >= kTokensMax) tokens_.clear();
  if (to_lower(challenge.substr(0, 5)) == "basic") {
    tokens_[repository] = {basic(), clock_.steady() + std::chrono::hours(24)};
    co_return Result<void>();
  }
  const auto parameters = parse_challenge(challenge);
  const auto realm = parameters.find("realm");
  if (realm == parameters.end()) {
    co_return fail(Code::unavailable, "the upstream's challenge names no token server");
  }
  net::ClientRequest request;
  request.url = realm->second + (realm->second.find('?') == std::string::npos ? "?" : "&") +
                "scope=" + net::percent_encode("repository:" + repository + ":pull");
  if (const auto service = parameters.find("service"); service != parameters.end()) {
    request.url += "&service=" + net::percent_encode(service->second);
  }
  if (!options_.username.empty()) request.headers.set("Authorization", basic());
  request.answer_bytes_max = kUpstreamAnswerBytesMax;
  CO_TRY_ASSIGN(const auto answer, co_await client_.send(std::move(request)));
  if (answer.status != 200) {
    co_return fail(Code::unavailable,
                   "the upstream's token server answered " + std::to_string(answer.status));
  }
  CO_TRY_ASSIGN(const auto object, parse_json_object(answer.body));
  CO_TRY_ASSIGN(auto text, find_text(object, "token"));
  if (!text) {
    CO_TRY_ASSIGN(text, find_text(object, "access_token"));
  }
  if (!text) co_return fail(Code::unavailable, "the upstream's token server gave no token");
  CO_TRY_ASSIGN(const auto seconds, find_int(object, "expires_in", 0, 86'400));
  const Duration ttl = seconds ? Duration(std::chrono::seconds(*seconds)) : kTokenTtlDefault;
  tokens_[repository] = {"Bearer " + *text,
                         clock_.steady() + std::max<Duration>(ttl - kTokenMargin, kTokenMargin)};
  co_return Result<void>();
}

Task<Result<net::ClientResponse>> Upstream::ask(Question question) {
  Sink none;
  co_return co_await fetch(std::move(question), std::move(none));
}

Task<Result<net::ClientResponse>> Upstream::fetch(Question question, Sink sink) {
  std::string url = options_.upstream + "/v2/" + question.repository + question.path;
  bool challenged = false;
  for (int step = 0; step < kStepsMax; ++step) {
    CO_TRY_ASSIGN(auto answer, co_await try_once(question, url, sink));
    if (answer.status == 401 && !challenged) {
      challenged = true;
      const std::string challenge = challenge_of(answer);
      CO_TRY(co_await authorize(question.repository, challenge));
      continue;
    }
    const auto location = answer.headers.find("Location");
    if (is_redirect(answer.status) && location) {
      url = resolve(url, *location);
      continue;
    }
    if (answer.status == 429 || answer.status >= 500 || answer.status == 401 ||
        answer.status == 403) {
      co_return fail(Code::unavailable, "the upstream answered " + std::to_string(answer.status));
    }
    co_return answer;
  }
  co_return fail(Code::unavailable, "the upstream redirects without end");
}

}  // namespace nimbus::registry
