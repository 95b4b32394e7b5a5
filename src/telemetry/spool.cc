#include "telemetry/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "telemetry/row_binary.h"

namespace nimbus::telemetry {
namespace {

// A frame: magic, payload size, CRC-32 of the payload, payload.
constexpr uint32_t kMagic = 0x314c504e;  // "NPL1"
constexpr size_t kFrameHeadBytes = 12;
constexpr size_t kPayloadBytesMax = size_t{40} << 20;  // more than the writer ever holds
constexpr std::string_view kSuffix = ".spool";
constexpr uint64_t kDeadBytesMax = uint64_t{64} << 20;

uint32_t checksum(std::string_view bytes) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

std::string encode(const Block& block) {
  RowWriter payload;
  payload.u8(static_cast<uint8_t>(block.table));
  payload.u8(block.attempted ? 1 : 0);
  payload.u32(block.rows);
  payload.text(block.token);
  payload.text(block.data);
  RowWriter head;
  head.u32(kMagic);
  head.u32(static_cast<uint32_t>(payload.bytes().size()));
  head.u32(checksum(payload.bytes()));
  return head.take() + payload.bytes();
}

std::optional<Block> decode(std::string_view payload) {
  RowReader reader(payload);
  const auto table = find_table(reader.u8());
  Block block;
  block.attempted = reader.u8() != 0;
  block.rows = reader.u32();
  block.token = reader.text();
  block.data = reader.text();
  if (!table || !reader.ok() || reader.remaining() != 0) return std::nullopt;
  block.table = *table;
  return block;
}

// Reads exactly `size` bytes at `offset`; fewer at the end of the file.
Result<std::string> read_bytes(int fd, uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n =
        pread(fd, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error("reading the spool", errno));
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error("writing the spool", errno));
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

void sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

struct Frame {
  std::optional<Block> block;  // nullopt: spoiled
  uint64_t bytes = 0;          // of the frame; 0: nothing more can be read
};

Result<Frame> read_frame(int fd, uint64_t offset) {
  const std::string head = TRY(read_bytes(fd, offset, kFrameHeadBytes));
  Frame frame;
  if (head.size() < kFrameHeadBytes) return frame;
  RowReader reader(head);
  const uint32_t magic = reader.u32();
  const uint32_t size = reader.u32();
  const uint32_t sum = reader.u32();
  // Without a sound head nothing tells where the next frame begins.
  if (magic != kMagic || size > kPayloadBytesMax) return frame;
  const std::string payload = TRY(read_bytes(fd, offset + kFrameHeadBytes, size));
  if (payload.size() < size) return frame;
  frame.bytes = kFrameHeadBytes + size;
  if (checksum(payload) == sum) frame.block = decode(payload);
  return frame;
}

std::optional<uint64_t> segment_number(std::string_view name) {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size() || number == 0) return std::nullopt;
  return number;
}

}  // namespace

Spool::Spool(std::string directory, uint64_t bytes_max)
    : directory_(std::move(directory)), bytes_max_(bytes_max) {}

Spool::Spool(Spool&& other) noexcept
    : directory_(std::move(other.directory_)),
      bytes_max_(other.bytes_max_),
      bytes_(other.bytes_),
      segments_(std::move(other.segments_)),
      next_number_(other.next_number_),
      fd_(std::exchange(other.fd_, -1)) {}

Spool::~Spool() {
  if (fd_ >= 0) close(fd_);
}

Result<Spool> Spool::open(std::string directory, uint64_t bytes_max) {
  for (const std::string& path : {directory, directory + "/dead"}) {
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      return fail(errno_error("making the spool directory " + path, errno));
    }
  }
  Spool spool(std::move(directory), bytes_max);
  DIR* entries = opendir(spool.directory_.c_str());
  if (entries == nullptr) return fail(errno_error("reading " + spool.directory_, errno));
  while (const dirent* entry = readdir(entries)) {
    const auto number = segment_number(entry->d_name);
    struct stat status {};
    if (!number || stat(spool.path_of(*number).c_str(), &status) != 0) continue;
    spool.segments_.push_back({*number, static_cast<uint64_t>(status.st_size)});
  }
  closedir(entries);
  std::sort(spool.segments_.begin(), spool.segments_.end(),
            [](const Segment& a, const Segment& b) { return a.number < b.number; });
  for (const Segment& segment : spool.segments_) spool.bytes_ += segment.bytes;
  if (!spool.segments_.empty()) spool.next_number_ = spool.segments_.back().number + 1;
  return spool;
}

