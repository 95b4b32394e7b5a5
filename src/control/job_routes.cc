#include "control/job_routes.h"

#include <algorithm>
#include <charconv>

#include "api/json_text.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/text.h"
#include "control/job_orders.h"
#include "net/page.h"

namespace nimbus::control {
namespace {

constexpr size_t kJobBodyBytesMax = size_t{1} << 20;

std::optional<int64_t> find_id(std::string_view text) {
  int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id < 1) return std::nullopt;
  return id;
}

std::string who(const access::Caller& caller) {
  return caller.name.empty() ? caller.id : caller.name;
}

Result<std::optional<Time>> find_time(const net::Request& request, std::string_view name) {
  const auto text = request.find_query(name);
  if (!text || text->empty()) return std::nullopt;
  return TRY_IN("parameter '" + std::string(name) + "'", parse_rfc3339(*text));
}

Result<std::optional<IdempotencyKey>> find_key(const net::Request& request) {
  const auto key = request.headers.find("Idempotency-Key");
  if (!key) return std::nullopt;
  const bool visible =
      std::all_of(key->begin(), key->end(), [](char c) { return c > 0x1f && c < 0x7f; });
  if (key->empty() || key->size() > kIdempotencyKeyBytesMax || !visible) {
    return fail(Code::bad_request, "Idempotency-Key must be 1 to 255 visible characters");
  }
  return IdempotencyKey{std::string(*key), to_hex(sha256(request.body))};
}

class JobRoutes {
 public:
  explicit JobRoutes(JobRoutesParts parts) : parts_(std::move(parts)) {}

  Task<net::Response> create(net::Request& request) {
    const auto caller =
        co_await parts_.authenticator.require_operator(request, access::Role::operator_);
    if (!caller) co_return access::refusal(caller.error());
    auto job = parse_job_request(request.body, parts_.defaults, parts_.clock.now());
    if (!job) co_return net::problem(job.error());
    const auto allowed = caller->require(access::Role::operator_, job->org, "org");
    if (!allowed) co_return access::refusal(allowed.error());
    auto key = find_key(request);
    if (!key) co_return net::problem(key.error());
    auto shared = std::make_shared<Job>(std::move(*job));
    std::function<Result<Ordered>(db::Transaction&)> work = [this, shared,
                                                             key](db::Transaction& tx) {
      return create_job(tx, parts_.orgs, *shared, *key);
    };
    const auto ordered = co_await parts_.writer.write<Ordered>(std::move(work));
    if (!ordered) co_return net::problem(ordered.error());
    net::Response response = created(201, *ordered);
    response.headers.set("Location", "/api/v1/jobs/" + std::to_string(ordered->job));
    if (!ordered->change) response.headers.set("Idempotent-Replayed", "true");
    co_return response;
  }

  Task<net::Response> list(net::Request& request) {
    const auto caller =
        co_await parts_.authenticator.require_operator(request, access::Role::viewer);
    if (!caller) co_return access::refusal(caller.error());
    const auto filter = read_job_filter(request, caller->orgs);
    if (!filter) co_return net::problem(filter.error());
    std::function<Result<std::vector<Job>>(db::Transaction&)> work =
        [filter = *filter](db::Transaction& tx) { return list_jobs(tx, filter); };
    auto jobs = co_await parts_.database.read<std::vector<Job>>(std::move(work));
    if (!jobs) co_return net::problem(jobs.error());
    std::vector<std::string> items;
    std::optional<std::string> cursor;
    const auto page = static_cast<size_t>(filter->limit - 1);  // one more was asked for
    if (jobs->size() > page) {
      jobs->resize(page);
      cursor = std::to_string(jobs->back().id);
    }
    for (const Job& job : *jobs) items.push_back(job_json(job, hold(job)));
    co_return net::page_answer(items, cursor);
  }

  Task<net::Response> show(net::Request& request) {
    const auto caller =
        co_await parts_.authenticator.require_operator(request, access::Role::viewer);
    if (!caller) co_return access::refusal(caller.error());
    auto found = co_await find(request, *caller, access::Role::viewer);
    if (!found) co_return access::refusal(found.error());
    std::function<Result<std::vector<model::Transition>>(db::Transaction&)> work =
        [job = *found](db::Transaction& tx) { return read_transitions(tx, job); };
    const auto transitions =
        co_await parts_.database.read<std::vector<model::Transition>>(std::move(work));
    if (!transitions) co_return net::problem(transitions.error());
    co_return net::Response::json(200, job_detail_json(*found, hold(*found), *transitions));
  }

