// Stores deliveries through the batch writer, and tells the board what they did. Remembers which
// org an owner of GitHub's is, so that a delivery need not ask.
//
// Threads: the loop's.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "control/batch_writer.h"
#include "control/board.h"
#include "control/delivery.h"

namespace nimbus::control {

class DeliveryWriter {
 public:
  struct Parts {
    BatchWriter& writer;
    const OrgStore& orgs;
    Board& board;
  };
  explicit DeliveryWriter(Parts parts) : parts_(parts) {}

  // What the delivery did, once that is durable. unavailable: see BatchWriter.
  Task<Result<DeliveryOutcome>> write(std::shared_ptr<const Delivery> delivery);

 private:
  Parts parts_;
  std::unordered_map<std::string, std::string> org_of_owner_;  // by login and id
};

}  // namespace nimbus::control
