#include "control/org_routes.h"

#include <array>
#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "net/page.h"

namespace nimbus::control {
namespace {

namespace json = boost::json;
using access::Role;

constexpr int64_t kJobsMax = 1'000'000;
constexpr int64_t kBytesMax = int64_t{1} << 60;

struct NumberField {
  std::string_view name;
  std::optional<int64_t> OrgSettings::* setting;
  int64_t OrgLimits::* limit;
  int64_t max;
};
constexpr std::array<NumberField, 4> kNumbers = {{
    {"jobs_per_minute", &OrgSettings::jobs_per_minute, &OrgLimits::jobs_per_minute, kJobsMax},
    {"concurrent_jobs", &OrgSettings::concurrent_jobs, &OrgLimits::concurrent_jobs, kJobsMax},
    {"cache_bytes_max", &OrgSettings::cache_bytes_max, &OrgLimits::cache_bytes_max, kBytesMax},
    {"registry_bytes_max", &OrgSettings::registry_bytes_max, &OrgLimits::registry_bytes_max,
     kBytesMax},
}};

json::object to_json(const Org& org) {
  json::object object;
  object["org"] = org.name;
  json::array defaulted;
  for (const NumberField& field : kNumbers) {
    object[field.name] = org.limits.*field.limit;
    if (!(org.settings.*field.setting)) defaulted.emplace_back(field.name);
  }
  object["egress"] = to_string(org.limits.egress);
  if (!org.settings.egress) defaulted.emplace_back("egress");
  object["defaults"] = std::move(defaulted);
  object["created_at"] = to_rfc3339(org.created_at);
  return object;
}

using Edit = std::function<void(OrgSettings&)>;

Result<Edit> parse_edit(std::string_view body, std::string_view org) {
  const json::object object = TRY(parse_json_object(body));
  // `org`, `defaults` and `created_at` are as GET shows them, so that its answer can be sent back.
  TRY(refuse_unknown_fields(
      object, {"jobs_per_minute", "concurrent_jobs", "cache_bytes_max", "registry_bytes_max",
               "egress", "org", "defaults", "created_at"}));
  const auto name = TRY(find_text(object, "org"));
  if (name && !equal_ignoring_case(*name, org)) {
    return fail(Code::bad_request, "field 'org' is not the org of the path");
  }
  std::vector<Edit> edits;
  for (const NumberField& field : kNumbers) {
    if (!object.contains(field.name)) continue;
    const auto value = TRY(find_int(object, field.name, 0, field.max));
    edits.push_back([setting = field.setting, value](OrgSettings& to) { to.*setting = value; });
  }
  if (object.contains("egress")) {
    std::optional<Egress> egress;
    if (const auto text = TRY(find_text(object, "egress"))) {
      egress = find_egress(*text);
      if (!egress) return fail(Code::bad_request, "field 'egress' must be default or open");
    }
    edits.push_back([egress](OrgSettings& to) { to.egress = egress; });
  }
  return [edits = std::move(edits)](OrgSettings& to) {
    for (const Edit& edit : edits) edit(to);
  };
}

}  // namespace

void OrgRoutes::add_to(net::Router& router) {
  router.get("/api/v1/orgs", [this](net::Request& request) { return list(request); });
  router.get("/api/v1/orgs/{org}", [this](net::Request& request) { return show(request); });
  router.put("/api/v1/orgs/{org}", [this](net::Request& request) { return change(request); });
}

Task<net::Response> OrgRoutes::list(net::Request& request) {
  const auto caller = co_await authenticator_.require_operator(request, Role::admin);
  if (!caller) co_return access::refusal(caller.error());
  const auto page = net::read_page(request);
  if (!page) co_return net::problem(page.error());
  auto orgs = co_await orgs_.list(caller->orgs, page->cursor, page->limit + 1);
  if (!orgs) co_return net::problem(orgs.error());
  const auto show = [](const Org& org) { return json::serialize(to_json(org)); };
  co_return net::page_of(std::move(*orgs), page->limit, show,
                         [](const Org& org) { return org.name; });
}

Task<net::Response> OrgRoutes::show(net::Request& request) {
  const auto caller = co_await authenticator_.require_operator(request, Role::admin);
  if (!caller) co_return access::refusal(caller.error());
  const std::string& name = request.parameter("org");
  const auto allowed = caller->orgs.require(name, "org");
  if (!allowed) co_return net::problem(allowed.error());
  const auto org = co_await orgs_.find(name);
  if (!org) co_return net::problem(org.error());
  if (!*org) co_return net::problem(404, "no such org");
  co_return net::Response::json(200, json::serialize(to_json(**org)));
}

Task<net::Response> OrgRoutes::change(net::Request& request) {
  const auto caller = co_await authenticator_.require_operator(request, Role::admin);
  if (!caller) co_return access::refusal(caller.error());
  const std::string& name = request.parameter("org");
  const auto allowed = caller->orgs.require(name, "org");
  if (!allowed) co_return net::problem(allowed.error());
  if (!caller->orgs.is_all()) {
    const Error refused{Code::forbidden, "an org's limits are set by the installation's admin",
                        "use a token made for every org (--org '*')"};
    co_return net::problem(refused);
  }
  auto edit = parse_edit(request.body, name);
  if (!edit) co_return net::problem(edit.error());
  const auto org = co_await orgs_.change(name, std::move(*edit), caller->id);
  if (!org) co_return net::problem(org.error());
  co_return net::Response::json(200, json::serialize(to_json(*org)));
}

}  // namespace nimbus::control
