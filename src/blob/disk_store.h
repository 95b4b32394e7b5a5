// The store on a local disk:
//
//   DIRECTORY/sha256/ab/<hex>   the blobs
//   DIRECTORY/uploads/<id>      unfinished ones; resumable ids begin with `r`
//   DIRECTORY/quarantine/       rotten ones
//
// A commit is fdatasync of the file, a rename, and fsync of its directory. Blobs that are read
// often stay open.
//
// Threads: the loop's. One process at a time uses a directory.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/random.h"
#include "blob/disk_upload.h"
#include "blob/store.h"

namespace nimbus::blob {

struct UploadQueues;

class DiskStore final : public Store, private UploadPlace {
 public:
  struct Options {
    std::string directory;
    Random& random = system_random();
    size_t open_blobs_max = 512;
    // Whether it is this process's: otherwise another one's uploads are left alone.
    bool owner = true;
  };
  // Makes the directories and removes what a crash left of uploads that nobody can resume.
  // Blocking. internal, insufficient_storage: the disk refuses.
  static Result<std::unique_ptr<DiskStore>> open_directory(net::Loop& loop, Options options);
  ~DiskStore() override;

  Task<Result<std::unique_ptr<Upload>>> begin(UploadOptions options) override;
  Task<Result<std::unique_ptr<Upload>>> resume(std::string id) override;
  Task<Result<void>> discard(std::string id) override;
  Task<Result<std::shared_ptr<const OpenBlob>>> open(Digest digest) override;
  Task<Result<BlobInfo>> find(Digest digest) override;
  Task<Result<void>> remove(Digest digest) override;
  Task<Result<Health>> verify(Digest digest, int64_t bytes_per_second) override;
  Task<Result<void>> quarantine(Digest digest) override;
  Task<Result<std::vector<BlobInfo>>> list(std::optional<Digest> after, int limit) override;
  Task<Result<Time>> stored_at(Digest digest) override;
  Task<Result<int>> expire_uploads(Time before) override;
  Task<Result<StoreSpace>> space() override;
  Task<Result<void>> probe() override;

  std::string path_of(const Digest& digest) const;

 private:
  DiskStore(net::Loop& loop, Options options);
  const std::string& uploads_directory() const override { return uploads_; }
  Result<void> place(const std::string& path, const BlobInfo& blob) override;
  void keep_suspended(std::shared_ptr<UploadFile> file) override;
  void forget_open(const Digest& digest);

  struct OpenFiles;
  net::Loop& loop_;
  Options options_;
  std::string uploads_;
  std::shared_ptr<UploadQueues> queues_;
  std::map<std::string, std::shared_ptr<UploadFile>> suspended_;
  std::map<std::string, std::weak_ptr<UploadFile>> resumable_;  // of this process
  std::unique_ptr<OpenFiles> open_files_;
};

}  // namespace nimbus::blob
