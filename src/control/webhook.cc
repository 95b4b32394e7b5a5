#include "control/webhook.h"

#include <algorithm>
#include <charconv>

#include "access/audit.h"
#include "access/scope.h"
#include "api/json_text.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"

namespace nimbus::control {
namespace {

constexpr std::string_view kSignatureHeader = "X-Hub-Signature-256";
constexpr std::string_view kTimestampHeader = "X-Hub-Signature-Timestamp";
constexpr std::string_view kSignaturePrefix = "sha256=";
constexpr size_t kDigestHexBytes = 64;
constexpr size_t kMarkDigestBytes = 16;
constexpr int kRefusalsLoggedMax = 10;  // a second
constexpr std::string_view kWorkflowJob = "workflow_job";
constexpr std::string_view kWorkflowRun = "workflow_run";

// The digest that the header claims; lower-case hexadecimal only.
std::optional<std::string> find_signature(const net::Request& request) {
  const auto header = request.headers.find_single(kSignatureHeader);
  if (!header || !header->starts_with(kSignaturePrefix)) return std::nullopt;
  const std::string_view hex = header->substr(kSignaturePrefix.size());
  if (hex.size() != kDigestHexBytes) return std::nullopt;
  const bool lower = std::all_of(hex.begin(), hex.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (!lower) return std::nullopt;
  auto digest = parse_hex(hex);
  if (!digest) return std::nullopt;
  return std::move(*digest);
}

std::optional<int64_t> parse_timestamp(std::string_view text) {
  constexpr size_t kDigitsMax = 12;
  if (text.empty() || text.size() > kDigitsMax || (text.size() > 1 && text[0] == '0')) {
    return std::nullopt;
  }
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0) return std::nullopt;
  return seconds;
}

bool is_json(std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  return equal_ignoring_case(type, "application/json");
}

bool is_visible(std::string_view text, size_t most) {
  return !text.empty() && text.size() <= most &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

net::Response result_answer(int status, DeliveryResult result, std::optional<int64_t> job) {
  api::JsonText json;
  json.text("result", to_string(result));
  if (job) json.integer("job", *job);
  return net::Response::json(status, json.finish());
}

net::Response retry_after(net::Response response, Duration wait) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  response.headers.set("Retry-After", std::to_string(std::max<int64_t>(1, seconds)));
  return response;
}

}  // namespace

struct Webhook::Keys {
  struct Key {
    HmacKey hmac;
    std::string id;  // kMarkKeyBytes, the ":" included
  };
  std::vector<Key> keys;
};

struct Webhook::Refusal {
  int status = 400;
  std::string detail;
  std::string hint = {};
};

struct Webhook::Checked {
  std::optional<Refusal> refusal;
  std::shared_ptr<Delivery> delivery;
};

std::optional<WebhookMode> find_webhook_mode(std::string_view name) {
  if (name == "github") return WebhookMode::github;
  if (name == "relay") return WebhookMode::relay;
  return std::nullopt;
}

Result<std::vector<Secret>> parse_webhook_secrets(std::string_view text) {
  std::vector<Secret> secrets;
  for (const std::string_view line : split(text, '\n')) {
    const std::string_view secret = trim(line);
    if (secret.empty()) continue;
    if (secrets.size() == kWebhookSecretsMax) {
      return fail(Code::bad_request,
                  "more than " + std::to_string(kWebhookSecretsMax) + " secrets");
    }
    secrets.emplace_back(std::string(secret));
  }
  if (secrets.empty()) {
    return fail(Code::bad_request, "no webhook secret", "write one secret a line");
  }
  return secrets;
}

Webhook::Webhook(Parts parts, WebhookOptions options)
    : parts_(parts),
      options_(std::move(options)),
      writer_({parts.writer, parts.orgs, parts.board}),
      keys_(std::make_shared<const Keys>()) {
  if (options_.deliveries_per_minute_max > 0) {
    const auto per_minute = static_cast<double>(options_.deliveries_per_minute_max);
    limiter_.emplace(access::BucketRate{per_minute / 60, per_minute}, parts_.clock);
  }
}

Webhook::~Webhook() = default;

void Webhook::set_secrets(const std::vector<Secret>& secrets) {
  auto keys = std::make_shared<Keys>();
  for (const Secret& secret : secrets) {
    HmacKey key(secret.reveal());
    std::string id = to_hex(key.sign("nimbus webhook secret")).substr(0, kMarkKeyBytes - 1) + ":";
    keys->keys.push_back({std::move(key), std::move(id)});
  }
  keys_ = std::move(keys);
}

void Webhook::count(std::string_view result) {
  Counter*& counter = counters_[std::string(result)];
  if (counter == nullptr) {
    counter = &parts_.metrics.counter("nimbus_deliveries_total", "Webhook deliveries by result.",
                                      {{"result", std::string(result)}});
  }
  counter->add();
}

std::optional<Webhook::Refusal> Webhook::check_timestamp(const net::Request& request,
                                                         Time now) const {
  if (request.headers.count(kTimestampHeader) == 0) return std::nullopt;
  const auto header = request.headers.find_single(kTimestampHeader);
  const auto seconds = header ? parse_timestamp(*header) : std::nullopt;
  if (!seconds) return Refusal{400, "X-Hub-Signature-Timestamp is not a number of Unix seconds"};
  const int64_t off = to_seconds(now) - *seconds;
  const int64_t most = std::chrono::duration_cast<std::chrono::seconds>(options_.tolerance).count();
  if (off > most || off < -most) {
    return Refusal{409,
                   "X-Hub-Signature-Timestamp is " + std::to_string(off > 0 ? off : -off) +
                       " s off, more than " + std::to_string(most) + " s",
                   "check the clocks; a replayed request stays refused"};
  }
  return std::nullopt;
}

std::optional<Webhook::Refusal> Webhook::verify(const net::Request& request, const Keys& keys,
                                                Time now, std::vector<BodyMark>& marks) const {
  const auto claimed = find_signature(request);
  if (!claimed) {
    return Refusal{401,
                   "X-Hub-Signature-256 is missing or not 'sha256=' and 64 hexadecimal digits"};
  }
  std::string prefix;
  if (options_.mode == WebhookMode::relay) {
    const auto timestamp = request.headers.find_single(kTimestampHeader);
    if (!timestamp || !parse_timestamp(*timestamp)) {
      return Refusal{400, "X-Hub-Signature-Timestamp is missing or not a number of Unix seconds",
                     "webhook.mode is relay: the relay signs `timestamp.body`"};
    }
    prefix = std::string(*timestamp) + ".";
  }
  // Every secret is tried, so that the time tells nothing about which one is right.
  bool valid = false;
  std::vector<std::string> digests;
  for (const Keys::Key& key : keys.keys) {
    digests.push_back(prefix.empty() ? key.hmac.sign(request.body)
                                     : key.hmac.sign(prefix, request.body));
    valid |= equal_in_constant_time(digests.back(), *claimed);
  }
  for (size_t i = 0; valid && i < digests.size(); ++i) {
    const Keys::Key& key = keys.keys[i];
    const std::string digest = prefix.empty() ? digests[i] : key.hmac.sign(request.body);
    marks.push_back(key.id + to_hex(std::string_view(digest).substr(0, kMarkDigestBytes)));
  }
  if (!valid) return Refusal{401, "the signature does not match"};
  return check_timestamp(request, now);
}

Result<void> Webhook::read_body(const net::Request& request, Time now, Delivery& delivery) const {
  if (delivery.event != kWorkflowJob) {
    if (delivery.event == kWorkflowRun) {
      delivery.workflow_run = TRY(parse_workflow_run(request.body));
    }
    OtherEvent event = TRY(parse_other_event(request.body));
    delivery.action = std::move(event.action);
    delivery.owner = std::move(event.owner);
    delivery.repo = std::move(event.repo);
    return {};
  }
  auto event = TRY(parse_workflow_job(request.body));
  if (!event) return {};
  TRY(access::check_org_name(event->owner));
  TRY(access::check_repo_name(event->repo));
  if (now - event->newest > kReplayWindow) {
    return fail(Code::conflict, "the newest time in the body is older than 35 days",
                "GitHub does not send such a delivery; a replay stays refused");
  }
  delivery.action = to_string(event->rank);
  delivery.owner = event->owner;
  delivery.repo = event->repo;
  if (const auto match = match_labels(event->labels, options_.profiles)) {
    delivery.job = make_github_job(*event, *match, options_.tries_max, now);
  }
  delivery.workflow_job = std::move(*event);
  return {};
}

Webhook::Checked Webhook::check(const net::Request& request, const Keys& keys, Time now) const {
  auto delivery = std::make_shared<Delivery>();
  if (auto refusal = verify(request, keys, now, delivery->marks)) return {std::move(refusal), {}};
  const auto type = request.headers.find_single("Content-Type");
  if (!type || !is_json(*type)) {
    return {Refusal{415, "Content-Type is not application/json",
                    "set the webhook's content type to application/json"},
            {}};
  }
  const auto encoding = request.headers.find("Content-Encoding");
  if (encoding && !equal_ignoring_case(*encoding, "identity")) {
    return {Refusal{415, "an encoded body is not taken"}, {}};
  }
  const auto guid = request.headers.find_single("X-GitHub-Delivery");
  if (!guid || !is_visible(*guid, kDeliveryIdBytesMax)) {
    return {Refusal{400, "X-GitHub-Delivery is missing or no delivery id"}, {}};
  }
  const auto event = request.headers.find_single("X-GitHub-Event");
  if (!event || !is_visible(*event, kDeliveryIdBytesMax)) {
    return {Refusal{400, "X-GitHub-Event is missing or no event's name"}, {}};
  }
  delivery->guid = *guid;
  delivery->event = *event;
  delivery->received_at = now;
  if (auto read = read_body(request, now, *delivery); !read) {
    const Error& error = read.error();
    return {Refusal{http_status(error.code), error.message, error.hint}, {}};
  }
  return {std::nullopt, std::move(delivery)};
}

// Anybody can cause refusals, so only the first of each second are worth a line; all are counted.
void Webhook::log_refusal(const net::Request& request, const Refusal& refusal) {
  const Duration second = std::chrono::floor<std::chrono::seconds>(parts_.clock.steady());
  if (std::exchange(log_second_, second) != second) logged_ = 0;
  if (++logged_ > kRefusalsLoggedMax) return;
  log_info("delivery refused", {{"status", refusal.status},
                                {"why", refusal.detail},
                                {"peer", request.peer_address},
                                {"request", request.id}});
}

net::Response Webhook::refuse(const net::Request& request, const Refusal& refusal) {
  const std::string result = refusal.status == 401   ? "unsigned"
                             : refusal.status == 409 ? "stale"
                             : refusal.status == 415 ? "not_json"
                                                     : "malformed";
  count(result);
  log_refusal(request, refusal);
  return net::problem(refusal.status, refusal.detail, refusal.hint);
}

net::Response Webhook::answer_duplicate(const Delivery& delivery, const DeliveryOutcome& outcome) {
  const bool reused = outcome.other_body;
  access::audit_later(
      parts_.database, parts_.clock.now(),
      {"github", reused ? "delivery id reused with another body" : "delivery replayed",
       "delivery-" + delivery.guid, delivery.owner, ""});
  count(reused ? "conflict" : "duplicate");
  if (!reused) return result_answer(200, DeliveryResult::duplicate, outcome.job);
  return net::problem(409, "this delivery id came before with another body",
                      "every event has a delivery id of its own");
}

Task<net::Response> Webhook::store(std::shared_ptr<const Delivery> delivery) {
  const auto outcome = co_await writer_.write(delivery);
  if (!outcome) {
    count("unavailable");
    log_error("storing a delivery", outcome.error());
    co_return net::problem(
        Error{Code::unavailable, "the delivery could not be stored", "deliver it again"});
  }
  if (outcome->result == DeliveryResult::duplicate) co_return answer_duplicate(*delivery, *outcome);
  count(to_string(outcome->result));
  co_return result_answer(202, outcome->result, outcome->job);
}

Task<net::Response> Webhook::receive(net::Request& request) {
  if (limiter_) {
    if (const auto wait = limiter_->take(request.peer_address)) {
      count("limited");
      co_return retry_after(net::problem(429, "too many deliveries from this address"), *wait);
    }
  }
  const Time now = parts_.clock.now();
  const auto keys = keys_;
  Checked checked;
  if (request.body.size() <= kInlineBodyBytesMax) {
    checked = check(request, *keys, now);
  } else {
    std::function<Checked()> call = [&] { return check(request, *keys, now); };
    checked = co_await parts_.loop.blocking<Checked>(std::move(call));
  }
  if (checked.refusal) co_return refuse(request, *checked.refusal);
  co_return co_await store(std::move(checked.delivery));
}

}  // namespace nimbus::control
