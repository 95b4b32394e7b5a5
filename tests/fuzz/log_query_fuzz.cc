// Query strings of the routes that search lines and eval results, and the statements that reach the
// embedded engine. What a caller types never becomes a part of the SQL's text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/page.h"
#include "net/target.h"
#include "telemetry/eval_query.h"
#include "telemetry/log_search.h"
#include "telemetry/statement.h"

using namespace nimbus;
using namespace nimbus::telemetry;

namespace {

void require(bool good) {
  if (!good) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string text = "/?" + std::string(input);
  net::Target target;
  if (!net::parse_target(text, target)) return 0;
  net::Request request;
  request.method = "GET";
  request.query = target.query;
  const auto orgs = access::OrgScope::one("acme");
  const auto search = parse_log_search(request, orgs, from_us(1'700'000'000'000'000));
  if (search) {
    require(search->limit > 0 && search->limit <= kSearchLimitMax && search->job >= 0);
    require(search->text.size() <= kSearchTextBytesMax);
    require(search->orgs.is_nothing() || search->orgs.covers("acme"));
  }
  const auto runs = parse_eval_runs_query(request, orgs);
  if (runs) require(runs->limit > 0 && runs->limit <= kEvalRunsMax);
  if (const auto page = net::read_page(request)) {
    require(page->limit > 0 && page->limit <= net::kPageMax);
  }
  if (const auto statement = parse_statement(request.query, "")) {
    require(!statement->sql.empty());
    (void)insert_from(*statement, "/dev/fd/3");
  }
  return 0;
}
