#include "db/sqlite.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/check.h"
#include "base/log.h"

namespace nimbus::db {
namespace {

struct StatementCloser {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, StatementCloser>;

Error sqlite_error(sqlite3* handle, std::string_view doing) {
  const int code = sqlite3_extended_errcode(handle);
  const int primary = code & 0xff;
  Code kind = Code::internal;
  if (primary == SQLITE_CONSTRAINT) kind = Code::conflict;
  // A full disk shows in different ways: the database's own page, the log's, the shared index's.
  const int cause = sqlite3_system_errno(handle);
  const bool full = cause == ENOSPC || cause == EDQUOT;
  if (primary == SQLITE_FULL || (primary == SQLITE_IOERR && full)) {
    return Error{Code::insufficient_storage, std::string(doing) + ": " + sqlite3_errmsg(handle),
                 "make room on the disk of the database"};
  }
  if (primary == SQLITE_BUSY || primary == SQLITE_IOERR || primary == SQLITE_READONLY ||
      primary == SQLITE_CANTOPEN) {
    kind = Code::unavailable;
  }
  if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB) kind = Code::corrupt;
  return Error{kind, std::string(doing) + ": " + sqlite3_errmsg(handle), {}};
}

Value column_value(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: return sqlite3_column_int64(statement, column);
    case SQLITE_FLOAT: return sqlite3_column_double(statement, column);
    case SQLITE_NULL: return std::monostate{};
    default: {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, column));
      const auto size = static_cast<size_t>(sqlite3_column_bytes(statement, column));
      return size == 0 ? std::string() : std::string(bytes, size);
    }
  }
}

void bind(sqlite3_stmt* statement, int index, const Parameter& parameter) {
  const auto& value = parameter.value();
  int code = SQLITE_OK;
  if (const auto* number = std::get_if<int64_t>(&value)) {
    code = sqlite3_bind_int64(statement, index, *number);
  } else if (const auto* real = std::get_if<double>(&value)) {
    code = sqlite3_bind_double(statement, index, *real);
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    code = sqlite3_bind_text64(statement, index, text->data() == nullptr ? "" : text->data(),
                               text->size(), SQLITE_STATIC, SQLITE_UTF8);
  } else {
    code = sqlite3_bind_null(statement, index);
  }
  CHECK(code == SQLITE_OK);
}

// One SQLite connection with its prepared statements. Belongs to one thread at a time.
class Connection final : public Transaction {
 public:
  ~Connection() override {
    statements_.clear();
    sqlite3_close(handle_);
  }

  Result<void> open(const std::string& path, bool read_only) {
    const int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2(path.c_str(), &handle_, flags | SQLITE_OPEN_NOMUTEX, nullptr) !=
        SQLITE_OK) {
      return fail(Code::unavailable, "opening " + path + ": " + sqlite3_errmsg(handle_));
    }
    sqlite3_busy_timeout(handle_, 5'000);
    if (!read_only) {
      // Cursors and records of a statement come from here rather than from malloc.
      constexpr int kSlotBytes = 1200;
      constexpr int kSlots = 200;
      CHECK(sqlite3_db_config(handle_, SQLITE_DBCONFIG_LOOKASIDE, nullptr, kSlotBytes, kSlots) ==
            SQLITE_OK);
    }
    const char* settings = read_only ? "PRAGMA query_only=ON; PRAGMA cache_size=-2000;"
                                     : "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                                       "PRAGMA foreign_keys=ON; PRAGMA cache_size=-4000; "
                                       "PRAGMA wal_autocheckpoint=4000; PRAGMA temp_store=MEMORY;";
    return execute(settings);
  }