  Task<net::Response> cancel(net::Request& request) {
    const auto caller =
        co_await parts_.authenticator.require_operator(request, access::Role::operator_);
    if (!caller) co_return access::refusal(caller.error());
    const auto found = co_await find(request, *caller, access::Role::operator_);
    if (!found) co_return access::refusal(found.error());
    std::function<Result<std::optional<JobChange>>(db::Transaction&)> work =
        [id = found->id, by = who(*caller),
         now = parts_.clock.now()](db::Transaction& tx) -> Result<std::optional<JobChange>> {
      auto head = TRY(find_head(tx, id));
      if (!head) return fail(Code::not_found, "no such job");
      return cancel_job(tx, std::move(*head), by, now);
    };
    const auto change = co_await parts_.writer.write<std::optional<JobChange>>(std::move(work));
    if (!change) co_return net::problem(change.error());
    if (*change) parts_.board.apply(**change);
    const auto now = co_await find(request, *caller, access::Role::operator_);
    if (!now) co_return access::refusal(now.error());
    co_return net::Response::json(202, job_json(*now, hold(*now)));
  }

  Task<net::Response> rerun(net::Request& request) {
    const auto caller =
        co_await parts_.authenticator.require_operator(request, access::Role::operator_);
    if (!caller) co_return access::refusal(caller.error());
    const auto found = co_await find(request, *caller, access::Role::operator_);
    if (!found) co_return access::refusal(found.error());
    std::function<Result<Ordered>(db::Transaction&)> work =
        [job = *found, now = parts_.clock.now()](db::Transaction& tx) {
          return rerun_job(tx, job, now);
        };
    const auto ordered = co_await parts_.writer.write<Ordered>(std::move(work));
    if (!ordered) co_return net::problem(ordered.error());
    co_return created(202, *ordered);
  }

 private:
  std::string hold(const Job& job) const {
    return job.state == model::JobState::queued ? parts_.board.hold_reason(job.org) : "";
  }

  net::Response created(int status, const Ordered& ordered) {
    if (ordered.change) parts_.board.apply(*ordered.change);
    return net::Response::json(status, api::JsonText()
                                           .integer("id", ordered.job)
                                           .text("state", model::to_string(ordered.state))
                                           .finish());
  }

  // The request's job, when the caller may see that it exists.
  Task<Result<Job>> find(const net::Request& request, const access::Caller& caller,
                         access::Role least) {
    const auto id = find_id(request.parameter("id"));
    if (!id) co_return fail(Code::not_found, "no such job");
    std::function<Result<std::optional<Job>>(db::Transaction&)> work =
        [id = *id](db::Transaction& tx) { return find_job(tx, id); };
    auto job = co_await parts_.database.read<std::optional<Job>>(std::move(work));
    if (!job) co_return fail(std::move(job).error());
    if (!*job) co_return fail(Code::not_found, "no such job");
    const auto allowed = caller.require(least, (*job)->org, "job");
    if (!allowed) co_return fail(allowed.error());
    co_return std::move(**job);
  }

  JobRoutesParts parts_;
};

}  // namespace

Result<JobFilter> read_job_filter(const net::Request& request, const access::OrgScope& orgs) {
  JobFilter filter;
  const net::Page page = TRY(net::read_page(request));
  filter.limit = page.limit + 1;
  if (!page.cursor.empty()) {
    const auto before = find_id(page.cursor);
    if (!before) return fail(Code::bad_request, "parameter 'cursor' is not one of ours");
    filter.before = *before;
  }
  filter.orgs = orgs.narrow(request.find_query("org"));
  if (const auto repo = request.find_query("repo")) filter.repo = std::string(*repo);
  for (const auto& [name, value] : request.query) {
    if (name == "label") filter.terms.push_back(label_term(value));
    if (name == "metadata") {
      if (value.find('=') == value.npos) {
        return fail(Code::bad_request, "parameter 'metadata' must be key=value");
      }
      filter.terms.push_back("m:" + value);
    }
    if (name != "state") continue;
    for (const std::string_view word : split(value, ',')) {
      const auto state = model::find_job_state(word);
      if (!state) {
        return fail(
            Code::bad_request, "parameter 'state': '" + std::string(word) + "' is no state",
            "one of queued, leased, running, succeeded, failed, cancelled, timed_out, lost");
      }
      filter.states.push_back(*state);
    }
  }
  constexpr size_t kTermsMax = 8;
  if (filter.terms.size() > kTermsMax) {
    return fail(Code::bad_request, "at most 8 labels and metadata at once");
  }
  std::sort(filter.states.begin(), filter.states.end());
  filter.states.erase(std::unique(filter.states.begin(), filter.states.end()), filter.states.end());
  filter.since = TRY(find_time(request, "since"));
  filter.until = TRY(find_time(request, "until"));
  return filter;
}

void add_job_routes(net::Router& router, JobRoutesParts parts) {
  auto routes = std::make_shared<JobRoutes>(std::move(parts));
  const net::RouteOptions options{.body_bytes_max = kJobBodyBytesMax};
  router.post("/api/v1/jobs", [routes](net::Request& r) { return routes->create(r); }, options);
  router.get("/api/v1/jobs", [routes](net::Request& r) { return routes->list(r); });
  router.get("/api/v1/jobs/{id}", [routes](net::Request& r) { return routes->show(r); });
  router.post("/api/v1/jobs/{id}/cancel", [routes](net::Request& r) { return routes->cancel(r); });
  router.post("/api/v1/jobs/{id}/rerun", [routes](net::Request& r) { return routes->rerun(r); });
}

}  // namespace nimbus::control
