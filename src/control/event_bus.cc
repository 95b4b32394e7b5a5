#include "control/event_bus.h"

namespace nimbus::control {
namespace {

const std::shared_ptr<const std::string>& empty_object() {
  static const auto kEmpty = std::make_shared<const std::string>("{}");
  return kEmpty;
}

}  // namespace

Subscription::Subscription(EventBus& bus, net::Loop& loop, access::OrgScope orgs)
    : bus_(bus), ready_(loop), orgs_(std::move(orgs)) {
  bus_.subscribers_.insert(this);
}

Subscription::~Subscription() { bus_.subscribers_.erase(this); }

Task<std::vector<BusEvent>> Subscription::take(Duration timeout) {
  if (queue_.empty()) co_await ready_.wait(timeout);
  std::vector<BusEvent> events(std::make_move_iterator(queue_.begin()),
                               std::make_move_iterator(queue_.end()));
  queue_.clear();
  co_return events;
}

std::unique_ptr<Subscription> EventBus::subscribe(access::OrgScope orgs) {
  if (subscribers_.size() >= kSubscribersMax) return nullptr;
  return std::make_unique<Subscription>(*this, loop_, std::move(orgs));
}

void EventBus::push(Subscription& subscriber, BusEvent event) {
  auto& queue = subscriber.queue_;
  if (queue.size() >= kQueuedEventsMax) {
    event.name = "resync";
    event.data = empty_object();
    queue.clear();
  }
  // Whoever must list again needs no event from before.
  if (event.name == "resync") queue.clear();
  queue.push_back(std::move(event));
  subscriber.ready_.notify_all();
}

void EventBus::publish(std::string_view name, std::string_view org, std::string data) {
  const BusEvent event{++last_id_, std::string(name),
                       std::make_shared<const std::string>(std::move(data))};
  for (Subscription* subscriber : subscribers_) {
    const bool sees = org == kInstallation ? subscriber->orgs_.is_all()
                                           : org.empty() || subscriber->orgs_.covers(org);
    if (sees) push(*subscriber, event);
  }
}

void EventBus::wake_all() {
  for (Subscription* subscriber : subscribers_) subscriber->ready_.notify_all();
}

void EventBus::resync() {
  ++last_id_;
  for (Subscription* subscriber : subscribers_)
    push(*subscriber, {last_id_, "resync", empty_object()});
}

}  // namespace nimbus::control
