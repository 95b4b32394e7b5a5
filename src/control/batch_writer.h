// Writes control's small units of work in batches: those that arrive while a batch is on its way to
// the disk go with the next, as one unit of the database's, which costs far less than a unit each
// (no savepoint, one hand-over between threads). A batch in which one fails is written again one by
// one, so that a bad one takes nobody with it.
//
// `work` may therefore run twice: what it tells stands in its result and nowhere else. Callers
// resume on the loop in the order of the commits, which is how memory (board.h) follows the
// database.
//
// Threads: the loop's; `work` runs on a database thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "db/database.h"
#include "net/loop.h"

namespace nimbus::control {

constexpr size_t kWriteBatchMax = 256;
constexpr size_t kWritesWaitingMax = 20'000;

class BatchWriter {
 public:
  BatchWriter(net::Loop& loop, db::Database& database) : loop_(loop), database_(database) {}

  // What `work` gave, once it is durable. unavailable: too many wait, or the database is away.
  template <typename T>
  Task<Result<T>> write(std::function<Result<T>(db::Transaction&)> work) {
    auto value = std::make_shared<std::optional<T>>();
    db::Work wrapped = [value, work = std::move(work)](db::Transaction& tx) -> Result<void> {
      auto result = work(tx);
      if (!result) return tl::unexpected(std::move(result).error());
      value->emplace(std::move(*result));
      return {};
    };
    const Result<void> outcome = co_await run(std::move(wrapped));
    if (!outcome) co_return tl::unexpected(outcome.error());
    co_return std::move(**value);
  }

 private:
  struct Unit {
    db::Work work;
    Result<void> outcome;
    std::function<void()> done;
  };
  using Batch = std::vector<std::shared_ptr<Unit>>;

  Task<Result<void>> run(db::Work work);
  Task<void> flush();
  Task<void> write_batch(Batch batch);
  Task<void> write_alone(std::shared_ptr<Unit> unit);

  net::Loop& loop_;
  db::Database& database_;
  Batch waiting_;
  bool flushing_ = false;
};

}  // namespace nimbus::control