  Result<void> execute(const char* sql) {
    if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
      return fail(sqlite_error(handle_, "database"));
    }
    return {};
  }

  Result<int64_t> run_with(std::string_view sql, std::span<const Parameter> parameters) override {
    TRY(query_with(sql, parameters));
    return sqlite3_changes64(handle_);
  }

  Result<std::optional<int64_t>> insert_with(std::string_view sql,
                                             std::span<const Parameter> parameters) override {
    const int64_t inserted = TRY(run_with(sql, parameters));
    if (inserted == 0) return std::nullopt;
    return sqlite3_last_insert_rowid(handle_);
  }

  Result<Rows> query_with(std::string_view sql, std::span<const Parameter> parameters) override {
    TRY(open_unit());
    sqlite3_stmt* statement = TRY(prepared(sql));
    CHECK(static_cast<size_t>(sqlite3_bind_parameter_count(statement)) == parameters.size());
    for (size_t i = 0; i < parameters.size(); ++i) {
      bind(statement, static_cast<int>(i) + 1, parameters[i]);
    }
    Rows rows;
    const int columns = sqlite3_column_count(statement);
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
      std::vector<Value> values;
      values.reserve(static_cast<size_t>(columns));
      for (int i = 0; i < columns; ++i) values.push_back(column_value(statement, i));
      rows.emplace_back(std::move(values));
    }
    if (code != SQLITE_DONE) {
      Error error = sqlite_error(handle_, "database");
      sqlite3_reset(statement);
      return fail(std::move(error));
    }
    // The bindings stay, and are all replaced before the statement runs again.
    sqlite3_reset(statement);
    return rows;
  }

  // Runs `work` so that its writes can be undone alone, inside the group's transaction. The
  // savepoint opens at the work's first statement, so a unit that does nothing costs nothing.
  Result<void> run_unit(const Work& work) {
    in_unit_ = false;
    wants_unit_ = true;
    Result<void> result = work(*this);
    wants_unit_ = false;
    if (in_unit_) {
      in_unit_ = false;
      if (!result) TRY(step("ROLLBACK TO unit"));
      TRY(step("RELEASE unit"));
    }
    return result;
  }

  Result<void> step(std::string_view sql) {
    sqlite3_stmt* statement = TRY(prepared(sql));
    const int code = sqlite3_step(statement);
    Error error = code == SQLITE_DONE ? Error{} : sqlite_error(handle_, "database");
    sqlite3_reset(statement);
    if (code != SQLITE_DONE) return fail(std::move(error));
    return {};
  }

  bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

 private:
  Result<void> open_unit() {
    if (!wants_unit_ || in_unit_) return {};
    TRY(step("SAVEPOINT unit"));
    in_unit_ = true;
    return {};
  }

  Result<sqlite3_stmt*> prepared(std::string_view sql) {
    const auto found = statements_.find(sql);
    if (found != statements_.end()) return found->second.get();
    sqlite3_stmt* raw = nullptr;
    const char* tail = nullptr;
    if (sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                           SQLITE_PREPARE_PERSISTENT, &raw, &tail) != SQLITE_OK) {
      return fail(sqlite_error(handle_, "preparing '" + std::string(sql) + "'"));
    }
    CHECK(raw != nullptr);
    statements_.emplace(std::string(sql), Statement(raw));
    return raw;
  }

  sqlite3* handle_ = nullptr;
  struct TextHash {
    using is_transparent = void;
    // Statements are long, and their length and ends tell nearly all of them apart.
    size_t operator()(std::string_view text) const {
      constexpr size_t kEnd = 24;
      if (text.size() <= 2 * kEnd) return std::hash<std::string_view>()(text);
      std::array<char, 2 * kEnd> ends;
      std::ranges::copy(text.substr(0, kEnd), ends.begin());
      std::ranges::copy(text.substr(text.size() - kEnd), ends.begin() + kEnd);
      return std::hash<std::string_view>()({ends.data(), ends.size()}) ^ text.size();
    }
  };
  std::unordered_map<std::string, Statement, TextHash, std::equal_to<>> statements_;
  bool wants_unit_ = false;
  bool in_unit_ = false;
};

struct Unit {
  Work work;
  std::function<void(Result<void>)> done;
};

// Units waiting for database threads.
class Queue {
 public:
  // False when the queue is full or closed; `unit` is untouched then.
  bool push(Unit& unit) {
    {
      const std::scoped_lock lock(mutex_);
      if (closed_ || units_.size() >= kQueuedWritesMax) return false;
      units_.push_back(std::move(unit));
    }
    ready_.notify_one();
    return true;
  }

  // Waits, then takes up to `most`; empty once closed and drained.
  std::vector<Unit> take(size_t most) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return closed_ || !units_.empty(); });
    std::vector<Unit> taken;
    while (!units_.empty() && taken.size() < most) {
      taken.push_back(std::move(units_.front()));
      units_.pop_front();
    }
    return taken;
  }

  void close() {
    {
      const std::scoped_lock lock(mutex_);
      closed_ = true;
    }
    ready_.notify_all();
  }

  size_t size() const {
    const std::scoped_lock lock(mutex_);
    return units_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Unit> units_;
  bool closed_ = false;
};