std::string Spool::path_of(uint64_t segment) const {
  char name[32];
  std::snprintf(name, sizeof(name), "/%012llu", static_cast<unsigned long long>(segment));
  return directory_ + name + std::string(kSuffix);
}

Result<void> Spool::open_segment() {
  const std::string path = path_of(next_number_);
  fd_ = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  if (fd_ < 0) return fail(errno_error("making " + path, errno));
  sync_directory(directory_);
  segments_.push_back({next_number_++, 0});
  return {};
}

Result<std::vector<SpoolPlace>> Spool::append(const std::vector<Block>& blocks) {
  std::string bytes;
  std::vector<uint64_t> offsets;
  for (const Block& block : blocks) {
    offsets.push_back(bytes.size());
    bytes += encode(block);
  }
  if (bytes_ + bytes.size() > bytes_max_) {
    return fail(Code::too_large, "the telemetry spool is full (" + std::to_string(bytes_max_) +
                                     " bytes) while ClickHouse is away");
  }
  if (fd_ >= 0 && segments_.back().bytes >= kSegmentBytesMax) seal();
  if (fd_ < 0) TRY(open_segment());
  Segment& segment = segments_.back();
  auto written = write_all(fd_, bytes);
  if (written && fdatasync(fd_) != 0) written = fail(errno_error("syncing the spool", errno));
  if (!written) {
    // What a failed sync left on disk is unknown, so the segment ends before it.
    if (ftruncate(fd_, static_cast<off_t>(segment.bytes)) == 0) fsync(fd_);
    seal();
    Error error = std::move(written).error();
    error.code = Code::unavailable;
    return fail(std::move(error));
  }
  std::vector<SpoolPlace> places;
  for (const uint64_t offset : offsets) places.push_back({segment.number, segment.bytes + offset});
  segment.bytes += bytes.size();
  bytes_ += bytes.size();
  return places;
}

void Spool::seal() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

std::vector<uint64_t> Spool::sealed() const {
  std::vector<uint64_t> numbers;
  for (const Segment& segment : segments_) numbers.push_back(segment.number);
  if (fd_ >= 0) numbers.pop_back();
  return numbers;
}

Result<uint64_t> Spool::read(uint64_t segment,
                             const std::function<void(SpoolPlace, Block)>& visit) const {
  const int fd = ::open(path_of(segment).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(errno_error("opening " + path_of(segment), errno));
  struct stat status {};
  fstat(fd, &status);
  const auto size = static_cast<uint64_t>(status.st_size);
  uint64_t spoiled = 0;
  uint64_t offset = 0;
  while (offset < size) {
    auto frame = read_frame(fd, offset);
    if (!frame) {
      close(fd);
      return fail(std::move(frame).error());
    }
    if (frame->block) {
      visit({segment, offset}, std::move(*frame->block));
    } else {
      ++spoiled;
    }
    if (frame->bytes == 0) break;
    offset += frame->bytes;
  }
  close(fd);
  return spoiled;
}

Result<Block> Spool::read_at(SpoolPlace place) const {
  const int fd = ::open(path_of(place.segment).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(Code::not_found, "the spool segment is gone");
  auto frame = read_frame(fd, place.offset);
  close(fd);
  if (!frame) return fail(std::move(frame).error());
  if (!frame->block) return fail(Code::corrupt, "a spool frame is spoiled");
  return std::move(*frame->block);
}

Result<void> Spool::remove(uint64_t segment) {
  const auto found = std::find_if(segments_.begin(), segments_.end(),
                                  [segment](const Segment& s) { return s.number == segment; });
  if (found == segments_.end()) return {};
  if (unlink(path_of(segment).c_str()) != 0 && errno != ENOENT) {
    return fail(errno_error("removing " + path_of(segment), errno));
  }
  bytes_ -= std::min(bytes_, found->bytes);
  segments_.erase(found);
  return {};
}

void Spool::bury(const Block& block) {
  const std::string path = directory_ + "/dead/blocks";
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  struct stat status {};
  fstat(fd, &status);
  // Best effort: it is for finding out why, and the loss is counted and logged elsewhere.
  const bool full = static_cast<uint64_t>(status.st_size) > kDeadBytesMax;
  if (full && ftruncate(fd, 0) != 0) {
    close(fd);
    return;
  }
  (void)write_all(fd, encode(block));
  close(fd);
}

}  // namespace nimbus::telemetry
