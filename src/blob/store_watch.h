// Whether the store can be written to, looked at now and then: what readiness says costs no disk
// and no bucket.
//
// Threads: the loop's.
#pragma once

#include <memory>
#include <string>

#include "base/metrics.h"
#include "blob/store.h"

namespace nimbus::blob {

constexpr Duration kStoreWatchEvery = std::chrono::seconds(15);

class StoreWatch {
 public:
  enum class State { unknown, good, full, down };
  struct View {
    State state = State::unknown;
    std::string detail;  // for everybody to see: no paths, no hosts
  };

  // `free_bytes_min`: below it uploads are refused (QuotaBook::Options).
  StoreWatch(net::Loop& loop, Store& store, int64_t free_bytes_min, Metrics& metrics);

  // Looks at once and then every kStoreWatchEvery, until `stop`.
  void start();
  void stop();
  Task<void> look();
  const View& view() const { return view_; }

 private:
  struct Life;
  static Task<void> look_regularly(std::shared_ptr<Life> life);
  Task<Result<View>> see();

  net::Loop& loop_;
  Store& store_;
  int64_t free_bytes_min_;
  View view_;
  Gauge& up_;
  Gauge& free_bytes_;
  std::shared_ptr<Life> life_;
};

}  // namespace nimbus::blob
