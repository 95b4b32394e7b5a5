// What signed URLs lead to: uploads as the Azure SDK makes them (Put Blob, Put Block, Put Block
// List), downloads with ranges (Range, or the SDK's x-ms-range).
//
// Threads: the loop's.
#pragma once

#include "cache/core.h"
#include "cache/upload_book.h"
#include "net/router.h"

namespace nimbus::cache {

class BlobRoutes {
 public:
  BlobRoutes(Core& core, UploadBook& uploads) : core_(core), uploads_(uploads) {}
  void add_to(net::Router& router);

 private:
  Task<net::Response> upload(net::Request& request);
  Task<Result<void>> take(UploadSession& session, net::Request& request);
  Task<net::Response> download_entry(net::Request& request);
  Task<net::Response> download_artifact(net::Request& request);

  Core& core_;
  UploadBook& uploads_;
};

// The answer that sends a blob's bytes, counted. not_found: the bytes are gone.
Task<Result<net::Response>> send_blob(Core& core, Traffic& traffic, const net::Request& request,
                                      blob::Digest digest, net::FileAnswer answer);
// Forgets an entry whose bytes are gone (the scrubber took them out), so that it is made again.
Task<void> drop_entry(Core& core, Entry entry);

// The length that the request announces; nullopt: it comes in chunks.
std::optional<int64_t> content_length(const net::Request& request);

}  // namespace nimbus::cache
