#include "telemetry/eval_routes.h"

#include <charconv>

#include "telemetry/eval_query.h"

namespace nimbus::telemetry {

using access::Role;

void EvalRoutes::add_to(net::Router& router) {
  router.get("/api/v1/evals/runs", [this](net::Request& request) { return list(request); });
  router.get("/api/v1/evals/runs/{job}", [this](net::Request& request) { return show(request); });
}

Task<net::Response> EvalRoutes::list(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_operator(request, Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  auto query = parse_eval_runs_query(request, caller->orgs);
  if (!query) co_return net::problem(query.error());
  auto page = co_await list_eval_runs(parts_.client, std::move(*query));
  if (!page) co_return net::problem(page.error());
  co_return net::Response::json(200, std::move(*page));
}

Task<net::Response> EvalRoutes::show(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_operator(request, Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  const std::string& text = request.parameter("job");
  int64_t job = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), job);
  const bool number = error == std::errc{} && end == text.data() + text.size() && job > 0;
  if (!number) co_return net::problem(404, "no such job, or it has no eval results");
  const auto found = co_await read_job_evals(parts_.client, caller->orgs, job);
  if (!found) co_return net::problem(found.error());
  if (!*found) co_return net::problem(404, "no such job, or it has no eval results");
  co_return net::Response::json(200, job_evals_json(job, **found));
}

}  // namespace nimbus::telemetry
