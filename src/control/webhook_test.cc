#include "control/webhook.h"

#include <algorithm>

#include "api/openapi.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "control/control_fixture.h"

using namespace nimbus;
using namespace nimbus::control;

namespace {

struct Intake : ControlFixture {
  int64_t rows(std::string_view table) {
    int64_t count = 0;
    REQUIRE(
        database
            ->read_now([&](db::Transaction& tx) -> Result<void> {
              count =
                  TRY(tx.query("SELECT count(*) FROM " + std::string(table))).front().integer(0);
              return {};
            })
            .has_value());
    return count;
  }
  // Refused with this status, and nothing stored.
  void refused(net::Request request, int status) {
    const int64_t before = rows("deliveries") + rows("jobs");
    const Answer answer = deliver(std::move(request));
    INFO(boost::json::serialize(answer.body));
    CHECK_EQ(answer.status, status);
    CHECK(api::schema_faults("Problem", answer.body).empty());
    CHECK_EQ(rows("deliveries") + rows("jobs"), before);
  }
  std::string metric(const std::string& line) {
    const std::string text = metrics->expose();
    const size_t at = text.find(line);
    return at == text.npos
               ? ""
               : text.substr(at + line.size() + 1, text.find('\n', at) - at - line.size() - 1);
  }
};

const std::string kTimestamp = "X-Hub-Signature-Timestamp";

}  // namespace

TEST_CASE_FIXTURE(Intake, "every example of GitHub's, its times moved to now, gets its answer") {
  const std::map<std::string, std::string> results = {
      {"workflow_job.queued.self-hosted-k8s.deployment.json", "held"},
      {"workflow_job.waiting.self-hosted-k8s.json", "updated"}};
  for (const WebhookFixture& fixture : webhook_fixtures()) {
    const std::string body = moved_to(fixture_body(fixture.file), clock.now());
    const Answer answer = deliver(delivery(body, fixture.event, fixture.delivery));
    CHECK_EQ(answer.status, 202);
    const auto expected = results.find(fixture.file);
    INFO(fixture.file);
    CHECK_EQ(answer.text("result"), expected == results.end() ? "ignored" : expected->second);
    CHECK(api::schema_faults("DeliveryAnswer", answer.body).empty());
  }
  CHECK_EQ(rows("deliveries"), 13);
  CHECK_EQ(rows("jobs"), 1);
}

TEST_CASE_FIXTURE(Intake, "the same examples as they are, years old, are refused") {
  for (const WebhookFixture& fixture : webhook_fixtures()) {
    net::Request made = delivery(fixture_body(fixture.file), fixture.event, fixture.delivery);
    made.headers.set("X-Hub-Signature-256", fixture.signature);
    if (fixture.event == "workflow_job") {
      refused(std::move(made), 409);
    } else {
      CHECK_EQ(deliver(std::move(made)).text("result"), "ignored");
    }
  }
}

TEST_CASE_FIXTURE(Intake, "an example of a job for us is queued with all that GitHub told") {
  std::string body = moved_to(fixture_body("workflow_job.queued.ubuntu.json"), clock.now());
  body.replace(body.find("ubuntu-latest"), 13, "nimbus");
  const Answer answer = deliver(delivery(body));
  CHECK_EQ(answer.status, 202);
  CHECK_EQ(answer.text("result"), "queued");
  const Answer job = this->job(answer.number("job"));
  CHECK(api::schema_faults("JobDetail", job.body).empty());
  CHECK_EQ(job.text("org"), "Octocoders");
  CHECK_EQ(job.text("repo"), "Hello-World");
  CHECK_EQ(job.text("state"), "queued");
  CHECK_EQ(job.text("image"), "nimbus/base");
  CHECK_EQ(boost::json::serialize(job.body.at("command")), R"(["/bin/eval","--all"])");
  CHECK_EQ(job.body.at("github").at("job_id").as_int64(), 289782451);
  CHECK_EQ(job.body.at("github").at("run_id").as_int64(), 2202229078);
  CHECK_EQ(job.body.at("github").at("installation_id").as_int64(), 3456996);
}

TEST_CASE_FIXTURE(Intake, "a delivery with any bit of any byte changed is refused") {
  const std::string body = event("queued");
  for (size_t i = 0; i < body.size(); i += 7) {
    net::Request made = delivery(body);
    made.body[i] = static_cast<char>(made.body[i] ^ (1 << (i % 8)));
    CHECK_EQ(deliver(std::move(made)).status, 401);
  }
  const std::string signature = fixture_signature(body);
  for (size_t i = 0; i < signature.size(); ++i) {
    std::string other = signature;
    other[i] = other[i] == '0' ? '1' : '0';
    net::Request made = delivery(body);
    made.headers.set("X-Hub-Signature-256", other);
    CHECK_EQ(deliver(std::move(made)).status, 401);
  }
  CHECK_EQ(rows("deliveries"), 0);
}

