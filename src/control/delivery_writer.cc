#include "control/delivery_writer.h"

#include "base/text.h"

namespace nimbus::control {
namespace {

constexpr size_t kOwnersKept = 16'384;

std::string owner_key(const WorkflowJob& event) {
  return to_lower(event.owner) + "/" + std::to_string(event.owner_id.value_or(0));
}

}  // namespace

Task<Result<DeliveryOutcome>> DeliveryWriter::write(std::shared_ptr<const Delivery> delivery) {
  std::string owner;
  std::optional<std::string> known_org;
  if (delivery->workflow_job && delivery->job) {
    owner = owner_key(*delivery->workflow_job);
    const auto found = org_of_owner_.find(owner);
    if (found != org_of_owner_.end()) known_org = found->second;
  }
  std::function<Result<DeliveryOutcome>(db::Transaction&)> work = [&orgs = parts_.orgs, delivery,
                                                                   known_org](db::Transaction& tx) {
    return accept_delivery(tx, orgs, *delivery, known_org);
  };
  auto outcome = co_await parts_.writer.write<DeliveryOutcome>(std::move(work));
  if (!outcome || !outcome->change) co_return outcome;
  if (!known_org && !owner.empty()) {
    if (org_of_owner_.size() >= kOwnersKept) org_of_owner_.clear();
    org_of_owner_.emplace(owner, outcome->org);
  }
  parts_.board.apply(*outcome->change);
  co_return outcome;
}

}  // namespace nimbus::control
