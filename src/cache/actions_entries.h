// What the two Actions cache protocols have in common: look up, reserve, enter. The protocols
// themselves are cache_service.h (v2) and rest_routes.h (v1).
//
// Threads: the loop's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/core.h"
#include "cache/entry_store.h"
#include "cache/reach.h"
#include "cache/upload_book.h"

namespace nimbus::cache {

constexpr Duration kUploadUrlLife = std::chrono::minutes(60);
constexpr Duration kDownloadUrlLife = std::chrono::minutes(30);

class ActionsEntries {
 public:
  ActionsEntries(Core& core, UploadBook& uploads) : core_(core), uploads_(uploads) {}

  // nullopt: a miss. bad_request: too many keys, or one that is none.
  Task<Result<std::optional<Entry>>> find(const Reach& reach, std::vector<std::string> keys,
                                          std::string version);
  // Opens the upload of a new entry. conflict: there is such an entry, or another upload of it.
  Task<Result<std::shared_ptr<UploadSession>>> reserve(const Reach& reach, std::string key,
                                                       std::string version,
                                                       std::optional<int64_t> size);
  // The caller's open upload; nullptr: none.
  std::shared_ptr<UploadSession> find_upload(const Reach& reach, const std::string& key,
                                             const std::string& version) const;
  std::shared_ptr<UploadSession> find_upload(const Reach& reach, int64_t id) const;
  // Enters a complete upload; the entry's id. A repetition by the same writer gives the same id.
  // not_found: no such upload. bad_request: incomplete, or of another size.
  Task<Result<int64_t>> enter(const Reach& reach, std::string key, std::string version,
                              int64_t size);
  Task<Result<int64_t>> enter(const Reach& reach, std::shared_ptr<UploadSession> session,
                              int64_t size);

  std::string upload_url(const net::Request& request, const UploadSession& session) const;
  std::string download_url(const net::Request& request, const Entry& entry) const;

 private:
  Task<Result<std::optional<Entry>>> find_own(const Place& place, const std::string& key);
  Core& core_;
  UploadBook& uploads_;
};

// Entries of the caller's scopes whose key starts with `key`, newest first; for v1's list.
Task<Result<std::vector<Entry>>> list_visible(Core& core, const Reach& reach, std::string key);

}  // namespace nimbus::cache
