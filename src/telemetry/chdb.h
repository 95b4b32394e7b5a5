// The ClickHouse engine as a library (libchdb.so, Apache-2.0), loaded at run time. It ships without
// a header; what is used of its C interface is declared in chdb.cc and looked up by name.
//
// Promises: statements and data never mix. The library splits a text with inline data at blank
// lines and would run what follows as SQL, so data goes in by a file descriptor of its own
// (insert), and values by named parameters.
//
// Threads: a Connection serves one statement at a time; several connections run side by side.
// Not here: HTTP (embedded_clickhouse.h), which settings a statement may carry (statement.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace nimbus::telemetry {

using ChdbParameters = std::vector<std::pair<std::string, std::string>>;

struct ChdbAnswer {
  std::string data;
  std::string error;       // "Code: 60. DB::Exception: …", empty when it went well
  int exception_code = 0;  // ClickHouse's number, 0 when there is none
};

class ChdbLibrary {
 public:
  // unavailable: the file cannot be loaded, or lacks a function; the message says which.
  static Result<std::unique_ptr<ChdbLibrary>> load(const std::string& path);
  ~ChdbLibrary();

  class Connection {
   public:
    ~Connection();
    ChdbAnswer query(std::string_view sql, std::string_view format,
                     const ChdbParameters& parameters);

   private:
    friend class ChdbLibrary;
    struct State;
    explicit Connection(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };

  // Opens the data directory (absolute path; the first connection starts the engine). unavailable:
  // it refused, most likely because another process has the directory.
  Result<std::unique_ptr<Connection>> connect(const std::string& directory) const;

 private:
  struct Functions;
  explicit ChdbLibrary(std::unique_ptr<Functions> functions);
  std::unique_ptr<Functions> functions_;
};

}  // namespace nimbus::telemetry
