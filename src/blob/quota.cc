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
  CO_TRY(co_await check_disk());
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

Task<Result<void>> QuotaBook::make_room(SpaceRequest request) {
  for (bool evicted = false;; evicted = true) {
    CO_TRY_ASSIGN(const Room room, co_await read_room(request));
    const int64_t org_after = room.org_used + sums_->of(org_key(request));
    const int64_t repo_after = room.repo_used + sums_->of(repo_key(request));
    const bool org_over = over(org_after, room.limits.org_bytes_max);
    const bool repo_over = over(repo_after, room.limits.repo_bytes_max);
    if (!org_over && !repo_over) co_return Result<void>();
    const int64_t limit = repo_over ? room.limits.repo_bytes_max : room.limits.org_bytes_max;
    const std::string whose = repo_over ? "the repo's " : "the org's ";
    const auto evict = evict_.find(request.use);
    if (over(request.bytes, limit) || evicted || evict == evict_.end()) {
      co_return fail(Code::too_large,
                     whose + std::string(to_string(request.use)) + " quota of " + mebibytes(limit) +
                         " has no room for " + mebibytes(request.bytes),
                     "remove what is not needed, or raise the quota");
    }
    EvictionRequest eviction{request.org, repo_over ? request.repo : std::string(),
                             repo_over ? repo_after - limit : org_after - limit};
    CO_TRY(co_await evict->second(std::move(eviction)));
  }
}

Task<Result<void>> QuotaBook::check_disk() {
  if (options_.free_bytes_min <= 0) co_return Result<void>();
  CO_TRY_ASSIGN(const StoreSpace space, co_await store_.space());
  if (space.total_bytes == 0 || space.free_bytes - sums_->all >= options_.free_bytes_min) {
    co_return Result<void>();
  }
  co_return fail(Code::insufficient_storage, "the disk of the blob store is nearly full",
                 "free disk space, or lower the quotas");
}

}  // namespace nimbus::blob
