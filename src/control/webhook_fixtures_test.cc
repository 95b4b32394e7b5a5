#include "control/webhook_fixtures.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "base/encoding.h"
#include "base/hash.h"

namespace nimbus::control {
namespace {

constexpr size_t kTimeBytes = 20;  // 2021-09-29T17:37:18Z

bool is_time(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00Z";
  for (size_t i = 0; i < kTimeBytes; ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kShape[i] == '0' ? !digit : text[i] != kShape[i]) return false;
  }
  return true;
}

}  // namespace

std::string fixture_body(std::string_view file) {
  const std::string path = std::string(NIMBUS_GOLDEN_DIR) + "/webhooks/" + std::string(file);
  std::ifstream stream(path, std::ios::binary);
  REQUIRE_MESSAGE(stream.good(), path);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::vector<WebhookFixture> webhook_fixtures() {
  const auto index = boost::json::parse(fixture_body("index.json"));
  std::vector<WebhookFixture> fixtures;
  for (const auto& row : index.at("deliveries").as_array()) {
    const auto text = [&row](const char* field) { return std::string(row.at(field).as_string()); };
    fixtures.push_back({text("delivery"), text("event"), text("file"), text("signature_256")});
  }
  return fixtures;
}

std::string moved_to(std::string_view body, Time now) {
  const std::string text = to_rfc3339(from_us(to_seconds(now) * 1'000'000));
  std::string moved(body);
  for (size_t at = 0; at + kTimeBytes <= moved.size(); ++at) {
    if (is_time(std::string_view(moved).substr(at, kTimeBytes)))
      moved.replace(at, kTimeBytes, text);
  }
  return moved;
}

std::string fixture_signature(std::string_view body, std::string_view secret) {
  return "sha256=" + to_hex(hmac_sha256(secret, body));
}

TEST_CASE("the fixtures' signatures are right") {
  const auto fixtures = webhook_fixtures();
  CHECK_EQ(fixtures.size(), 13);
  for (const auto& fixture : fixtures) {
    CHECK_EQ(fixture_signature(fixture_body(fixture.file)), fixture.signature);
  }
}

}  // namespace nimbus::control
