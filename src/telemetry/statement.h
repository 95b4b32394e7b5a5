// A request of ClickHouse's HTTP interface as statement, parameters and settings, for the embedded
// engine. Only what Nimbus's own client sends is understood, and the rest is refused:
//
//   query=INSERT INTO t (a, b) FORMAT RowBinary   data in the body
//   query=SELECT …  default_format=RowBinary      param_x=… for {x:Type}
//   anything else (DDL), without settings
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace nimbus::telemetry {

struct EngineStatement {
  enum class Kind { read, insert, other };
  Kind kind = Kind::other;
  std::string sql;       // complete, but for inserts: up to where the data's place goes
  std::string settings;  // " SETTINGS a=1, b='x'" or empty
  std::string format;    // of the answer, or of the insert's data
  std::vector<std::pair<std::string, std::string>> parameters;
};

// From the decoded query string. `query` may also come in `body`, when it is not in the URL.
// bad_request: no query, an unknown argument, or a value that cannot stand in a SETTINGS clause.
Result<EngineStatement> parse_statement(
    const std::vector<std::pair<std::string, std::string>>& arguments, std::string_view body);

// The text to run for an insert whose data can be read at `path`.
std::string insert_from(const EngineStatement& statement, std::string_view path);

}  // namespace nimbus::telemetry
