#include <doctest/doctest.h>

#include <array>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/fake_clock.h"
#include "db/database.h"
#include "db/migrate.h"

using namespace nimbus;
using namespace nimbus::db;

namespace {

// A folder of its own, kept when a test fails is not needed here: nothing in it helps to
// understand.
struct Store {
  std::string dir;
  std::unique_ptr<Database> database;

  Store() {
    std::string pattern = (std::filesystem::temp_directory_path() / "nimbus-db-XXXXXX").string();
    dir = mkdtemp(pattern.data());
    reopen();
  }
  ~Store() {
    database.reset();
    std::filesystem::remove_all(dir);
  }
  void reopen() {
    database.reset();
    auto opened = Database::open({.url = "sqlite:" + dir + "/test.db"});
    REQUIRE(opened.has_value());
    database = std::move(*opened);
  }
  Result<void> run(std::string_view sql) {
    return database->write_now([&](Transaction& tx) -> Result<void> {
      TRY(tx.run(sql));
      return {};
    });
  }
  int64_t count(const std::string& table) {
    int64_t number = -1;
    const auto read = database->read_now([&](Transaction& tx) -> Result<void> {
      const auto row = TRY(tx.find("SELECT count(*) FROM " + table));
      number = row->integer(0);
      return {};
    });
    REQUIRE(read.has_value());
    return number;
  }
};

constexpr std::array<Migration, 2> kTwo = {
    Migration{1, "things",
              "CREATE TABLE things (id INTEGER PRIMARY KEY);\n"
              "CREATE INDEX things_by_id ON things (id);\n"},
    Migration{2, "colours", "ALTER TABLE things ADD COLUMN colour TEXT;\n"}};

}  // namespace

TEST_CASE("what was written is there after the database is opened again") {
  Store store;
  REQUIRE(store.run("CREATE TABLE t (a BIGINT)").has_value());
  REQUIRE(store.run("INSERT INTO t VALUES (1)").has_value());
  store.reopen();
  CHECK(store.count("t") == 1);
}

TEST_CASE("values of every kind come back as they were given") {
  Store store;
  REQUIRE(store.run("CREATE TABLE t (a BIGINT, b TEXT, c DOUBLE PRECISION, d TEXT)").has_value());
  const auto done = store.database->write_now([](Transaction& tx) -> Result<void> {
    TRY(tx.run("INSERT INTO t VALUES ($1, $2, $3, $4)", int64_t{1} << 40, std::string("x\0y", 3),
               1.5, std::nullopt));
    const auto row = TRY(tx.find("SELECT a, b, c, d FROM t"));
    CHECK(row->integer(0) == int64_t{1} << 40);
    CHECK(row->text(1) == std::string("x\0y", 3));
    CHECK(row->real(2) == 1.5);
    CHECK(row->is_null(3));
    return {};
  });
  CHECK(done.has_value());
}

TEST_CASE("a unit that fails leaves nothing behind, though its group commits") {
  Store store;
  REQUIRE(store.run("CREATE TABLE t (a BIGINT)").has_value());
  const auto refused = store.database->write_now([](Transaction& tx) -> Result<void> {
    TRY(tx.run("INSERT INTO t VALUES (1)"));
    return fail(Code::bad_request, "no");
  });
  CHECK(refused.error().message == "no");
  REQUIRE(store.run("INSERT INTO t VALUES (2)").has_value());
  CHECK(store.count("t") == 1);
}

TEST_CASE("a unique key that refuses is a conflict") {
  Store store;
  REQUIRE(store.run("CREATE TABLE t (a BIGINT UNIQUE)").has_value());
  REQUIRE(store.run("INSERT INTO t VALUES (1)").has_value());
  CHECK(store.run("INSERT INTO t VALUES (1)").error().code == Code::conflict);
}

TEST_CASE("concurrent writes share commits and all arrive") {
  Store store;
  REQUIRE(store.run("CREATE TABLE t (a BIGINT)").has_value());
  const uint64_t commits_before = store.database->stats().commits;
  constexpr int kWrites = 500;
  std::mutex mutex;
  std::condition_variable changed;
  int done = 0;
  for (int i = 0; i < kWrites; ++i) {
    store.database->submit_write(
        [i](Transaction& tx) -> Result<void> {
          TRY(tx.run("INSERT INTO t VALUES ($1)", i));
          return {};
        },
        [&](Result<void> result) {
          const std::scoped_lock lock(mutex);
          if (result) ++done;
          changed.notify_one();
        });
  }
  std::unique_lock lock(mutex);
  REQUIRE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return done == kWrites; }));
  CHECK(store.count("t") == kWrites);
  CHECK(store.database->stats().commits - commits_before < kWrites);
}

