// A blob that is still being written to the local disk, open for reading (Upload::follow). Readers
// follow the file at their own pace and never slow the writer. Private to this folder.
//
// Threads: the loop's.
#pragma once

#include <memory>
#include <string>

#include "blob/store.h"
#include "blob/upload_file.h"

namespace nimbus::blob {

class GrowingFile final : public OpenBlob, public std::enable_shared_from_this<GrowingFile> {
 public:
  GrowingFile(net::Loop& loop, std::shared_ptr<UploadFile> file, BlobInfo will_be)
      : OpenBlob(std::move(will_be)), loop_(loop), file_(std::move(file)) {}

  // The answer's bytes come as they come; it breaks off when the rest never comes, or when the
  // whole is not what it should be.
  net::Response respond(const net::Request& request, const net::FileAnswer& answer) const override;
  // Waits for the whole. unavailable: it never came, or was not what it should be.
  Task<Result<std::string>> read_all(size_t bytes_max) const override;

 private:
  static Task<void> send(std::shared_ptr<const GrowingFile> self, net::RangeChoice part,
                         net::BodyWriter& to);
  bool is_whole() const;        // and verified
  bool is_lost() const;         // will never be whole
  int64_t readable_to() const;  // how far from the start readers may go now
  Task<bool> read(int64_t offset, std::string& into) const;

  net::Loop& loop_;
  std::shared_ptr<UploadFile> file_;
};

}  // namespace nimbus::blob
