// Room before bytes: whoever wants to store something reserves its size first, in the disk's free
// space, in the org's quota and in the repo's, and gives it back when the bytes are counted in the
// database or not coming. So a quota cannot be overrun by writers that started together, and a
// full disk is told before anything is written.
//
// When a quota has no room, the org's own least recently used entries go first (evictor.h); another
// org's never.
//
// Threads: the loop's. A Reservation may outlive the book.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "blob/catalog.h"
#include "blob/store.h"
#include "db/database.h"
#include "net/loop.h"

namespace nimbus::blob {

struct QuotaLimits {
  int64_t org_bytes_max = 0;   // 0: without limit
  int64_t repo_bytes_max = 0;  // 0: without limit
};
// What holds for an org (and each of its repos) at this moment; runs on a database thread.
using ReadQuotaLimits =
    std::function<Result<QuotaLimits>(db::Transaction& tx, const std::string& org, Use use)>;

struct SpaceRequest {
  std::string org;
  std::string repo;
  Use use = Use::cache;
  int64_t bytes = 0;
};

// Frees at least `bytes` of the org's usage (of that repo's, when it is named), least recently used
// first, as far as it can; the bytes of usage that were freed. The cache and the registry each give
// one for their use.
struct EvictionRequest {
  std::string org;
  std::string repo;  // empty: anywhere in the org
  int64_t bytes = 0;
};
using Evict = std::function<Task<Result<int64_t>>(EvictionRequest)>;

class QuotaBook;

class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation() { give_back(); }
  int64_t bytes() const { return bytes_; }
  void give_back();

 private:
  friend class QuotaBook;
  struct Sums;
  std::shared_ptr<Sums> sums_;
  std::string org_key_;
  std::string repo_key_;
  int64_t bytes_ = 0;
};

class QuotaBook {
 public:
  struct Options {
    ReadQuotaLimits limits;
    int64_t free_bytes_min = 0;  // of the disk, that writers must leave
    // Eviction begins above the high mark and goes down to the low one, in percent of the quota.
    int high_percent = 95;
    int low_percent = 85;
    // The same for the whole disk: every org gives up the same share of what it uses.
    int disk_high_percent = 92;
    int disk_low_percent = 88;
  };
  QuotaBook(db::Database& database, Store& store, Options options);

  // Called when a quota has no room; without one the request is refused.
  void set_evict(Use use, Evict evict);
  // Called when the disk has no room: removes garbage at once.
  void set_reclaim(std::function<Task<void>()> reclaim) { reclaim_ = std::move(reclaim); }
  // too_large: more than the whole quota, or than what eviction could free. insufficient_storage:
  // the disk has no room.
  Task<Result<Reservation>> reserve(SpaceRequest request);
  // For bodies whose length is not known ahead: makes the reservation at least `bytes` in all.
  // On failure it stays as it was.
  Task<Result<void>> grow(Reservation& reservation, SpaceRequest request);
  // Evicts where a quota or the disk is above its high mark; the bytes of usage that were freed.
  // Called regularly, so that writers seldom wait for it.
  Task<Result<int64_t>> trim();
  int64_t reserved_bytes() const;
  // What holds for the org now. On a database thread.
  Result<QuotaLimits> limits_in(db::Transaction& tx, const std::string& org, Use use) const {
    return options_.limits(tx, org, use);
  }

 private:
  struct Room {
    QuotaLimits limits;
    int64_t org_used = 0;
    int64_t repo_used = 0;
  };
  Task<Result<Room>> read_room(SpaceRequest request);
  Task<Result<void>> check_disk(const SpaceRequest& request);
  Task<Result<int64_t>> missing_disk_bytes();
  Task<Result<int64_t>> evict(Use use, EvictionRequest request);
  Task<Result<int64_t>> trim_org(OrgUsage org);
  Task<Result<int64_t>> trim_disk();
  Task<Result<std::vector<OrgUsage>>> read_all_usage();
  Task<Result<void>> make_room(SpaceRequest request);

  db::Database& database_;
  Store& store_;
  Options options_;
  std::shared_ptr<Reservation::Sums> sums_;
  std::map<Use, Evict> evict_;
  std::function<Task<void>()> reclaim_;
};

}  // namespace nimbus::blob
