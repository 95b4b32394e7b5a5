#include "blob/open_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "blob/disk_errors.h"

namespace nimbus::blob {

Result<std::shared_ptr<const OpenFile>> OpenFile::open(net::Loop& loop, const std::string& path,
                                                       const Digest& digest) {
  os::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0) return fail(disk_error("opening a blob", errno));
  return std::make_shared<const OpenFile>(loop, std::move(fd), BlobInfo{digest, status.st_size});
}

net::FileBody OpenFile::body() const {
  return {fd_.get(), shared_from_this(), 0, static_cast<uint64_t>(info().size)};
}

net::Response OpenFile::respond(const net::Request& request, const net::FileAnswer& answer) const {
  return net::file_response(request, body(), answer);
}

bool read_fully(int fd, int64_t offset, std::string& into) {
  size_t done = 0;
  while (done < into.size()) {
    const ssize_t got =
        ::pread(fd, into.data() + done, into.size() - done, offset + static_cast<int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  return true;
}

Task<Result<std::string>> OpenFile::read_all(size_t bytes_max) const {
  if (info().size > static_cast<int64_t>(bytes_max)) {
    co_return fail(Code::too_large, "the blob is over " + std::to_string(bytes_max) + " bytes");
  }
  const auto self = shared_from_this();
  std::string content(static_cast<size_t>(info().size), '\0');
  std::function<bool()> call = [&self, &content] { return self->read(0, content); };
  if (!co_await loop_.blocking(std::move(call))) {
    co_return fail(Code::corrupt, "the blob is shorter than it was");
  }
  co_return content;
}

}  // namespace nimbus::blob
