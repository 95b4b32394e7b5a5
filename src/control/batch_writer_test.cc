#include "control/batch_writer.h"

#include "access/access_fixture.h"

using namespace nimbus;
using namespace nimbus::control;

namespace {

struct Batches : access::AccessFixture {
  BatchWriter writer{loop, *database};
  std::vector<std::string> settled;

  Batches() {
    REQUIRE(database
                ->write_now([](db::Transaction& tx) -> Result<void> {
                  TRY(tx.run("CREATE TABLE t (a BIGINT UNIQUE)"));
                  return {};
                })
                .has_value());
  }
  // Writes `number`; a negative one writes and then fails.
  Task<void> put(int64_t number) {
    std::function<Result<int64_t>(db::Transaction&)> work =
        [number](db::Transaction& tx) -> Result<int64_t> {
      TRY(tx.run("INSERT INTO t (a) VALUES ($1)", number));
      if (number < 0) return fail(Code::bad_request, "no");
      return number * 10;
    };
    const auto outcome = co_await writer.write<int64_t>(std::move(work));
    settled.push_back(outcome ? std::to_string(*outcome) : outcome.error().message);
  }
  void put_all(const std::vector<int64_t>& numbers) {
    for (const int64_t number : numbers) loop.spawn(put(number), "put");
    loop.run();
  }
  int64_t count() {
    int64_t rows = 0;
    REQUIRE(database
                ->read_now([&](db::Transaction& tx) -> Result<void> {
                  rows = TRY(tx.query("SELECT count(*) FROM t")).front().integer(0);
                  return {};
                })
                .has_value());
    return rows;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Batches, "writes that come together share commits and resume in their order") {
  const uint64_t before = database->stats().commits;
  std::vector<int64_t> numbers;
  std::vector<std::string> expected;
  for (int64_t i = 1; i <= 300; ++i) {
    numbers.push_back(i);
    expected.push_back(std::to_string(i * 10));
  }
  put_all(numbers);
  CHECK_EQ(settled, expected);
  CHECK_EQ(count(), 300);
  CHECK_LT(database->stats().commits - before, 10);
}

TEST_CASE_FIXTURE(Batches, "one that fails leaves nothing behind and takes nobody with it") {
  put_all({1, -2, 3, 3, -4, 5});
  REQUIRE_EQ(settled.size(), 6);
  CHECK_EQ(settled[0], "10");
  CHECK_EQ(settled[1], "no");
  CHECK_EQ(settled[2], "30");
  CHECK_NE(settled[3], "30");
  CHECK_EQ(settled[4], "no");
  CHECK_EQ(settled[5], "50");
  CHECK_EQ(count(), 3);
}

TEST_CASE_FIXTURE(Batches, "too many that wait are refused") {
  for (size_t i = 0; i < kWritesWaitingMax + 2; ++i) {
    loop.spawn(put(static_cast<int64_t>(i)), "put");
  }
  loop.run();
  CHECK_GE(std::count(settled.begin(), settled.end(), "too many writes wait for the disk"), 1);
  CHECK_EQ(settled.size(), kWritesWaitingMax + 2);
}
