// One upload on its way to become an entry or an artifact: its name is reserved, its bytes come
// over several requests, in the order that network and client make of them, and its content stays
// invisible until somebody enters it into the database.
//
// Bytes come in one of three ways: whole (Put Blob), in blocks of the client's naming that a list
// puts into order (Put Block, Put Block List), or in ranges of a size that was announced.
//
// A session outlives its place in the book while requests use it. Threads: the loop's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "blob/quota.h"
#include "blob/store.h"
#include "cache/core.h"
#include "net/http.h"

namespace nimbus::cache {

constexpr size_t kBlocksMax = 50'000;     // as Azure's
constexpr size_t kBlockIdBytesMax = 128;  // of its base64 form

struct UploadTarget {
  std::string org;   // in lower case
  std::string repo;  // in lower case
  std::string name;  // what it will be; no two open uploads of a repository have the same
  std::string by;    // the writer's id
  // The execution whose upload it is: its end ends the upload.
  model::JobId job = {};
  model::Fence fence = {};
  // Of artifacts.
  std::string content_type = {};
  Time expires_at = {};
};

class UploadSession : public std::enable_shared_from_this<UploadSession> {
 public:
  // `announced`: the size, when the client said it before; its space is then reserved already.
  UploadSession(Core& core, int64_t id, UploadTarget target, std::optional<int64_t> announced);
  // Called once, first.
  Task<Result<void>> begin();

  int64_t id() const { return id_; }
  const UploadTarget& target() const { return target_; }

  // Each takes a request's body. bad_request: it is not what its head says; too_large: over the
  // entry's limit or the quota; insufficient_storage; conflict: the content is complete already.
  Task<Result<void>> put(net::BodyReader& body, std::optional<int64_t> length);
  Task<Result<void>> put_block(std::string block, net::BodyReader& body, int64_t length);
  Task<Result<void>> write_range(int64_t offset, int64_t size, net::BodyReader& body);
  // Completes the content. The same list again is a success. bad_request: a block that is not
  // there. unavailable: blocks are still coming in.
  Task<Result<void>> put_block_list(std::vector<std::string> blocks);
  // Completes ranges. bad_request: gaps, or another size.
  Task<Result<void>> complete(int64_t size);

  // The content, once it is complete; its blob is pinned while the session lives.
  const std::optional<blob::BlobInfo>& content() const { return content_; }

  bool busy() const { return requests_ > 0; }
  Duration idle_for() const { return core_.parts.clock.steady() - touched_; }
  // The last request broke off, and nobody has continued.
  bool broken() const { return broken_ && !busy(); }

 private:
  class Request;
  Task<Result<void>> receive(blob::Upload& upload, int64_t offset, int64_t size,
                             net::BodyReader& body);
  Task<Result<void>> receive_block(blob::Extent place, net::BodyReader& body);
  Task<Result<void>> receive_unsized(blob::Upload& upload, net::BodyReader& body,
                                     blob::Reservation& room);
  Task<Result<blob::Reservation>> reserve(int64_t bytes);
  Task<Result<void>> wait_until_quiet();
  Task<Result<void>> commit(blob::Upload& upload);
  Result<void> check_open(int64_t more) const;
  int64_t place_block(std::string_view block, int64_t length);

  Core& core_;
  const int64_t id_;
  const UploadTarget target_;
  const std::optional<int64_t> announced_;
  std::unique_ptr<blob::Upload> upload_;
  std::vector<blob::Reservation> rooms_;
  std::map<std::string, blob::Extent> blocks_;
  std::vector<blob::Extent> claimed_;  // of blocks, whole or still coming
  std::vector<std::string> list_;      // that completed it
  int64_t block_bytes_ = 0;            // of all blocks but the last, as far as is known
  std::optional<blob::BlobInfo> content_;
  int requests_ = 0;
  bool committing_ = false;
  bool broken_ = false;
  Duration touched_;
  net::Notifier quiet_;
};

}  // namespace nimbus::cache