TEST_CASE_FIXTURE(Intake, "a signature that is absent or not of its shape is refused") {
  const std::string body = event("queued");
  const std::string hex = fixture_signature(body).substr(7);
  std::string upper = hex;
  std::transform(upper.begin(), upper.end(), upper.begin(), ::toupper);
  const std::vector<std::string> values = {"",
                                           "sha256=",
                                           hex,
                                           "sha1=" + hex,
                                           "SHA256=" + hex,
                                           "sha256=" + hex + "0",
                                           "sha256=" + hex.substr(1),
                                           "sha256=" + upper,
                                           " sha256=" + hex};
  for (const std::string& value : values) {
    net::Request made = delivery(body);
    made.headers.set("X-Hub-Signature-256", value);
    refused(std::move(made), 401);
  }
  net::Request absent = delivery(body);
  absent.headers.remove("X-Hub-Signature-256");
  absent.headers.set("X-Hub-Signature", "sha1=5d55a28ac3a213e405d025ecc0a708d6110dc49c");
  refused(std::move(absent), 401);
  net::Request twice = delivery(body);
  twice.headers.add("X-Hub-Signature-256", fixture_signature(body));
  refused(std::move(twice), 401);
}

TEST_CASE_FIXTURE(Intake, "a body re-encoded after signing is refused") {
  net::Request made = delivery(event("queued"));
  made.body += "\n";
  refused(std::move(made), 401);
}

TEST_CASE_FIXTURE(Intake, "every valid secret is accepted, and a withdrawn one is not") {
  const auto signed_with = [this](std::string_view secret) {
    net::Request made = delivery(event("queued"));
    made.headers.set("X-Hub-Signature-256", fixture_signature(made.body, secret));
    return deliver(std::move(made)).status;
  };
  control->set_webhook_secrets({Secret("old-secret"), Secret("new-secret")});
  CHECK_EQ(signed_with("old-secret"), 202);
  CHECK_EQ(signed_with("new-secret"), 202);
  CHECK_EQ(signed_with(kFixtureSecret), 401);
  control->set_webhook_secrets({Secret("new-secret")});
  CHECK_EQ(signed_with("old-secret"), 401);
  control->set_webhook_secrets({});
  CHECK_EQ(signed_with(""), 401);
}

TEST_CASE_FIXTURE(Intake, "what is not JSON by its headers is refused with 415") {
  for (const char* type :
       {"application/x-www-form-urlencoded", "text/plain", "application/jsonp"}) {
    net::Request made = delivery(event("queued"));
    made.headers.set("Content-Type", type);
    refused(std::move(made), 415);
  }
  net::Request untyped = delivery(event("queued"));
  untyped.headers.remove("Content-Type");
  refused(std::move(untyped), 415);
  net::Request packed = delivery(event("queued"));
  packed.headers.set("Content-Encoding", "gzip");
  refused(std::move(packed), 415);
  net::Request plain = delivery(event("queued"));
  plain.headers.set("Content-Type", "Application/JSON; charset=utf-8");
  plain.headers.set("Content-Encoding", "identity");
  CHECK_EQ(deliver(std::move(plain)).status, 202);
}

TEST_CASE_FIXTURE(Intake, "a delivery without its id or event is refused with 400") {
  for (const char* name : {"X-GitHub-Delivery", "X-GitHub-Event"}) {
    net::Request absent = delivery(event("queued"));
    absent.headers.remove(name);
    refused(std::move(absent), 400);
    net::Request twice = delivery(event("queued"));
    twice.headers.add(name, "other");
    refused(std::move(twice), 400);
    net::Request odd = delivery(event("queued"));
    odd.headers.set(name, "with space");
    refused(std::move(odd), 400);
    net::Request empty = delivery(event("queued"));
    empty.headers.set(name, "");
    refused(std::move(empty), 400);
    net::Request big = delivery(event("queued"));
    big.headers.set(name, std::string(kDeliveryIdBytesMax + 1, 'x'));
    refused(std::move(big), 400);
  }
}

TEST_CASE_FIXTURE(Intake, "a body that is signed and malformed is refused with 400") {
  for (const std::string& body :
       {std::string("{}"), std::string("[]"), std::string(), std::string("{\"action\":1}"),
        event("queued") + "x", event("queued", 0), std::string(40, '['),
        event("queued", 1, "", "1"), event("queued", 1, "", "\"nimbus\"", "../etc"),
        event("queued", 1, "", "\"nimb\xff\"")}) {
    refused(delivery(body), 400);
  }
  refused(delivery("not json", "ping"), 400);
}

