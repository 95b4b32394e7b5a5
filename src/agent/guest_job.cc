#include "agent/guest_job.h"

#include <boost/json.hpp>

#include "base/encoding.h"
#include "base/json.h"
#include "base/text.h"
#include "net/http.h"

namespace nimbus::agent {
namespace {

namespace json = boost::json;

constexpr std::string_view kWorkdir = "/home/runner/work";
constexpr std::chrono::hours kTokenLife{24 * 6};

std::string attributes(ExecutionKey key, const model::JobSpec& spec) {
  // Values are percent-encoded (OpenTelemetry, W3C Baggage).
  return "nimbus.org=" + net::percent_encode(spec.org) +
         ",nimbus.repo=" + net::percent_encode(spec.repo) +
         ",nimbus.job_id=" + std::to_string(key.job.value);
}

}  // namespace

std::string worthless_runtime_token(ExecutionKey key, const Secret& job_token, Time now) {
  const std::string id = std::to_string(key.job.value);
  json::object claims;
  claims["scp"] = "Actions.Results:" + id + ":" + id;
  claims["ac"] = "[]";
  // Clients send the ids of these claims back, so they must be those of the real token.
  const auto parts = split(job_token.reveal(), '.');
  const auto payload = parts.size() == 3 ? parse_base64url(parts[1]) : Result<std::string>("");
  const auto real = payload ? parse_json_object(*payload, 4) : Result<json::object>(json::object());
  for (const std::string_view name : {"scp", "ac"}) {
    const json::value* claim = real ? real->if_contains(name) : nullptr;
    if (claim != nullptr && claim->is_string()) claims[name] = *claim;
  }
  claims["iat"] = to_seconds(now);
  claims["exp"] = to_seconds(now + kTokenLife);
  claims["iss"] = "nimbus-gateway";
  const std::string head = json::serialize(json::object{{"alg", "HS256"}, {"typ", "JWT"}});
  return to_base64url(head) + "." + to_base64url(json::serialize(claims)) + "." +
         to_base64url("worthless-outside-the-slot------");
}

std::map<std::string, std::string> job_environment(const GuestFacts& facts) {
  const ExecutionKey key = facts.key;
  const model::JobSpec& spec = facts.spec;
  std::map<std::string, std::string> env;
  for (const std::string& variable : facts.image_env) {
    const size_t equals = variable.find('=');
    if (equals == 0 || equals == std::string::npos) continue;
    env[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  const std::string gateway(kGatewayUrl);
  env["CI"] = "true";
  env["NIMBUS_JOB_ID"] = std::to_string(key.job.value);
  env["NIMBUS_ORG"] = spec.org;
  env["NIMBUS_REPO"] = spec.repo;
  env["NIMBUS_GATEWAY"] = gateway;
  if (!spec.ref.empty()) env["NIMBUS_REF"] = spec.ref;
  if (!spec.sha.empty()) env["NIMBUS_SHA"] = spec.sha;
  env["OTEL_EXPORTER_OTLP_ENDPOINT"] = gateway;
  env["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf";
  env["OTEL_RESOURCE_ATTRIBUTES"] = attributes(key, spec);
  env["ACTIONS_CACHE_URL"] = gateway + "/";
  env["ACTIONS_RESULTS_URL"] = gateway + "/";
  env["ACTIONS_CACHE_SERVICE_V2"] = "true";
  env["ACTIONS_RUNTIME_TOKEN"] = worthless_runtime_token(key, facts.job_token, facts.now);
  for (const auto& [name, value] : spec.env) {
    // Control adds some, a webhook's parameters for instance, but none says who the job is.
    if (name.starts_with("NIMBUS_")) {
      env.try_emplace(name, value);
    } else {
      env[name] = value;
    }
  }
  return env;
}

std::string guest_job_body(const GuestFacts& facts, std::string_view entropy) {
  const ExecutionKey key = facts.key;
  const model::JobSpec& spec = facts.spec;
  json::object body;
  body["job"] = key.job.value;
  body["fence"] = key.fence.value;
  body["command"] = json::value_from(spec.command);
  body["env"] = json::value_from(job_environment(facts));
  body["user"] = "runner";
  body["workdir"] = kWorkdir;
  body["timeout_s"] = spec.timeout_s;
  body["hostname"] = "nimbus-" + std::to_string(key.job.value);
  body["time_ns"] = to_us(facts.now) * 1000;
  body["entropy"] = to_base64(entropy);
  return json::serialize(body);
}

}  // namespace nimbus::agent
