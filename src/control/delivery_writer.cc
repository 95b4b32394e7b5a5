#include "control/delivery_writer.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"

namespace nimbus::control {
namespace {

constexpr size_t kOwnersKept = 16'384;

std::string owner_key(const WorkflowJob& event) {
  return to_lower(event.owner) + "/" + std::to_string(event.owner_id.value_or(0));
}

}  // namespace

Task<Result<DeliveryOutcome>> DeliveryWriter::write(Delivery delivery) {
  if (waiting_.size() >= kDeliveriesWaitingMax) {
    co_return fail(Code::unavailable, "too many deliveries wait for the disk", "deliver it again");
  }
  auto slot = std::make_shared<Slot>();
  if (delivery.workflow_job && delivery.job) {
    slot->owner = owner_key(*delivery.workflow_job);
    const auto found = org_of_owner_.find(slot->owner);
    if (found != org_of_owner_.end()) slot->known_org = found->second;
  }
  slot->delivery = std::move(delivery);
  std::function<void(std::function<void()>)> wait = [this, slot](std::function<void()> done) {
    slot->done = std::move(done);
    waiting_.push_back(slot);
    if (std::exchange(flushing_, true)) return;
    parts_.loop.spawn(flush(), "delivery writer");
  };
  co_await await_callback(std::move(wait));
  co_return std::move(slot->outcome);
}

Task<void> DeliveryWriter::flush() {
  while (!waiting_.empty()) {
    Batch batch = std::exchange(waiting_, {});
    if (batch.size() > kDeliveryBatchMax) {
      waiting_.assign(batch.begin() + kDeliveryBatchMax, batch.end());
      batch.resize(kDeliveryBatchMax);
    }
    co_await write_batch(std::move(batch));
  }
  flushing_ = false;
}

Task<void> DeliveryWriter::write_batch(Batch batch) {
  using Outcomes = std::vector<DeliveryOutcome>;
  std::function<Result<Outcomes>(db::Transaction&)> work =
      [&orgs = parts_.orgs, batch](db::Transaction& tx) -> Result<Outcomes> {
    Outcomes outcomes;
    outcomes.reserve(batch.size());
    for (const auto& slot : batch) {
      outcomes.push_back(TRY(accept_delivery(tx, orgs, slot->delivery, slot->known_org)));
    }
    return outcomes;
  };
  Result<Outcomes> outcomes = co_await parts_.database.write<Outcomes>(std::move(work));
  if (outcomes) {
    for (size_t i = 0; i < batch.size(); ++i) settle(*batch[i], std::move((*outcomes)[i]));
  } else if (batch.size() == 1) {
    settle(*batch.front(), fail(std::move(outcomes).error()));
  } else {
    log_warn("a batch of deliveries is tried one by one", {{"error", outcomes.error().message}});
    for (auto& slot : batch) {
      Batch one(1, std::move(slot));
      co_await write_batch(std::move(one));
    }
  }
}

void DeliveryWriter::settle(Slot& slot, Result<DeliveryOutcome> outcome) {
  if (outcome && outcome->change) {
    if (!slot.known_org && !slot.owner.empty()) {
      if (org_of_owner_.size() >= kOwnersKept) org_of_owner_.clear();
      org_of_owner_.emplace(slot.owner, outcome->org);
    }
    parts_.board.apply(*outcome->change);
  }
  slot.outcome = std::move(outcome);
  std::exchange(slot.done, nullptr)();
}

}  // namespace nimbus::control