TEST_CASE_FIXTURE(Intake,
                  "a timestamp of a relay may be absent; when it is there it must be near") {
  const auto with = [this](const std::string& value) {
    net::Request made = delivery(event("queued"));
    made.headers.set(kTimestamp, value);
    return made;
  };
  const int64_t now = to_seconds(clock.now());
  for (const char* bad : {"", "now", "-1", "0123", "1.5", "1767225600 ", "9999999999999"}) {
    refused(with(bad), 400);
  }
  refused(with(std::to_string(now - 301)), 409);
  refused(with(std::to_string(now + 301)), 409);
  CHECK_EQ(deliver(with(std::to_string(now - 300))).status, 202);
  CHECK_EQ(deliver(with(std::to_string(now + 300))).status, 202);
}

TEST_CASE_FIXTURE(Intake, "in relay mode the timestamp is required and signed") {
  options.webhook.mode = WebhookMode::relay;
  options.webhook_secrets = {Secret("relay-secret")};
  restart();
  const auto relayed = [this](const std::string& stamp, const std::string& signed_stamp) {
    net::Request made = delivery(event("queued"));
    made.headers.set(kTimestamp, stamp);
    made.headers.set("X-Hub-Signature-256",
                     fixture_signature(signed_stamp + "." + made.body, "relay-secret"));
    return made;
  };
  const std::string now = std::to_string(to_seconds(clock.now()));
  net::Request first = relayed(now, now);
  first.headers.set("X-GitHub-Delivery", "g-1");
  CHECK_EQ(deliver(first).status, 202);
  clock.advance(seconds(1));
  const std::string later = std::to_string(to_seconds(clock.now()));
  first.headers.set(kTimestamp, later);
  first.headers.set("X-Hub-Signature-256",
                    fixture_signature(later + "." + first.body, "relay-secret"));
  CHECK_EQ(deliver(first).status, 200);
  refused(relayed(later, now), 401);
  const std::string old = std::to_string(to_seconds(clock.now()) - 301);
  refused(relayed(old, old), 409);
  refused(relayed("soon", "soon"), 400);
  net::Request absent = relayed(now, now);
  absent.headers.remove(kTimestamp);
  refused(std::move(absent), 400);
  refused(delivery(event("queued")), 400);
}

TEST_CASE_FIXTURE(Intake, "the published relay example verifies") {
  options.webhook.mode = WebhookMode::relay;
  restart();
  clock.set_now(from_us(int64_t{1767225600} * 1'000'000));
  net::Request made = delivery(fixture_body("workflow_job.queued.ubuntu.json"));
  made.headers.set(kTimestamp, "1767225600");
  made.headers.set("X-Hub-Signature-256",
                   "sha256=1103125d4c59183615759248c161009ecf0ca9e6d5092fa2a4b657e8b89eb4d8");
  refused(std::move(made), 409);  // genuine, and years old by its body
}

TEST_CASE_FIXTURE(Intake, "the same delivery again acts once, also after a restart") {
  const std::string body = event("queued");
  CHECK_EQ(deliver(delivery(body, "workflow_job", "g-1")).text("result"), "queued");
  for (int i = 0; i < 3; ++i) {
    const Answer again = deliver(delivery(body, "workflow_job", "g-1"));
    CHECK_EQ(again.status, 200);
    CHECK_EQ(again.text("result"), "duplicate");
    restart();
  }
  CHECK_EQ(rows("jobs"), 1);
  CHECK_EQ(rows("deliveries"), 1);
}

TEST_CASE_FIXTURE(Intake,
                  "a delivery id that comes back with another body is refused and audited") {
  CHECK_EQ(deliver(delivery(event("queued", 1), "workflow_job", "g-1")).status, 202);
  refused(delivery(event("queued", 2), "workflow_job", "g-1"), 409);
  CHECK_EQ(rows("jobs"), 1);
  settle();
  const std::string audit = boost::json::serialize(get("/api/v1/audit").body);
  CHECK_NE(audit.find("\"what\":\"delivery id reused with another body\""), audit.npos);
  CHECK_NE(audit.find("delivery-g-1"), audit.npos);
}

TEST_CASE_FIXTURE(Intake, "a replay is known while secrets rotate, and after") {
  const std::string body = event("queued");
  const auto send_signed = [&](std::string_view secret, const std::string& text) {
    net::Request made = delivery(text, "workflow_job", "g-1");
    made.headers.set("X-Hub-Signature-256", fixture_signature(text, secret));
    return deliver(std::move(made)).status;
  };
  CHECK_EQ(send_signed(kFixtureSecret, body), 202);
  control->set_webhook_secrets({Secret("new"), Secret(std::string(kFixtureSecret))});
  CHECK_EQ(send_signed("new", body), 200);
  CHECK_EQ(send_signed("new", event("queued", 2)), 409);
  control->set_webhook_secrets({Secret("new")});
  CHECK_EQ(send_signed("new", body), 200);
  CHECK_EQ(rows("jobs"), 1);
}

