// What GET /api/v1/events streams: changes, told to every subscriber as they happen. Each
// subscriber has a bounded queue; one that falls behind gets a single `resync` in place of what it
// missed, and must list again. Nothing is kept for those who are not there.
//
// Threads: the loop's.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "access/scope.h"
#include "net/loop.h"

namespace nimbus::control {

constexpr size_t kQueuedEventsMax = 1'024;  // per subscriber
constexpr size_t kSubscribersMax = 1'000;

struct BusEvent {
  int64_t id = 0;
  std::string name;
  std::shared_ptr<const std::string> data;  // JSON
};

class EventBus;

class Subscription {
 public:
  Subscription(EventBus& bus, net::Loop& loop, access::OrgScope orgs);
  ~Subscription();
  // What has come since the last call; waits for the first up to `timeout`, then empty.
  Task<std::vector<BusEvent>> take(Duration timeout);

 private:
  friend class EventBus;
  EventBus& bus_;
  net::Notifier ready_;
  access::OrgScope orgs_;
  std::deque<BusEvent> queue_;
};

class EventBus {
 public:
  // The `org` of what only those see who see every org.
  static constexpr std::string_view kInstallation = "*";

  explicit EventBus(net::Loop& loop) : loop_(loop) {}

  // To everyone who may see `org`; "" goes to everyone.
  void publish(std::string_view name, std::string_view org, std::string data);
  bool has_subscribers() const { return !subscribers_.empty(); }
  size_t subscribers() const { return subscribers_.size(); }
  int64_t last_id() const { return last_id_; }
  // nullptr: kSubscribersMax are there already.
  std::unique_ptr<Subscription> subscribe(access::OrgScope orgs);
  // Tells every subscriber that something was left out.
  void resync();
  // Every `take` returns, with what there is.
  void wake_all();

 private:
  friend class Subscription;
  static void push(Subscription& subscriber, BusEvent event);

  net::Loop& loop_;
  std::unordered_set<Subscription*> subscribers_;
  int64_t last_id_ = 0;
};

}  // namespace nimbus::control
