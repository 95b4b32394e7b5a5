#include "blob/upload_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "blob/disk_errors.h"
#include "blob/open_file.h"

namespace nimbus::blob {
namespace {

// Longer than any disk is expected to take for one piece; waiting only begins anew.
constexpr Duration kProgressPoll = std::chrono::seconds(30);
// The kernel is told to begin writing back this often, so that the last fsync has little left.
constexpr int64_t kWriteBackBytes = int64_t{8} << 20;
constexpr size_t kReadBackBytes = size_t{1} << 20;

Result<void> write_all(int fd, std::string_view bytes, int64_t offset) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(disk_error("writing an upload", errno));
    bytes.remove_prefix(static_cast<size_t>(put));
    offset += put;
  }
  return {};
}

bool is_concatenation(const std::vector<Extent>& parts, int64_t size) {
  int64_t at = 0;
  for (const Extent& part : parts) {
    if (part.offset != at) return false;
    at += part.size;
  }
  return at == size;
}

}  // namespace

UploadFile::UploadFile(std::shared_ptr<UploadQueues> queues, std::string id, Algorithm algorithm)
    : queues_(std::move(queues)),
      loop_(queues_->loop),
      id_(std::move(id)),
      algorithm_(algorithm),
      hasher_(Hasher(algorithm)),
      progress_(loop_) {}

UploadFile::~UploadFile() {
  hold(-queued_memory_);
  if (fd_ && !kept_) ::unlink(path().c_str());
}

