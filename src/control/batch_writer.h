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
    auto unit = std::make_shared<ValuedUnit<T>>();
    unit->work = std::move(work);
    co_await settle(unit);
    if (!unit->outcome) co_return tl::unexpected(std::move(unit->outcome).error());
    co_return std::move(*unit->value);
  }

 private:
  struct Unit {
    virtual ~Unit() = default;
    virtual Result<void> run(db::Transaction& tx) = 0;
    Result<void> outcome;
    std::function<void()> done;
  };
  template <typename T>
  struct ValuedUnit final : Unit {
    Result<void> run(db::Transaction& tx) override {
      value = TRY(work(tx));
      return {};
    }
    std::function<Result<T>(db::Transaction&)> work;
    std::optional<T> value;
  };
  using Batch = std::vector<std::shared_ptr<Unit>>;

  // Returns once the unit is written or has failed; its outcome says which.
  Task<void> settle(std::shared_ptr<Unit> unit);
  Task<void> flush();
  Task<void> write_batch(Batch batch);
  Task<void> write_alone(std::shared_ptr<Unit> unit);

  net::Loop& loop_;
  db::Database& database_;
  Batch waiting_;
  bool flushing_ = false;
};

}  // namespace nimbus::control
