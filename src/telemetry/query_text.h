// Pieces of WHERE clauses that every list query needs: the caller's orgs first, then filters, each
// with its parameter. Columns are the program's own words, values never enter the text.
//
// Threads: values.
#pragma once

#include <string>
#include <string_view>

#include "access/scope.h"
#include "telemetry/clickhouse_client.h"

namespace nimbus::telemetry {

class QueryText {
 public:
  // Begins with the org filter: there is no query without one.
  QueryText(const access::OrgScope& orgs, std::string_view org_column);

  // " AND column OP {name:Type}"; the value is bound. The same name may be used again, for another
  // column, with the same value.
  QueryText& where(std::string_view condition);
  QueryText& bind(std::string_view name, std::string_view value);

  const std::string& conditions() const { return conditions_; }
  const std::vector<std::pair<std::string, std::string>>& parameters() const { return parameters_; }

 private:
  std::string conditions_;
  std::vector<std::pair<std::string, std::string>> parameters_;
};

}  // namespace nimbus::telemetry
