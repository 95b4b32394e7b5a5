// The relational store: transactions over one database, SQLite today and PostgreSQL behind the same
// surface. SQL is written in the common subset, with `$1`, `$2`, … for parameters, numbered in the
// order of their first use.
//
// Writes are grouped: those that arrive while a commit is being synced share the next one. Each is
// still its own unit (a failed one leaves nothing behind), and its caller resumes only after the
// group is durable. Reads run beside the writer on their own snapshot.
//
// Threads: any may call; `work` runs on a database thread and must not touch loop data.
// Not here: what is stored (each role's migrations and stores).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"

namespace nimbus::db {

using Value = std::variant<std::monostate, int64_t, double, std::string>;

// A parameter. Texts are borrowed until the call returns. Times are stored as microseconds.
class Parameter {
 public:
  Parameter(std::nullptr_t) {}
  Parameter(std::nullopt_t) {}
  template <typename T>
    requires std::is_integral_v<T>
  Parameter(T value) : value_(static_cast<int64_t>(value)) {}
  Parameter(double value) : value_(value) {}
  Parameter(std::string_view value) : value_(value) {}
  Parameter(const std::string& value) : value_(std::string_view(value)) {}
  Parameter(const char* value) : value_(std::string_view(value)) {}
  Parameter(Time value) : value_(to_us(value)) {}
  template <typename T>
  Parameter(const std::optional<T>& value)
      : Parameter(value ? Parameter(*value) : Parameter(nullptr)) {}

  const std::variant<std::monostate, int64_t, double, std::string_view>& value() const {
    return value_;
  }

 private:
  std::variant<std::monostate, int64_t, double, std::string_view> value_;
};

// One row of an answer; columns by position. Asking for the wrong type is a bug and aborts.
class Row {
 public:
  explicit Row(std::vector<Value> values) : values_(std::move(values)) {}
  bool is_null(size_t column) const;
  int64_t integer(size_t column) const;
  double real(size_t column) const;  // integers convert
  const std::string& text(size_t column) const;
  Time time(size_t column) const { return from_us(integer(column)); }
  std::optional<int64_t> find_integer(size_t column) const;
  std::optional<std::string> find_text(size_t column) const;
  std::optional<Time> find_time(size_t column) const;

 private:
  std::vector<Value> values_;
};
using Rows = std::vector<Row>;

// A unit of work in progress. Lives only inside the `work` it is given to.
class Transaction {
 public:
  virtual ~Transaction() = default;

  // Runs a statement; the number of rows it changed. conflict: a unique or foreign key refused it.
  template <typename... Args>
  Result<int64_t> run(std::string_view sql, const Args&... args) {
    const std::array<Parameter, sizeof...(Args)> parameters{Parameter(args)...};
    return run_with(sql, parameters);
  }
  // Inserts one row into a table numbered by the engine (`id INTEGER PRIMARY KEY`): its number, or
  // nullopt when the statement's ON CONFLICT DO NOTHING held it back. Cheaper than RETURNING, for
  // which SQLite opens a temporary table and a statement journal each time.
  virtual Result<std::optional<int64_t>> insert_with(std::string_view sql,
                                                     std::span<const Parameter> parameters) = 0;
  // All rows of an answer (also of a statement with RETURNING).
  template <typename... Args>
  Result<Rows> query(std::string_view sql, const Args&... args) {
    const std::array<Parameter, sizeof...(Args)> parameters{Parameter(args)...};
    return query_with(sql, parameters);
  }
  // The first row, or nullopt.
  template <typename... Args>
  Result<std::optional<Row>> find(std::string_view sql, const Args&... args) {
    auto rows = query(sql, args...);
    if (!rows) return tl::unexpected(std::move(rows).error());
    if (rows->empty()) return std::nullopt;
    return std::move(rows->front());
  }
  // For statements whose number of parameters is known at run time only.
  virtual Result<int64_t> run_with(std::string_view sql, std::span<const Parameter> parameters) = 0;
  virtual Result<Rows> query_with(std::string_view sql, std::span<const Parameter> parameters) = 0;
};

using Work = std::function<Result<void>(Transaction&)>;

struct DatabaseOptions {
  std::string url;  // sqlite:PATH
  int readers = 2;
  // false: what is committed outlives this process, however it ends, but perhaps not the machine's
  // power. For what is worthless after a reboot; a commit then waits for no disk.
  bool survives_power_loss = true;
};

struct DatabaseStats {
  uint64_t commits = 0;  // groups made durable
  uint64_t writes = 0;   // units in them
  size_t queued = 0;     // units waiting now
};

class Database {
 public:
  // bad_request: the URL is of no known engine. unavailable: it cannot be opened; the message says
  // why.
  // Whether `open` knows the engine; opens nothing.
  static Result<void> check_url(std::string_view url);
  static Result<std::unique_ptr<Database>> open(const DatabaseOptions& options);
  virtual ~Database() = default;

  // Queues `work` for the writer; `done` is called on a database thread once its group is durable
  // or it has failed. Work that waits when the queue is full (kQueuedWritesMax) fails with
  // unavailable.
  virtual void submit_write(Work work, std::function<void(Result<void>)> done) = 0;
  virtual void submit_read(Work work, std::function<void(Result<void>)> done) = 0;
  virtual DatabaseStats stats() const = 0;

  // For coroutines.
  template <typename T>
  Task<Result<T>> write(std::function<Result<T>(Transaction&)> work) {
    return awaited<T>(std::move(work), true);
  }
  template <typename T>
  Task<Result<T>> read(std::function<Result<T>(Transaction&)> work) {
    return awaited<T>(std::move(work), false);
  }
  // For start-up, tests and the command line: blocks the calling thread, never call it on a loop.
  Result<void> write_now(const Work& work);
  Result<void> read_now(const Work& work);

 private:
  template <typename T>
  Task<Result<T>> awaited(std::function<Result<T>(Transaction&)> work, bool writes) {
    auto value = std::make_shared<std::optional<T>>();
    Work wrapped = [value, work = std::move(work)](Transaction& tx) -> Result<void> {
      auto result = work(tx);
      if (!result) return tl::unexpected(std::move(result).error());
      value->emplace(std::move(*result));
      return {};
    };
    std::function<void(std::function<void(Result<void>)>)> start =
        [this, writes,
         wrapped = std::move(wrapped)](std::function<void(Result<void>)> done) mutable {
          if (writes) {
            submit_write(std::move(wrapped), std::move(done));
          } else {
            submit_read(std::move(wrapped), std::move(done));
          }
        };
    const Result<void> outcome = co_await await_value<Result<void>>(std::move(start));
    if (!outcome) co_return tl::unexpected(outcome.error());
    co_return std::move(**value);
  }
};

}  // namespace nimbus::db
