// The store in an S3 bucket: `PREFIX/sha256/ab/<hex>`, with a DiskStore on this machine in front.
// An upload is written and hashed on the local disk, then sent, in parts when it is large; it is
// committed once the bucket has it. A blob that is read is fetched once, however many ask for it
// together, checked against its digest, and kept near until the near cache is over its bound. Those
// who ask read it while it comes, each at its own pace; it goes on coming when they leave.
//
// A bucket that does not answer: what is near is still served, the rest fails with `unavailable`.
//
// Threads: the loop's.
#pragma once

#include <list>
#include <map>
#include <memory>

#include "blob/disk_store.h"
#include "blob/s3_client.h"

namespace nimbus::blob {

class S3Store final : public Store {
 public:
  struct Options {
    int64_t near_bytes_max = int64_t{20} << 30;
  };
  S3Store(net::Loop& loop, std::unique_ptr<DiskStore> near, std::unique_ptr<S3Client> bucket,
          Options options);
  ~S3Store() override;

  Task<Result<std::unique_ptr<Upload>>> begin(UploadOptions options) override;
  Task<Result<std::unique_ptr<Upload>>> resume(std::string id) override;
  Task<Result<void>> discard(std::string id) override { return near_->discard(std::move(id)); }
  Task<Result<std::shared_ptr<const OpenBlob>>> open(Digest digest) override;
  Task<Result<BlobInfo>> find(Digest digest) override;
  Task<Result<void>> remove(Digest digest) override;
  // Reads the near copy, when there is one, and the bucket's object. A checksum that the bucket
  // keeps says what it was sent and not what it would send, is of parts when there were several,
  // and not every bucket keeps one: so the bytes are read.
  Task<Result<Health>> verify(Digest digest, int64_t bytes_per_second) override;
  Task<Result<void>> quarantine(Digest digest) override;
  Task<Result<std::vector<BlobInfo>>> list(std::optional<Digest> after, int limit) override;
  Task<Result<Time>> stored_at(Digest digest) override;
  Task<Result<int>> expire_uploads(Time before) override;
  Task<Result<StoreSpace>> space() override { return without_bound(); }
  Task<Result<void>> probe() override;

  // Sends what the near store holds of the blob, unless the bucket has it. For S3Upload.
  Task<Result<void>> send(BlobInfo blob);

 private:
  struct Fill;
  struct Near;
  static Task<Result<StoreSpace>> without_bound() { co_return StoreSpace{}; }
  static Task<void> fill(S3Store* store, std::shared_ptr<Fill> fill);
  Task<Result<BlobInfo>> copy_near(Fill& fill);
  Task<Result<std::shared_ptr<const OpenBlob>>> fetch(Digest digest);
  Task<Result<void>> learn_near();
  void note_near(const Digest& digest, int64_t size);
  void forget_near(const Digest& digest);
  Task<void> shrink_near();

  net::Loop& loop_;
  std::unique_ptr<DiskStore> near_;
  std::unique_ptr<S3Client> bucket_;
  Options options_;
  std::map<Digest, std::shared_ptr<Fill>> fills_;
  std::unique_ptr<Near> kept_;
};

}  // namespace nimbus::blob
