#include "cache/upload_book.h"

namespace nimbus::cache {
namespace {

std::string repo_key(const UploadTarget& target) { return target.org + "/" + target.repo; }
std::string name_key(const UploadTarget& target) { return repo_key(target) + "\n" + target.name; }

}  // namespace

UploadBook::UploadBook(Core& core) : core_(core) {}

Result<void> UploadBook::make_room_for(const UploadTarget& target) {
  if (const auto other = find(target)) {
    const bool gone =
        other->broken() || (!other->busy() && other->idle_for() >= core_.options.reservation_ttl);
    if (!gone) return fail(Code::conflict, "another upload of this key is in progress");
    close(*other);
  }
  const auto full = [](const std::map<std::string, int>& counts, const std::string& key, int max) {
    const auto count = counts.find(key);
    return count != counts.end() && count->second >= max;
  };
  const bool many = full(per_repo_, repo_key(target), kOpenUploadsPerRepoMax) ||
                    full(per_org_, target.org, kOpenUploadsPerOrgMax);
  if (many || by_id_.size() >= kOpenUploadsMax) {
    return fail(Code::too_many_requests, "too many uploads are open at once",
                "finish some, or wait until abandoned ones expire");
  }
  return {};
}

Task<Result<std::shared_ptr<UploadSession>>> UploadBook::open(UploadTarget target,
                                                              std::optional<int64_t> announced) {
  CO_TRY(make_room_for(target));
  // Numbers that cannot be guessed; v1 clients need them to be exact in a double.
  int64_t id = 0;
  while (id == 0 || by_id_.contains(id)) {
    id = static_cast<int64_t>(core_.parts.random.below(uint64_t{1} << 53));
  }
  auto session = std::make_shared<UploadSession>(core_, id, target, announced);
  by_id_[id] = session;
  by_name_[name_key(target)] = id;
  ++per_repo_[repo_key(target)];
  ++per_org_[target.org];
  if (auto begun = co_await session->begin(); !begun) {
    close(*session);
    co_return fail(std::move(begun).error());
  }
  co_return session;
}

std::shared_ptr<UploadSession> UploadBook::find(int64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::shared_ptr<UploadSession> UploadBook::find(const UploadTarget& target) const {
  const auto found = by_name_.find(name_key(target));
  return found == by_name_.end() ? nullptr : find(found->second);
}

void UploadBook::close(const UploadSession& session) {
  const auto found = by_id_.find(session.id());
  if (found == by_id_.end()) return;
  const std::shared_ptr<UploadSession> kept = found->second;
  by_id_.erase(found);
  by_name_.erase(name_key(kept->target()));
  const auto count_down = [](std::map<std::string, int>& counts, const std::string& key) {
    const auto count = counts.find(key);
    if (--count->second == 0) counts.erase(count);
  };
  count_down(per_repo_, repo_key(kept->target()));
  count_down(per_org_, kept->target().org);
}

Task<int> UploadBook::give_up_ended() {
  std::vector<std::shared_ptr<UploadSession>> open;
  open.reserve(by_id_.size());
  for (const auto& [id, session] : by_id_) open.push_back(session);
  int given_up = 0;
  for (const auto& session : open) {
    const UploadTarget& target = session->target();
    if (target.job.value == 0) continue;
    const auto ended = co_await core_.parts.authenticator.has_ended(target.job, target.fence);
    if (!ended) co_return given_up;
    if (!*ended || session->busy() || find(session->id()) == nullptr) continue;
    close(*session);
    ++given_up;
  }
  co_return given_up;
}

int UploadBook::expire() {
  std::vector<std::shared_ptr<UploadSession>> gone;
  for (const auto& [id, session] : by_id_) {
    if (!session->busy() && session->idle_for() >= core_.options.reservation_ttl) {
      gone.push_back(session);
    }
  }
  for (const auto& session : gone) close(*session);
  return static_cast<int>(gone.size());
}

}  // namespace nimbus::cache
