#include "cli/webhook_delivery.h"

#include <boost/json.hpp>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/json.h"

namespace nimbus::cli {

net::ClientRequest make_delivery(const Delivery& delivery, const Secret& secret, std::string url) {
  net::ClientRequest request;
  request.method = "POST";
  request.url = std::move(url);
  std::string signature;
  if (delivery.timestamp) {
    const std::string seconds = std::to_string(to_seconds(*delivery.timestamp));
    request.headers.set("X-Hub-Signature-Timestamp", seconds);
    signature = HmacKey(secret.reveal()).sign(seconds + ".", delivery.body);
  } else {
    signature = hmac_sha256(secret.reveal(), delivery.body);
  }
  request.headers.set("Content-Type", "application/json");
  request.headers.set("User-Agent", "GitHub-Hookshot/nimbus");
  request.headers.set("X-GitHub-Event", delivery.event);
  request.headers.set("X-GitHub-Delivery", delivery.guid);
  request.headers.set("X-Hub-Signature-256", "sha256=" + to_hex(signature));
  request.body = delivery.body;
  return request;
}

Result<std::string> move_times(std::string_view body, Time now) {
  boost::json::object delivery = TRY(parse_json_object(body));
  auto* job = delivery.if_contains("workflow_job");
  if (job == nullptr || !job->is_object()) {
    return fail(Code::bad_request, "there is no workflow_job in it whose times could be moved");
  }
  const std::string text = to_rfc3339(from_us(to_seconds(now) * 1'000'000));
  for (const char* field : {"created_at", "started_at", "completed_at"}) {
    auto* time = job->get_object().if_contains(field);
    if (time != nullptr && time->is_string()) *time = text;
  }
  return boost::json::serialize(delivery);
}

std::string event_of_file(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  const std::string_view event = path.substr(0, path.find('.'));
  for (const char c : event) {
    if (!(c >= 'a' && c <= 'z') && c != '_') return "workflow_job";
  }
  const bool known = event.find('_') != std::string_view::npos || event == "ping" ||
                     event == "push" || event == "installation";
  return known ? std::string(event) : "workflow_job";
}

std::string make_guid(Random& random) {
  std::string bytes = random.bytes(16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  std::string text = to_hex(bytes);
  for (const size_t at : {8, 13, 18, 23}) text.insert(at, 1, '-');
  return text;
}

}  // namespace nimbus::cli
