// A blob that is a file of the local disk, open for reading. Private to this folder.
// Threads: any; `read` and `open` block.
#pragma once

#include <memory>
#include <string>

#include "blob/store.h"
#include "os/unique_fd.h"

namespace nimbus::blob {

// Fills `into` from `offset`; false: the disk cannot, or the file is too short. Blocking.
bool read_fully(int fd, int64_t offset, std::string& into);

class OpenFile final : public OpenBlob, public std::enable_shared_from_this<OpenFile> {
 public:
  // not_found: absent.
  static Result<std::shared_ptr<const OpenFile>> open(net::Loop& loop, const std::string& path,
                                                      const Digest& digest);
  OpenFile(net::Loop& loop, os::UniqueFd fd, BlobInfo info)
      : OpenBlob(std::move(info)), loop_(loop), fd_(std::move(fd)) {}

  net::Response respond(const net::Request& request, const net::FileAnswer& answer) const override;
  Task<Result<std::string>> read_all(size_t bytes_max) const override;
  net::FileBody body() const;  // all of it
  bool read(int64_t offset, std::string& into) const { return read_fully(fd_.get(), offset, into); }

 private:
  net::Loop& loop_;
  os::UniqueFd fd_;
};

}  // namespace nimbus::blob
