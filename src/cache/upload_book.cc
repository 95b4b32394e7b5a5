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
  const auto of_repo = per_repo_.find(repo_key(target));
  const bool many = of_repo != per_repo_.end() && of_repo->second >= kOpenUploadsPerRepoMax;
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
  const auto of_repo = per_repo_.find(repo_key(kept->target()));
  if (--of_repo->second == 0) per_repo_.erase(of_repo);
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
