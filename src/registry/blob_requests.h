// GET, HEAD and DELETE of a repository's blobs. A blob that the repository does not refer to is not
// there, whoever else may have it.
//
// Threads: the loop's.
#pragma once

#include "registry/core.h"
#include "registry/visit.h"

namespace nimbus::registry {

class BlobRequests {
 public:
  explicit BlobRequests(Core& core) : core_(core) {}

  Task<net::Response> get(Visit& visit);  // HEAD too
  // The same of a blob that the caller has found.
  net::Response answer(const Visit& visit, const blob::OpenBlob& blob);
  Task<net::Response> remove(Visit& visit);

 private:
  Task<Result<bool>> is_visible(const Visit& visit, const blob::Digest& digest);
  Task<net::Response> send(Visit& visit, const blob::Digest& digest, uint64_t generation);
  void note(const Visit& visit, const net::Response& response);

  Core& core_;
};

// The answer to a GET or HEAD of bytes in memory.
net::Response content_answer(const net::Request& request, const CachedContent& content);
net::Response blob_unknown();

}  // namespace nimbus::registry