Result<std::shared_ptr<UploadFile>> UploadFile::find(std::shared_ptr<UploadQueues> queues,
                                                     std::string id) {
  auto file = std::make_shared<UploadFile>(std::move(queues), std::move(id), Algorithm::sha256);
  file->fd_.reset(::open(file->path().c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!file->fd_) return fail(disk_error("resuming an upload", errno));
  file->kept_ = true;  // until it is known to be good
  struct stat status{};
  if (::fstat(file->fd_.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return fail(Code::not_found, "resuming an upload: it is not a file");
  }
  file->kept_ = false;
  file->size_ = status.st_size;
  if (file->size_ > 0) {
    file->cover(0, file->size_);
    file->hasher_.reset();
  }
  return file;
}

Task<Result<void>> UploadFile::write_at(int64_t offset, std::string bytes) {
  const auto self = shared_from_this();
  if (offset < 0) co_return fail(Code::bad_request, "a part of an upload begins before it");
  const auto count = static_cast<int64_t>(bytes.size());
  const auto memory = static_cast<int64_t>(bytes.capacity());
  if (count > 0 && first_) submit(0, *std::exchange(first_, std::nullopt));
  while (!failure_ && !has_room(memory)) {
    co_await progress_.wait(kProgressPoll);
  }
  if (failure_) co_return fail(*failure_);
  if (bytes.empty()) co_return Result<void>();
  size_ = std::max(size_, offset + count);
  if (!shown_ && !fd_ && !first_ && to_write_.empty() && !writing_ && offset == 0 &&
      written_.empty()) {
    cover(0, count);
    first_ = std::move(bytes);
    hold(memory);
    co_return Result<void>();
  }
  cover(offset, offset + count);
  hold(memory);
  submit(offset, std::move(bytes));
  co_return Result<void>();
}

// An upload that holds nothing always has room, so its own progress is all it waits for.
bool UploadFile::has_room(int64_t memory) const {
  if (queued_memory_ == 0) return true;
  const int64_t most =
      queues_->bytes > kAllQueuesBytes ? kUploadQueueLeastBytes : kUploadQueueBytes;
  return queued_memory_ + memory <= most;
}

void UploadFile::hold(int64_t memory) {
  queued_memory_ += memory;
  queues_->bytes += memory;
}

// The memory is held already.
void UploadFile::submit(int64_t offset, std::string bytes) {
  const auto count = static_cast<int64_t>(bytes.size());
  auto piece = std::make_shared<Piece>(Piece{offset, std::move(bytes), 1});
  if (hasher_ && offset == hashed_to_) {
    piece->uses = 2;
    hashed_to_ += count;
    to_hash_.push_back(piece);
    start_hashing();
  } else if (hasher_ && !hashing_ && to_hash_.empty()) {
    hasher_.reset();
  } else {
    hashed_to_ = -1;  // no offset matches any more; finish reads back
  }
  to_write_.push_back(std::move(piece));
  start_writing();
}

void UploadFile::start_writing() {
  if (std::exchange(writing_, true)) return;
  loop_.spawn(write_queue(), "upload write");
}

void UploadFile::start_hashing() {
  if (std::exchange(hashing_, true)) return;
  loop_.spawn(hash_queue(), "upload hash");
}

Task<void> UploadFile::write_queue() {
  const auto self = shared_from_this();
  while (!to_write_.empty()) {
    const Pieces pieces = std::exchange(to_write_, {});
    if (!failure_) {
      std::function<Result<void>()> call = [self, &pieces] { return self->write_pieces(pieces); };
      const Result<void> done = co_await loop_.blocking(std::move(call));
      if (!done) failure_ = done.error();
    }
    for (const auto& piece : pieces) {
      if (failure_ || piece->offset != on_disk_to_) continue;
      on_disk_to_ += static_cast<int64_t>(piece->bytes.size());
    }
    done_with(pieces);
  }
  writing_ = false;
  progress_.notify_all();
}

Task<void> UploadFile::hash_queue() {
  const auto self = shared_from_this();
  while (!to_hash_.empty()) {
    const Pieces pieces = std::exchange(to_hash_, {});
    if (!failure_) {
      std::function<void()> call = [self, &pieces] {
        for (const auto& piece : pieces) self->hasher_->update(piece->bytes);
      };
      co_await loop_.run_blocking(std::move(call));
    }
    done_with(pieces);
  }
  hashing_ = false;
  progress_.notify_all();
}

void UploadFile::done_with(const Pieces& pieces) {
  for (const auto& piece : pieces) {
    if (--piece->uses > 0) continue;
    hold(-piece->memory);
    piece->bytes = {};
  }
  progress_.notify_all();
}

void UploadFile::cover(int64_t begin, int64_t end) {
  if (!written_.empty() && written_.back().offset + written_.back().size == begin) {
    written_.back().size += end - begin;
    return;
  }
  std::vector<Extent> merged;
  for (const Extent& part : written_) {
    const int64_t part_end = part.offset + part.size;
    if (part_end < begin || part.offset > end) {
      merged.push_back(part);
    } else {
      begin = std::min(begin, part.offset);
      end = std::max(end, part_end);
    }
  }
  const auto place = std::find_if(merged.begin(), merged.end(),
                                  [&](const Extent& part) { return part.offset > begin; });
  merged.insert(place, Extent{begin, end - begin});
  written_ = std::move(merged);
}

bool UploadFile::is_whole() const {
  if (size_ == 0) return true;
  return written_.size() == 1 && written_[0].offset == 0 && written_[0].size == size_;
}

Result<void> UploadFile::open_file() {
  if (fd_) return {};
  fd_.reset(::open(path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd_) return fail(disk_error("making an upload's file", errno));
  return {};
}

Result<void> UploadFile::write_pieces(const Pieces& pieces) {
  TRY(open_file());
  for (const auto& piece : pieces) {
    TRY(write_all(fd_.get(), piece->bytes, piece->offset));
    const int64_t end = piece->offset + static_cast<int64_t>(piece->bytes.size());
    if (end - flushed_to_ < kWriteBackBytes) continue;
    ::sync_file_range(fd_.get(), flushed_to_, end - flushed_to_, SYNC_FILE_RANGE_WRITE);
    flushed_to_ = end;
  }
  return {};
}

Task<Result<void>> UploadFile::drain() {
  const auto self = shared_from_this();
  if (first_) submit(0, *std::exchange(first_, std::nullopt));
  while (writing_ || hashing_) co_await progress_.wait(kProgressPoll);
  if (!failure_ && !fd_) {
    std::function<Result<void>()> call = [self] { return self->open_file(); };
    const Result<void> made = co_await loop_.blocking(std::move(call));
    if (!made) failure_ = made.error();
  }
  if (failure_) co_return fail(*failure_);
  co_return Result<void>();
}

Task<Result<Digest>> UploadFile::finish(Algorithm algorithm) {
  const auto self = shared_from_this();
  if (!is_whole()) co_return fail(Code::bad_request, "the upload has gaps");
  if (first_ && algorithm == algorithm_) {
    // One piece, one turn on a blocking thread.
    const auto piece = std::make_shared<Piece>(Piece{0, *std::exchange(first_, std::nullopt), 1});
    const Pieces pieces{piece};
    std::function<Result<Digest>()> call = [self, &pieces]() -> Result<Digest> {
      TRY(self->write_pieces(pieces));
      self->hasher_->update(pieces[0]->bytes);
      return self->hasher_->finish();
    };
    Result<Digest> digest = co_await loop_.blocking(std::move(call));
    if (!digest) failure_ = digest.error();
    done_with(pieces);
    co_return digest;
  }
  CO_TRY(co_await drain());
  if (hasher_ && hashed_to_ == size_ && algorithm == algorithm_) co_return hasher_->finish();
  std::function<Result<Digest>()> call = [self, algorithm] {
    return self->read_back(algorithm, self->size_);
  };
  co_return co_await loop_.blocking(std::move(call));
}

Result<Digest> UploadFile::read_back(Algorithm algorithm, int64_t size) {
  Hasher hasher(algorithm);
  std::string piece(kReadBackBytes, '\0');
  for (int64_t at = 0; at < size;) {
    const ssize_t got = ::pread(fd_.get(), piece.data(), piece.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(disk_error("reading an upload back", errno));
    if (got == 0) return fail(Code::corrupt, "reading an upload back: it is too short");
    hasher.update({piece.data(), static_cast<size_t>(got)});
    at += got;
  }
  return hasher.finish();
}

Task<Result<void>> UploadFile::arrange(std::vector<Extent> parts) {
  const auto self = shared_from_this();
  int64_t total = 0;
  for (const Extent& part : parts) {
    const bool inside = std::any_of(written_.begin(), written_.end(), [&](const Extent& written) {
      return part.offset >= written.offset &&
             part.offset + part.size <= written.offset + written.size;
    });
    if (part.size < 0 || (!inside && part.size > 0)) {
      co_return fail(Code::bad_request, "a part names bytes that were not uploaded");
    }
    total += part.size;
  }
  if (is_concatenation(parts, size_)) co_return Result<void>();
  CO_TRY(co_await drain());
  std::function<Result<void>()> call = [self, &parts] { return self->copy_parts(parts); };
  const Result<void> copied = co_await loop_.blocking(std::move(call));
  if (!copied) {
    failure_ = copied.error();
    co_return copied;
  }
  hasher_.reset();
  size_ = total;
  written_.clear();
  if (total > 0) cover(0, total);
  co_return Result<void>();
}

Result<void> UploadFile::copy_parts(const std::vector<Extent>& parts) {
  const std::string copy = path() + ".parts";
  os::UniqueFd to(::open(copy.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to) return fail(disk_error("putting an upload's parts in order", errno));
  Result<void> outcome;
  off_t at = 0;
  for (const Extent& part : parts) {
    off_t from = part.offset;
    for (int64_t left = part.size; left > 0 && outcome;) {
      const ssize_t put =
          ::copy_file_range(fd_.get(), &from, to.get(), &at, static_cast<size_t>(left), 0);
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) {
        outcome = fail(disk_error("putting an upload's parts in order", put < 0 ? errno : EIO));
        break;
      }
      left -= put;
    }
    if (!outcome) break;
  }
  if (outcome && ::rename(copy.c_str(), path().c_str()) != 0) {
    outcome = fail(disk_error("putting an upload's parts in order", errno));
  }
  if (!outcome) {
    ::unlink(copy.c_str());
    return outcome;
  }
  fd_ = std::move(to);
  return outcome;
}

void UploadFile::show() {
  shown_ = true;
  given_up_ = false;
  if (first_) submit(0, *std::exchange(first_, std::nullopt));
}

void UploadFile::verified() {
  verified_ = true;
  progress_.notify_all();
}

void UploadFile::give_up() {
  given_up_ = !verified_;
  progress_.notify_all();
}

bool UploadFile::read(int64_t offset, std::string& into) const {
  return read_fully(fd_.get(), offset, into);
}

Result<void> UploadFile::sync() {
  if (::fdatasync(fd_.get()) != 0) return fail(disk_error("making an upload durable", errno));
  return {};
}

}  // namespace nimbus::blob
