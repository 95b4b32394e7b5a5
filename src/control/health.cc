#include "control/health.h"

#include <algorithm>
#include <array>

#include "api/json_text.h"
#include "api/openapi.h"
#include "base/hash.h"

namespace nimbus::control {
namespace {

constexpr std::array<std::string_view, 4> kStatuses = {"ok", "starting", "degraded", "unavailable"};

// A proxy on this host makes its clients look like loopback; these tell of them.
constexpr std::array<std::string_view, 3> kForwardingHeaders = {"Forwarded", "X-Forwarded-For",
                                                                "X-Real-IP"};

bool comes_from_this_host(const net::Request& request) {
  return request.peer_is_loopback &&
         std::none_of(kForwardingHeaders.begin(), kForwardingHeaders.end(),
                      [&](std::string_view name) { return request.headers.find(name); });
}

// Compares digests, so that lengths tell nothing either.
bool is_metrics_token(const net::Request& request, const std::optional<Secret>& token) {
  const auto bearer = request.bearer();
  return token && bearer && equal_in_constant_time(sha256(*bearer), sha256(token->reveal()));
}

// Who shows a credential is judged by it, wherever the request comes from: the metrics token, or an
// operator's of every org, whose numbers these are.
Task<Result<void>> check_reader(const net::Request& request, const std::optional<Secret>& token,
                                access::Authenticator& authenticator) {
  const bool shows = request.headers.find("Authorization").has_value();
  if (!shows && comes_from_this_host(request)) co_return Result<void>();
  if (is_metrics_token(request, token)) co_return Result<void>();
  if (!shows) {
    co_return fail(Code::unauthenticated, "the metrics token is missing",
                   "send it as a bearer token, see metrics.token_file");
  }
  CO_TRY(co_await authenticator.require_installation(request, access::Role::viewer));
  co_return Result<void>();
}

}  // namespace

std::string_view to_string(PartStatus status) { return kStatuses[static_cast<size_t>(status)]; }

void Health::add(std::string name, bool required, Check check) {
  parts_.push_back({std::move(name), required, std::move(check)});
}

Health::Report Health::report() const {
  Report report;
  bool degraded = false;
  api::JsonText parts;
  for (const Part& part : parts_) {
    const PartHealth health = part.check();
    api::JsonText json;
    json.text("status", to_string(health.status));
    if (!health.detail.empty()) json.text("detail", health.detail);
    parts.raw(part.name, json.finish());
    degraded = degraded || health.status != PartStatus::ok;
    if (part.required && health.status == PartStatus::unavailable) report.available = false;
  }
  report.json = api::JsonText()
                    .text("status", !report.available ? "unavailable"
                                    : degraded        ? "degraded"
                                                      : "ready")
                    .raw("parts", parts.finish())
                    .finish();
  return report;
}

void add_health_routes(net::Router& router, const Health& health, Metrics& metrics,
                       MetricsReaders readers) {
  router.get("/healthz", [](net::Request&) -> Task<net::Response> {
    co_return net::Response::text(200, "ok\n");
  });
  router.get("/readyz", [&health](net::Request&) -> Task<net::Response> {
    const Health::Report report = health.report();
    net::Response response = net::Response::json(report.available ? 200 : 503, report.json);
    if (!report.available) response.headers.set("Retry-After", "5");
    co_return response;
  });
  router.get(
      "/metrics",
      [&metrics, readers = std::move(readers)](net::Request& request) -> Task<net::Response> {
        const auto allowed = co_await check_reader(request, readers.token, readers.authenticator);
        if (!allowed) co_return access::refusal(allowed.error());
        net::Response response = net::Response::text(200, metrics.expose());
        response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
        co_return response;
      });
  router.get("/openapi.json", [](net::Request&) -> Task<net::Response> {
    co_return net::Response::json(200, std::string(api::openapi_json()));
  });
}

}  // namespace nimbus::control