class SqliteDatabase final : public Database {
 public:
  ~SqliteDatabase() override {
    writes_.close();
    reads_.close();
    for (auto& thread : threads_) thread.join();
  }

  Result<void> start(const std::string& path, const DatabaseOptions& options) {
    TRY(writer_.open(path, false));
    if (!options.survives_power_loss) TRY(writer_.execute("PRAGMA synchronous=NORMAL;"));
    for (int i = 0; i < options.readers; ++i) {
      readers_.push_back(std::make_unique<Connection>());
      TRY(readers_.back()->open(path, true));
    }
    threads_.emplace_back([this] { write_loop(); });
    for (auto& reader : readers_) {
      threads_.emplace_back([this, connection = reader.get()] { read_loop(*connection); });
    }
    return {};
  }

  void submit_write(Work work, std::function<void(Result<void>)> done) override {
    submit(writes_, Unit{std::move(work), std::move(done)});
  }
  void submit_read(Work work, std::function<void(Result<void>)> done) override {
    submit(reads_, Unit{std::move(work), std::move(done)});
  }

  DatabaseStats stats() const override {
    return {commits_.load(), writes_done_.load(), writes_.size()};
  }

 private:
  static void submit(Queue& queue, Unit unit) {
    if (queue.push(unit)) return;
    unit.done(
        fail(Code::unavailable, "the database has too much work queued", "try again shortly"));
  }

  void write_loop() {
    while (true) {
      std::vector<Unit> group = writes_.take(kGroupWritesMax);
      if (group.empty()) return;
      commit(group);
    }
  }

  // Everything in the group is answered after its one commit; when that fails nobody was promised
  // anything, and after a failed sync SQLite itself has rolled back to the last durable state.
  void commit(std::vector<Unit>& group) {
    if (group.size() == 1) return commit_alone(group.front());
    std::vector<Result<void>> results(group.size());
    Result<void> whole = writer_.step("BEGIN IMMEDIATE");
    if (whole) {
      for (size_t i = 0; i < group.size(); ++i) results[i] = writer_.run_unit(group[i].work);
      whole = writer_.step("COMMIT");
    }
    if (!whole && writer_.in_transaction()) {
      if (auto undone = writer_.step("ROLLBACK"); !undone) log_error("rollback", undone.error());
    }
    ++commits_;
    writes_done_ += group.size();
    for (size_t i = 0; i < group.size(); ++i) {
      const bool lost = results[i].has_value() && !whole;
      group[i].done(lost ? Result<void>(fail(whole.error())) : std::move(results[i]));
    }
  }

  // A unit on its own needs no savepoint (which copies every page it touches): the transaction is
  // what it can be undone by.
  void commit_alone(Unit& unit) {
    Result<void> result = writer_.step("BEGIN IMMEDIATE");
    if (result) {
      result = unit.work(writer_);
      if (result) result = writer_.step("COMMIT");
    }
    if (!result && writer_.in_transaction()) {
      if (auto undone = writer_.step("ROLLBACK"); !undone) log_error("rollback", undone.error());
    }
    ++commits_;
    ++writes_done_;
    unit.done(std::move(result));
  }

  void read_loop(Connection& connection) {
    while (true) {
      std::vector<Unit> taken = reads_.take(1);
      if (taken.empty()) return;
      Result<void> result = connection.step("BEGIN");
      if (result) result = taken.front().work(connection);
      if (connection.in_transaction()) {
        if (auto ended = connection.step("COMMIT"); !ended)
          log_error("ending a read", ended.error());
      }
      taken.front().done(std::move(result));
    }
  }

  Connection writer_;
  std::vector<std::unique_ptr<Connection>> readers_;
  Queue writes_;
  Queue reads_;
  std::atomic<uint64_t> commits_{0};
  std::atomic<uint64_t> writes_done_{0};
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<Database>> open_sqlite(const std::string& path,
                                              const DatabaseOptions& options) {
  // Without the count of its memory, which nobody reads, SQLite takes no lock for each allocation.
  // Refused, harmlessly, once any connection of the process is open.
  static const int kUncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(kUncounted);
  auto database = std::make_unique<SqliteDatabase>();
  TRY(database->start(path, options));
  return database;
}

}  // namespace nimbus::db
