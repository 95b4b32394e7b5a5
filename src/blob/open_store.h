// The store that a configuration names: `file:DIRECTORY` or
// `s3://BUCKET/PREFIX?endpoint=URL&region=R`.
//
// Threads: start-up only (blocking).
#pragma once

#include <memory>
#include <string>

#include "base/secret.h"
#include "blob/store.h"

namespace nimbus::blob {

struct OpenStoreOptions {
  std::string url;        // empty: `directory`
  std::string directory;  // of this machine: the blobs, or copies of a bucket's
  bool owner = true;      // false: beside the process that serves it (fsck)
  int64_t near_cache_bytes_max = int64_t{20} << 30;
  std::string s3_access_key_id;  // empty: the usual AWS chain
  Secret s3_secret_access_key;
  std::string s3_ca_file;
};

// Whether `open_store` would know the URL; opens nothing.
// bad_request: it is of no known kind, or lacks something; the message says what.
Result<void> check_store_url(const std::string& url);
// The same, and what the disk or the credentials refuse.
Result<std::unique_ptr<Store>> open_store(net::Loop& loop, const OpenStoreOptions& options);

}  // namespace nimbus::blob