TEST_CASE_FIXTURE(Intake, "a refused delivery may come again with the same id") {
  net::Request bad = delivery(event("queued"), "workflow_job", "g-1");
  bad.headers.set("Content-Type", "text/plain");
  CHECK_EQ(deliver(std::move(bad)).status, 415);
  CHECK_EQ(deliver(delivery(event("queued"), "workflow_job", "g-1")).status, 202);
}

TEST_CASE_FIXTURE(Intake, "a delivery that the table has forgotten is too old to be replayed") {
  const std::string body = event("queued");
  CHECK_EQ(deliver(delivery(body, "workflow_job", "g-1")).status, 202);
  clock.advance(kDeliveriesKept + seconds(1));
  sweep();
  CHECK_EQ(rows("deliveries"), 0);
  refused(delivery(body, "workflow_job", "g-1"), 409);
}

TEST_CASE_FIXTURE(Intake, "the newest time of a body decides about its age") {
  const std::string body = event("queued");
  clock.advance(kReplayWindow);
  CHECK_EQ(deliver(delivery(body)).status, 202);
  clock.advance(seconds(1));
  refused(delivery(body), 409);
}

TEST_CASE_FIXTURE(Intake, "an address that floods gets 429, and others are served") {
  options.webhook.deliveries_per_minute_max = 2;
  restart();
  CHECK_EQ(send("queued", 1).status, 202);
  CHECK_EQ(send("queued", 2).status, 202);
  const Answer limited = send("queued", 3);
  CHECK_EQ(limited.status, 429);
  CHECK_EQ(limited.headers.find("Retry-After"), "30");
  net::Request other = delivery(event("queued", 3));
  other.peer_address = "192.0.2.2";
  CHECK_EQ(deliver(std::move(other)).status, 202);
  clock.advance(seconds(30));
  CHECK_EQ(send("queued", 4).status, 202);
}

TEST_CASE_FIXTURE(Intake, "a large body is checked like a small one") {
  std::string body = event("queued");
  body.insert(1, "\"padding\":\"" + std::string(2 * kInlineBodyBytesMax, 'x') + "\",");
  CHECK_EQ(deliver(delivery(body)).status, 202);
  net::Request made = delivery(body);
  made.body[100] = 'y';
  CHECK_EQ(deliver(std::move(made)).status, 401);
}

TEST_CASE_FIXTURE(Intake, "deliveries are listed with what each caused, for admins") {
  send("queued", 1);
  send("queued", 2, "", "\"windows\"");
  deliver(delivery("{}", "ping"));
  const Answer all = get("/api/v1/deliveries?limit=2");
  CHECK(api::schema_faults("DeliveryList", all.body).empty());
  CHECK_EQ(all.body.at("items").as_array().front().at("event").as_string(), "ping");
  const Answer rest = get("/api/v1/deliveries?cursor=" + all.text("next_cursor"));
  CHECK_EQ(rest.body.at("items").as_array().size(), 1);
  CHECK_EQ(rest.body.at("items").as_array().front().at("result").as_string(), "queued");
  CHECK(rest.body.at("next_cursor").is_null());
  CHECK_EQ(get("/api/v1/deliveries?result=ignored&event=workflow_job")
               .body.at("items")
               .as_array()
               .size(),
           1);
  CHECK_EQ(call("GET", "/api/v1/deliveries", token(access::Role::operator_, "*")).status, 403);
  CHECK_EQ(call("GET", "/api/v1/deliveries", token(access::Role::admin, "other"))
               .body.at("items")
               .as_array()
               .size(),
           0);
}

TEST_CASE_FIXTURE(Intake, "deliveries are counted by result") {
  send("queued", 1);
  send("queued", 2);
  net::Request bad = delivery(event("queued"));
  bad.body += ' ';
  deliver(std::move(bad));
  CHECK_EQ(metric("nimbus_deliveries_total{result=\"queued\"}"), "2");
  CHECK_EQ(metric("nimbus_deliveries_total{result=\"unsigned\"}"), "1");
  CHECK_EQ(metric("nimbus_jobs{state=\"queued\"}"), "2");
}

TEST_CASE("a secrets file has one secret a line") {
  const auto secrets = parse_webhook_secrets("one\n\n two \r\n");
  REQUIRE(secrets);
  REQUIRE_EQ(secrets->size(), 2);
  CHECK_EQ((*secrets)[1].reveal(), "two");
  CHECK_FALSE(parse_webhook_secrets("\n \n"));
  CHECK_FALSE(parse_webhook_secrets("1\n2\n3\n4\n5\n6\n7\n8\n9\n"));
}
