#include "control/batch_writer.h"

namespace nimbus::control {

Task<void> BatchWriter::settle(std::shared_ptr<Unit> unit) {
  if (waiting_.size() >= kWritesWaitingMax) {
    unit->outcome =
        fail(Code::unavailable, "too many writes wait for the disk", "try again shortly");
    co_return;
  }
  std::function<void(std::function<void()>)> wait = [this, unit](std::function<void()> done) {
    unit->done = std::move(done);
    waiting_.push_back(unit);
    if (!std::exchange(flushing_, true)) loop_.spawn(flush(), "batch writer");
  };
  co_await await_callback(std::move(wait));
}

Task<void> BatchWriter::flush() {
  while (!waiting_.empty()) {
    Batch batch = std::exchange(waiting_, {});
    if (batch.size() > kWriteBatchMax) {
      waiting_.assign(batch.begin() + kWriteBatchMax, batch.end());
      batch.resize(kWriteBatchMax);
    }
    co_await write_batch(std::move(batch));
  }
  flushing_ = false;
}

Task<void> BatchWriter::write_batch(Batch batch) {
  if (batch.size() == 1) {
    co_await write_alone(std::move(batch.front()));
    co_return;
  }
  // Shared, because the work may outlive this coroutine when the loop ends.
  const auto units = std::make_shared<const Batch>(std::move(batch));
  std::function<Result<bool>(db::Transaction&)> work =
      [units](db::Transaction& tx) -> Result<bool> {
    for (const auto& unit : *units) TRY(unit->run(tx));
    return true;
  };
  const Result<bool> written = co_await database_.write<bool>(std::move(work));
  for (const auto& unit : *units) {
    if (written) {
      std::exchange(unit->done, nullptr)();
    } else {
      co_await write_alone(unit);
    }
  }
}

Task<void> BatchWriter::write_alone(std::shared_ptr<Unit> unit) {
  std::function<Result<bool>(db::Transaction&)> work = [unit](db::Transaction& tx) -> Result<bool> {
    TRY(unit->run(tx));
    return true;
  };
  const Result<bool> written = co_await database_.write<bool>(std::move(work));
  if (!written) unit->outcome = fail(written.error());
  std::exchange(unit->done, nullptr)();
}

}  // namespace nimbus::control
