// An upload into a file of the store's `uploads` folder (upload_file.h), from its first byte to the
// digest's name.
//
// Threads: the loop's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "blob/store.h"

namespace nimbus::blob {

class UploadFile;

// Where an upload's file goes when it is complete, and what becomes of a suspended one.
class UploadPlace {
 public:
  virtual ~UploadPlace() = default;
  // The directory of the unfinished files.
  virtual const std::string& uploads_directory() const = 0;
  // Gives the durable file at `path` its name. Blocking.
  virtual Result<void> place(const std::string& path, const BlobInfo& blob) = 0;
  virtual void keep_suspended(std::shared_ptr<UploadFile> file) = 0;
};

class DiskUpload final : public Upload {
 public:
  DiskUpload(net::Loop& loop, PinBoard& pins, UploadPlace& place, std::shared_ptr<UploadFile> file);
  ~DiskUpload() override;

  const std::string& id() const override;
  int64_t size() const override;
  Task<Result<void>> write(std::string bytes) override;
  Task<Result<void>> write_at(int64_t offset, std::string bytes) override;
  Task<Result<void>> arrange(std::vector<Extent> parts) override;
  Task<Result<BlobInfo>> commit(std::optional<Digest> want) override;
  Task<Result<void>> suspend() override;
  std::shared_ptr<const OpenBlob> follow(BlobInfo will_be) override;

 private:
  net::Loop& loop_;
  PinBoard& pins_;
  UploadPlace& place_;
  std::shared_ptr<UploadFile> file_;
  Pin pin_;
};

}  // namespace nimbus::blob
