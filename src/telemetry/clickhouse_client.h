// The one client of ClickHouse: the embedded engine behind its socket, a server, or a cluster's
// front, all through ClickHouse's HTTP interface.
//
// Promises: values travel as parameters, never inside SQL; reads are read-only and bounded in time,
// rows and memory; an insert carries a token, so sending it again never doubles its rows.
//
// Threads: the loop's.
// Not here: which statements there are (schema.h, log_query.h, eval_query.h).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "base/secret.h"
#include "net/client.h"

namespace nimbus::telemetry {

struct ClickhouseOptions {
  std::string url;  // http+unix://SOCKET, http://host:8123, https://…
  std::string database = "nimbus";
  std::string user;  // empty: none sent
  Secret password;
};

// A SELECT and what its {name:Type} placeholders stand for. The SQL is the program's own text.
struct ClickhouseQuery {
  std::string sql;
  std::vector<std::pair<std::string, std::string>> parameters;
  int seconds_max = 10;
};

// How an insert went: three expected outcomes.
struct InsertOutcome {
  enum class Kind {
    stored,
    away,     // nobody answered, or it cannot take writes now; may be stored all the same
    refused,  // the data cannot be stored, now or later
  };
  Kind kind = Kind::stored;
  std::string message;
  bool disk_full = false;
};

class ClickhouseClient {
 public:
  ClickhouseClient(net::Loop& loop, ClickhouseOptions options, Metrics& metrics);

  // The rows as RowBinary. unavailable: no answer, or too busy; internal: it refused the statement.
  Task<Result<std::string>> select(ClickhouseQuery query);
  // A statement of the schema; `run_outside` names no database (to create it).
  Task<Result<void>> run(std::string sql);
  Task<Result<void>> run_outside(std::string sql);
  // `head` is "INSERT INTO t (a, b)"; `rows` is RowBinary.
  Task<InsertOutcome> insert(std::string head, std::string token, std::string rows,
                             Duration timeout);
  Task<bool> ping();

 private:
  Task<Result<void>> run_with(net::ClientRequest ask, std::string sql);
  net::ClientRequest request(
      const std::vector<std::pair<std::string, std::string>>& arguments) const;

  net::Client client_;
  ClickhouseOptions options_;
  Histogram& insert_seconds_;
  Histogram& query_seconds_;
};

// A value in the form that {name:Type} takes: backslash, tab and line ends escaped.
std::string escape_parameter(std::string_view value);

}  // namespace nimbus::telemetry
