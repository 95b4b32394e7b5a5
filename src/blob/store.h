// Bytes by digest, on local disk (`file:PATH`) or in an S3 bucket. A blob is there whole or not at
// all: it is written beside its place while its digest is computed, made durable, then given its
// name. Reading never sees a part, a second upload of the same bytes is a success.
//
// The store knows no org: who may see a blob, and which blobs nobody needs, is the catalog's
// (catalog.h); how much anybody may write is quota.h.
//
// Threads: the loop's; disk and hashing run on the loop's blocking threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"
#include "blob/digest.h"
#include "blob/pins.h"
#include "net/file_response.h"
#include "net/loop.h"

namespace nimbus::blob {

struct BlobInfo {
  Digest digest;
  int64_t size = 0;
};

// A part of an upload, for `arrange`.
struct Extent {
  int64_t offset = 0;
  int64_t size = 0;
};

// A blob open for reading; stays readable when the blob is removed meanwhile.
class OpenBlob {
 public:
  virtual ~OpenBlob() = default;
  const BlobInfo& info() const { return info_; }
  // The answer to a GET or HEAD: ranges, If-None-Match, sendfile.
  virtual net::Response respond(const net::Request& request,
                                const net::FileAnswer& answer) const = 0;
  // The whole content. too_large: over `bytes_max`. corrupt: shorter than it was.
  virtual Task<Result<std::string>> read_all(size_t bytes_max) const = 0;

 protected:
  explicit OpenBlob(BlobInfo info) : info_(std::move(info)) {}

 private:
  BlobInfo info_;
};

// Bytes on their way in. Destroyed without `commit` or `suspend`, it leaves nothing behind. Calls
// may overlap (chunks that arrive on several connections), but none may be under way when it is
// destroyed or committed.
class Upload {
 public:
  virtual ~Upload() = default;
  virtual const std::string& id() const = 0;
  virtual int64_t size() const = 0;  // where `write` appends
  // Takes the bytes; returns when there is room for more, which is the caller's back-pressure. What
  // goes wrong with the disk is told by a later call. insufficient_storage: the disk is full.
  // Pieces of 256 KiB and more go fastest.
  virtual Task<Result<void>> write(std::string bytes) = 0;
  // The same at an offset, in any order; what is written twice holds the later bytes. Gaps are
  // refused by `commit` (bad_request). Bytes out of order are read back once for the digest.
  virtual Task<Result<void>> write_at(int64_t offset, std::string bytes) = 0;
  // Makes the content the concatenation of `parts` (which lie within what was written). Costs
  // nothing when they are in order and complete, else one copy.
  virtual Task<Result<void>> arrange(std::vector<Extent> parts) = 0;
  // Durable and visible under its digest, and pinned against collection until this Upload is
  // destroyed: hold it (catalog.h) before that. bad_request: the bytes are not `want`'s, or have
  // gaps; nothing is kept. Call it once, last.
  virtual Task<Result<BlobInfo>> commit(std::optional<Digest> want) = 0;
  // Makes what came so far survive this object, for `Store::resume`; only of resumable uploads.
  virtual Task<Result<void>> suspend() = 0;
  // The blob that this upload is to become, readable while it grows (from its start, in order): a
  // reader gets bytes as soon as they are on the disk, but the last one only once `commit` has
  // found the digest right. Otherwise the reader's answer breaks off, so that nobody ever has the
  // whole of what is not `will_be`. Outlives this object.
  virtual std::shared_ptr<const OpenBlob> follow(BlobInfo will_be) = 0;
};

struct UploadOptions {
  Algorithm algorithm = Algorithm::sha256;  // a `want` of another costs one more read
  bool resumable = false;                   // may be suspended; expires when idle
};

enum class Health { good, rotten, missing };

struct StoreSpace {
  int64_t free_bytes = 0;   // that this process may still fill; a bucket's is without bound
  int64_t total_bytes = 0;  // 0: without bound
};

class Store {
 public:
  virtual ~Store() = default;

  virtual Task<Result<std::unique_ptr<Upload>>> begin(UploadOptions options) = 0;
  // A suspended upload, also after a restart. not_found: unknown or expired; conflict:
  // another request writes to it.
  virtual Task<Result<std::unique_ptr<Upload>>> resume(std::string id) = 0;
  // Ends a suspended upload. not_found as above.
  virtual Task<Result<void>> discard(std::string id) = 0;

  // not_found: no such blob. unavailable: the bucket does not answer.
  virtual Task<Result<std::shared_ptr<const OpenBlob>>> open(Digest digest) = 0;
  // Its size without opening it; not_found as above.
  virtual Task<Result<BlobInfo>> find(Digest digest) = 0;
  // Absent is done. Only for whoever has `pins().begin_removal`.
  virtual Task<Result<void>> remove(Digest digest) = 0;

  // Reads the blob and compares, at most `bytes_per_second` (0: at full speed).
  virtual Task<Result<Health>> verify(Digest digest, int64_t bytes_per_second) = 0;
  // Takes a rotten blob out of its place and keeps it aside for the operator.
  virtual Task<Result<void>> quarantine(Digest digest) = 0;

  // What lies in the store, a page at a time in order of digest, after `after` (none: from the
  // start): for the sweep that finds what the database does not know.
  virtual Task<Result<std::vector<BlobInfo>>> list(std::optional<Digest> after, int limit) = 0;
  // When the blob was stored, for that sweep's grace.
  virtual Task<Result<Time>> stored_at(Digest digest) = 0;
  // Removes uploads and near-cache parts that nobody has written to since `before`; how many.
  virtual Task<Result<int>> expire_uploads(Time before) = 0;

  virtual Task<Result<StoreSpace>> space() = 0;
  // Whether an upload could be stored now: writes to the disk, asks the bucket. Errors as of
  // uploads.
  virtual Task<Result<void>> probe() = 0;
  PinBoard& pins() { return pins_; }

 protected:
  explicit Store(net::Loop& loop) : pins_(loop) {}

 private:
  PinBoard pins_;
};

}  // namespace nimbus::blob
