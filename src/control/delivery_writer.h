// Writes deliveries in batches: those that arrive while a batch is on its way to the disk go with the
// next, as one unit of work, which costs far less than a unit each. A batch that fails is tried again
// one delivery at a time, so that a bad one takes nobody with it. Memory is told of what became
// durable in the order of the commits.
//
// Threads: the loop's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/board.h"
#include "control/delivery.h"
#include "db/database.h"
#include "net/loop.h"

namespace nimbus::control {

constexpr size_t kDeliveryBatchMax = 256;
constexpr size_t kDeliveriesWaitingMax = 20'000;

class DeliveryWriter {
 public:
  struct Parts {
    net::Loop& loop;
    db::Database& database;
    const OrgStore& orgs;
    Board& board;
  };
  explicit DeliveryWriter(Parts parts) : parts_(parts) {}

  // What the delivery did, once that is durable. unavailable: too many wait, or the database is away.
  Task<Result<DeliveryOutcome>> write(Delivery delivery);

 private:
  struct Slot {
    Delivery delivery;
    std::string owner;  // the key below; "" when the delivery makes no job
    std::optional<std::string> known_org;
    Result<DeliveryOutcome> outcome = DeliveryOutcome{};
    std::function<void()> done;
  };
  using Batch = std::vector<std::shared_ptr<Slot>>;

  Task<void> flush();
  Task<void> write_batch(Batch batch);
  void settle(Slot& slot, Result<DeliveryOutcome> outcome);

  Parts parts_;
  Batch waiting_;
  bool flushing_ = false;
  std::unordered_map<std::string, std::string> org_of_owner_;  // by login and id
};

}  // namespace nimbus::control