TEST_CASE("an insert gives the row's number, or nothing where a conflict held it back") {
  Store store;
  REQUIRE(store.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a BIGINT UNIQUE)").has_value());
  const auto written = store.database->write_now([](Transaction& tx) -> Result<void> {
    constexpr std::string_view kSql = "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO NOTHING";
    const Parameter seven[] = {7};
    const Parameter eight[] = {8};
    const auto first = TRY(tx.insert_with(kSql, seven));
    REQUIRE(first.has_value());
    CHECK(TRY(tx.find("SELECT a FROM t WHERE id = $1", *first))->integer(0) == 7);
    CHECK(!TRY(tx.insert_with(kSql, seven)).has_value());
    const auto second = TRY(tx.insert_with(kSql, eight));
    REQUIRE(second.has_value());
    CHECK(*second != *first);
    return {};
  });
  CHECK(written.has_value());
}

TEST_CASE("a read does not see what a later write changes") {
  Store store;
  REQUIRE(store.run("CREATE TABLE t (a BIGINT)").has_value());
  const auto read = store.database->read_now([&](Transaction& tx) -> Result<void> {
    CHECK(TRY(tx.find("SELECT count(*) FROM t"))->integer(0) == 0);
    CHECK(store.run("INSERT INTO t VALUES (1)").has_value());
    CHECK(TRY(tx.find("SELECT count(*) FROM t"))->integer(0) == 0);
    return {};
  });
  CHECK(read.has_value());
}

TEST_CASE("a reader cannot write") {
  Store store;
  REQUIRE(store.run("CREATE TABLE t (a BIGINT)").has_value());
  const auto refused = store.database->read_now([](Transaction& tx) -> Result<void> {
    TRY(tx.run("INSERT INTO t VALUES (1)"));
    return {};
  });
  CHECK_FALSE(refused.has_value());
}

TEST_CASE("a URL of no known engine is refused") {
  const auto opened = Database::open({.url = "mysql:whatever"});
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == Code::bad_request);
}

TEST_CASE("a folder that is not there makes the store unavailable, and the message names it") {
  const auto opened = Database::open({.url = "sqlite:/nonexistent/folder/x.db"});
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == Code::unavailable);
  CHECK(opened.error().message.find("/nonexistent/folder/x.db") != std::string::npos);
}

TEST_CASE("migrations run once, in order") {
  Store store;
  FakeClock clock;
  const MigrationSet set{"test", kTwo};
  CHECK(migrate(*store.database, set, clock.now()).value() == 2);
  CHECK(migrate(*store.database, set, clock.now()).value() == 0);
  const auto status = migration_status(*store.database, set).value();
  REQUIRE(status.size() == 2);
  CHECK(status[1].name == "colours");
  CHECK(status[1].applied_at == clock.now());
}

TEST_CASE("a migration that fails leaves nothing of itself or its record") {
  Store store;
  const std::array<Migration, 1> broken = {
      Migration{1, "broken", "CREATE TABLE half (a BIGINT);\nCREATE TABLE half (a BIGINT);\n"}};
  CHECK_FALSE(migrate(*store.database, {"test", broken}, from_us(0)).has_value());
  CHECK(migrate(*store.database, {"test", kTwo}, from_us(0)).value() == 2);
}

TEST_CASE("a database newer than the program is refused") {
  Store store;
  REQUIRE(migrate(*store.database, {"test", kTwo}, from_us(0)).has_value());
  const auto refused = migrate(*store.database, {"test", std::span(kTwo).first(1)}, from_us(0));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Code::conflict);
}

TEST_CASE("sets of different roles do not see each other's migrations") {
  Store store;
  REQUIRE(migrate(*store.database, {"one", kTwo}, from_us(0)).has_value());
  const std::array<Migration, 1> other = {Migration{1, "other", "CREATE TABLE o (a BIGINT);\n"}};
  CHECK(migrate(*store.database, {"two", other}, from_us(0)).value() == 1);
}
