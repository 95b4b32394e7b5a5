// POST /webhooks/github: GitHub's deliveries, verified before they are read and stored before they
// are answered. The checks, in this order, each with its own answer:
//
//   413  over 25 MiB (the server's route limit)           429  too many from this address
//   401  X-Hub-Signature-256 missing or not of its shape
//   400  relay mode: X-Hub-Signature-Timestamp missing or no number (the signature covers it)
//   401  the signature is not one of a valid secret's, compared in constant time with every one
//   409  the timestamp is outside the tolerance (400 first when, in github mode, it does not parse)
//   415  not application/json, or encoded
//   400  X-GitHub-Delivery or X-GitHub-Event missing or malformed; the body is not what it should
//   be 409  the body's newest time is older than the replay window (workflow_job; other events
//   cause
//        nothing, so their age does not matter)
//   409  the delivery id came before with another body
//
// What is refused is not stored, so a corrected delivery with the same id is taken.
//
// Threads: the loop's; bodies over kInlineBodyBytesMax are checked on a blocking thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "access/peer_limiter.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "control/board.h"
#include "control/delivery.h"
#include "control/delivery_writer.h"
#include "control/org_store.h"
#include "db/database.h"
#include "net/http.h"
#include "net/loop.h"

namespace nimbus::control {

constexpr size_t kWebhookBodyBytesMax = size_t{25} << 20;
constexpr size_t kInlineBodyBytesMax = size_t{1} << 20;
constexpr size_t kWebhookSecretsMax = 8;
constexpr size_t kDeliveryIdBytesMax = 128;

// github: GitHub signs the body. relay: a trusted relay, which has verified GitHub's signature,
// signs `timestamp.body` with a secret of its own.
enum class WebhookMode { github, relay };
std::optional<WebhookMode> find_webhook_mode(std::string_view name);

struct WebhookOptions {
  WebhookMode mode = WebhookMode::github;
  Duration tolerance = std::chrono::seconds(300);
  int64_t deliveries_per_minute_max = 0;  // per address; 0: no limit
  std::vector<Profile> profiles;
  int64_t tries_max = 3;
};

// A secrets file's text: one secret a line, every one of them valid. bad_request: none, or more
// than kWebhookSecretsMax.
Result<std::vector<Secret>> parse_webhook_secrets(std::string_view text);

class Webhook {
 public:
  struct Parts {
    net::Loop& loop;
    db::Database& database;
    BatchWriter& writer;
    const OrgStore& orgs;
    Board& board;
    const Clock& clock;
    Metrics& metrics;
  };
  Webhook(Parts parts, WebhookOptions options);
  ~Webhook();

  // Those of the mode, also while running (rotation): deliveries in progress keep the old ones.
  void set_secrets(const std::vector<Secret>& secrets);

  Task<net::Response> receive(net::Request& request);

 private:
  struct Keys;
  struct Refusal;
  struct Checked;
  Checked check(const net::Request& request, const Keys& keys, Time now) const;
  std::optional<Refusal> verify(const net::Request& request, const Keys& keys, Time now,
                                std::vector<BodyMark>& marks) const;
  std::optional<Refusal> check_timestamp(const net::Request& request, Time now) const;
  Result<void> read_body(const net::Request& request, Time now, Delivery& delivery) const;
  Task<net::Response> store(std::shared_ptr<const Delivery> delivery);
  net::Response answer_duplicate(const Delivery& delivery, const DeliveryOutcome& outcome);
  net::Response refuse(const net::Request& request, const Refusal& refusal);
  void count(std::string_view result);
  void log_refusal(const net::Request& request, const Refusal& refusal);

  Parts parts_;
  WebhookOptions options_;
  DeliveryWriter writer_;
  std::shared_ptr<const Keys> keys_;
  std::optional<access::PeerLimiter> limiter_;
  std::unordered_map<std::string, Counter*> counters_;
  Duration log_second_{-1};  // steady; refusals are counted anew each second
  int logged_ = 0;
};

}  // namespace nimbus::control
