#include "blob/growing_file.h"

namespace nimbus::blob {
namespace {

constexpr size_t kPieceBytes = size_t{256} * 1024;
// Waiting only begins anew: whoever writes has deadlines of its own.
constexpr Duration kProgressPoll = std::chrono::seconds(30);

}  // namespace

bool GrowingFile::is_whole() const { return file_->is_verified() && file_->size() == info().size; }

bool GrowingFile::is_lost() const {
  if (file_->is_verified()) return file_->size() != info().size;
  return file_->is_given_up() || file_->on_disk() > info().size;
}

int64_t GrowingFile::readable_to() const {
  return is_whole() ? info().size : std::min(file_->on_disk(), info().size - 1);
}

Task<bool> GrowingFile::read(int64_t offset, std::string& into) const {
  std::function<bool()> call = [file = file_, offset, &into] { return file->read(offset, into); };
  co_return co_await loop_.blocking(std::move(call));
}

net::Response GrowingFile::respond(const net::Request& request,
                                   const net::FileAnswer& answer) const {
  if (is_whole()) {
    const net::FileBody whole{file_->descriptor(), file_, 0, static_cast<uint64_t>(info().size)};
    return net::file_response(request, whole, answer);
  }
  const auto size = static_cast<uint64_t>(info().size);
  const net::RangeChoice choice = net::choose_range(request, size, answer.etag);
  net::Response response = net::range_head(choice, size, answer);
  if (choice.status != 200 && choice.status != 206) return response;
  response.stream_bytes = choice.size;
  response.stream = [self = shared_from_this(), choice](net::BodyWriter& to) {
    return send(self, choice, to);
  };
  return response;
}

Task<void> GrowingFile::send(std::shared_ptr<const GrowingFile> self, net::RangeChoice part,
                             net::BodyWriter& to) {
  UploadFile& file = *self->file_;
  to.on_gone([woken = self->file_] { woken->progress().notify_all(); });
  auto at = static_cast<int64_t>(part.offset);
  const int64_t end = at + static_cast<int64_t>(part.size);
  while (at < end && !to.peer_gone() && !self->is_lost()) {
    const int64_t ready = std::min(end, self->readable_to());
    if (ready <= at) {
      (void)co_await file.progress().wait(kProgressPoll);
      continue;
    }
    std::string piece(std::min(kPieceBytes, static_cast<size_t>(ready - at)), '\0');
    if (!co_await self->read(at, piece)) break;
    at += static_cast<int64_t>(piece.size());
    const Result<void> written = co_await to.write(piece);
    if (!written) co_return;
  }
  if (at < end) to.break_off();
}

Task<Result<std::string>> GrowingFile::read_all(size_t bytes_max) const {
  if (info().size > static_cast<int64_t>(bytes_max)) {
    co_return fail(Code::too_large, "the blob is over " + std::to_string(bytes_max) + " bytes");
  }
  const auto self = shared_from_this();
  while (!self->is_whole()) {
    if (self->is_lost()) co_return fail(Code::unavailable, "the blob did not come to its end");
    (void)co_await self->file_->progress().wait(kProgressPoll);
  }
  std::string content(static_cast<size_t>(self->info().size), '\0');
  if (!co_await self->read(0, content)) {
    co_return fail(Code::corrupt, "the blob is shorter than it was");
  }
  co_return content;
}

}  // namespace nimbus::blob
