// The open uploads. A name is reserved from the moment its upload is opened until it is entered,
// given up, or expires: whoever comes second is told at once instead of uploading in vain.
//
// In memory: an upload does not survive a restart, and its client sees a failed save, as with a
// network that failed. Threads: the loop's.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "cache/core.h"
#include "cache/upload_session.h"

namespace nimbus::cache {

constexpr size_t kOpenUploadsMax = 4'096;
constexpr int kOpenUploadsPerRepoMax = 256;
constexpr int kOpenUploadsPerOrgMax = 512;  // one org cannot use up the whole book

class UploadBook {
 public:
  explicit UploadBook(Core& core);

  // conflict: an upload of that name is open. too_many_requests: too many are. What else
  // UploadSession::begin may say. An upload of that name whose client has gone is given up.
  Task<Result<std::shared_ptr<UploadSession>>> open(UploadTarget target,
                                                    std::optional<int64_t> announced);
  // nullptr: there is none.
  std::shared_ptr<UploadSession> find(int64_t id) const;
  std::shared_ptr<UploadSession> find(const UploadTarget& target) const;
  void close(const UploadSession& session);
  // Gives up what nobody has continued for the reservation's time; how many.
  int expire();
  // Gives up those of jobs whose lease has ended, so that the next job's upload of the same name
  // need not wait for that; how many. An answer that the database owes is asked for again later.
  Task<int> give_up_ended();
  size_t size() const { return by_id_.size(); }

 private:
  Result<void> make_room_for(const UploadTarget& target);

  Core& core_;
  std::map<int64_t, std::shared_ptr<UploadSession>> by_id_;
  std::map<std::string, int64_t> by_name_;
  std::map<std::string, int> per_repo_;
  std::map<std::string, int> per_org_;
};

}  // namespace nimbus::cache
