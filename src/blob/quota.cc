#include "blob/quota.h"

#include <map>

#include "base/text.h"

namespace nimbus::blob {

struct Reservation::Sums {
  std::map<std::string, int64_t> by_key;
  int64_t all = 0;

  int64_t of(const std::string& key) const {
    const auto sum = by_key.find(key);
    return sum == by_key.end() ? 0 : sum->second;
  }
  void add(const std::string& key, int64_t bytes) {
    const auto sum = by_key.try_emplace(key, 0).first;
    sum->second += bytes;
    if (sum->second == 0) by_key.erase(sum);
  }
};

namespace {

std::string org_key(const SpaceRequest& request) {
  return std::string(to_string(request.use)) + " " + to_lower(request.org);
}

std::string repo_key(const SpaceRequest& request) {
  return org_key(request) + " " + to_lower(request.repo);
}

std::string mebibytes(int64_t bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

int64_t percent_of(int64_t limit, int percent) { return limit / 100 * percent; }

bool over(int64_t used, int64_t limit) { return limit > 0 && used > limit; }

}  // namespace

Reservation::Reservation(Reservation&& other) noexcept { *this = std::move(other); }

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  sums_ = std::move(other.sums_);
  org_key_ = std::move(other.org_key_);
  repo_key_ = std::move(other.repo_key_);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

void Reservation::give_back() {
  if (sums_ == nullptr) return;
  sums_->add(org_key_, -bytes_);
  sums_->add(repo_key_, -bytes_);
  sums_->all -= bytes_;
  bytes_ = 0;
  sums_.reset();
}

QuotaBook::QuotaBook(db::Database& database, Store& store, Options options)
    : database_(database),
      store_(store),
      options_(std::move(options)),
      sums_(std::make_shared<Reservation::Sums>()) {}

void QuotaBook::set_evict(Use use, Evict evict) { evict_[use] = std::move(evict); }

Task<Result<Reservation>> QuotaBook::reserve(SpaceRequest request) {
  Reservation reservation;
  CO_TRY(co_await grow(reservation, std::move(request)));
  co_return reservation;
}

Task<Result<void>> QuotaBook::grow(Reservation& reservation, SpaceRequest request) {
  request.bytes -= reservation.bytes_;
  if (request.bytes <= 0 && reservation.sums_ != nullptr) co_return Result<void>();
  // Counted before anything is awaited: two that come together see each other.
  Reservation more;
  more.sums_ = sums_;
  more.org_key_ = org_key(request);
  more.repo_key_ = repo_key(request);
  more.bytes_ = request.bytes;
  sums_->add(more.org_key_, more.bytes_);
  sums_->add(more.repo_key_, more.bytes_);
  sums_->all += more.bytes_;
  CO_TRY(co_await make_room(request));
  CO_TRY(co_await check_disk(request));
  if (reservation.sums_ == nullptr) {
    reservation = std::move(more);
  } else {
    reservation.bytes_ += std::exchange(more.bytes_, 0);
    more.sums_.reset();
  }
  co_return Result<void>();
}

Task<Result<QuotaBook::Room>> QuotaBook::read_room(SpaceRequest request) {
  std::function<Result<Room>(db::Transaction&)> work =
      [limits = options_.limits, request](db::Transaction& tx) -> Result<Room> {
    Room room;
    room.limits = TRY(limits(tx, request.org, request.use));
    room.org_used = TRY(org_usage_in(tx, request.org, request.use)).bytes;
    if (room.limits.repo_bytes_max > 0) {
      room.repo_used = TRY(repo_usage_in(tx, request.org, request.repo, request.use)).bytes;
    }
    return room;
  };
  co_return co_await database_.read<Room>(std::move(work));
}

int64_t QuotaBook::reserved_bytes() const { return sums_->all; }

Task<Result<int64_t>> QuotaBook::evict(Use use, EvictionRequest request) {
  const auto call = evict_.find(use);
  if (call == evict_.end()) co_return int64_t{0};
  co_return co_await call->second(std::move(request));
}

Task<Result<void>> QuotaBook::make_room(SpaceRequest request) {
  for (bool evicted = false;; evicted = true) {
    CO_TRY_ASSIGN(const Room room, co_await read_room(request));
    const int64_t org_after = room.org_used + sums_->of(org_key(request));
    const int64_t repo_after = room.repo_used + sums_->of(repo_key(request));
    const bool org_over = over(org_after, room.limits.org_bytes_max);
    const bool repo_over = over(repo_after, room.limits.repo_bytes_max);
    if (!org_over && !repo_over) co_return Result<void>();
    const int64_t limit = repo_over ? room.limits.repo_bytes_max : room.limits.org_bytes_max;
    if (over(request.bytes, limit) || evicted) {
      co_return fail(Code::too_large,
                     std::string(repo_over ? "the repo's " : "the org's ") +
                         std::string(to_string(request.use)) + " quota of " + mebibytes(limit) +
                         " has no room for " + mebibytes(request.bytes),
                     "remove what is not needed, or raise the quota");
    }
    // Down to the low mark at once: the next writers find room.
    EvictionRequest eviction{
        request.org, repo_over ? request.repo : std::string(),
        (repo_over ? repo_after : org_after) - percent_of(limit, options_.low_percent)};
    CO_TRY(co_await evict(request.use, std::move(eviction)));
  }
}

Task<Result<int64_t>> QuotaBook::missing_disk_bytes() {
  CO_TRY_ASSIGN(const StoreSpace space, co_await store_.space());
  if (space.total_bytes == 0) co_return int64_t{0};
  co_return options_.free_bytes_min - (space.free_bytes - sums_->all);
}

// Garbage goes first, then the org's own least recently used entries.
Task<Result<void>> QuotaBook::check_disk(const SpaceRequest& request) {
  if (options_.free_bytes_min <= 0) co_return Result<void>();
  for (int attempt = 0; attempt < 3; ++attempt) {
    CO_TRY_ASSIGN(const int64_t missing, co_await missing_disk_bytes());
    if (missing <= 0) co_return Result<void>();
    if (attempt == 1) {
      // Where all that the org has would not be enough, it keeps what it has.
      CO_TRY_ASSIGN(const Room room, co_await read_room(request));
      if (room.org_used < missing) break;
      EvictionRequest eviction{request.org, "", missing};
      CO_TRY(co_await evict(request.use, std::move(eviction)));
    }
    if (reclaim_ && attempt < 2) co_await reclaim_();
  }
  co_return fail(Code::insufficient_storage, "the disk of the blob store is nearly full",
                 "free disk space, or lower the quotas");
}

Task<Result<int64_t>> QuotaBook::trim_org(OrgUsage org) {
  std::function<Result<QuotaLimits>(db::Transaction&)> work =
      [limits = options_.limits, org](db::Transaction& tx) { return limits(tx, org.org, org.use); };
  CO_TRY_ASSIGN(const QuotaLimits limits, co_await database_.read<QuotaLimits>(std::move(work)));
  const int64_t limit = limits.org_bytes_max;
  if (limit <= 0 || org.usage.bytes <= percent_of(limit, options_.high_percent)) {
    co_return int64_t{0};
  }
  EvictionRequest eviction{org.org, "", org.usage.bytes - percent_of(limit, options_.low_percent)};
  co_return co_await evict(org.use, std::move(eviction));
}

Task<Result<int64_t>> QuotaBook::trim_disk() {
  CO_TRY_ASSIGN(const StoreSpace space, co_await store_.space());
  const int64_t used = space.total_bytes - space.free_bytes;
  if (space.total_bytes == 0 || used <= percent_of(space.total_bytes, options_.disk_high_percent)) {
    co_return int64_t{0};
  }
  // What is garbage already may be enough.
  if (reclaim_) co_await reclaim_();
  CO_TRY_ASSIGN(const StoreSpace after, co_await store_.space());
  const int64_t wanted = after.total_bytes - after.free_bytes -
                         percent_of(after.total_bytes, options_.disk_low_percent);
  if (wanted <= 0) co_return int64_t{0};
  CO_TRY_ASSIGN(const auto orgs, co_await read_all_usage());
  int64_t all = 0;
  for (const OrgUsage& org : orgs) all += org.usage.bytes;
  int64_t freed = 0;
  for (const OrgUsage& org : orgs) {
    const double share =
        static_cast<double>(org.usage.bytes) / static_cast<double>(std::max<int64_t>(all, 1));
    EvictionRequest eviction{org.org, "",
                             static_cast<int64_t>(share * static_cast<double>(wanted))};
    if (eviction.bytes <= 0) continue;
    CO_TRY_ASSIGN(const int64_t bytes, co_await evict(org.use, std::move(eviction)));
    freed += bytes;
  }
  if (reclaim_) co_await reclaim_();
  co_return freed;
}

Task<Result<std::vector<OrgUsage>>> QuotaBook::read_all_usage() {
  std::function<Result<std::vector<OrgUsage>>(db::Transaction&)> work = all_org_usage_in;
  co_return co_await database_.read<std::vector<OrgUsage>>(std::move(work));
}

Task<Result<int64_t>> QuotaBook::trim() {
  CO_TRY_ASSIGN(const auto orgs, co_await read_all_usage());
  int64_t freed = 0;
  for (const OrgUsage& org : orgs) {
    CO_TRY_ASSIGN(const int64_t bytes, co_await trim_org(org));
    freed += bytes;
  }
  CO_TRY_ASSIGN(const int64_t bytes, co_await trim_disk());
  co_return freed + bytes;
}

}  // namespace nimbus::blob
