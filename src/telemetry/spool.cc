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

#include "base/random.h"
#include "telemetry/row_binary.h"

namespace nimbus::telemetry {
namespace {

// A frame: mark, payload size, CRC-32 of the payload, CRC-32 of the head so far, payload. The mark
// is the segment's own random number, from its file's name: after a spoiled head the next frame is
// found by it, and nobody who sends us bytes can know it and smuggle a frame in.
constexpr size_t kFrameHeadBytes = 20;
constexpr size_t kPayloadBytesMax = size_t{40} << 20;  // more than the writer ever holds
constexpr std::string_view kSuffix = ".spool";
constexpr uint64_t kDeadBytesMax = uint64_t{64} << 20;

uint32_t checksum(std::string_view bytes) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

std::string encode(const Block& block, uint64_t mark) {
  RowWriter payload;
  payload.u8(static_cast<uint8_t>(block.table));
  payload.u8(block.attempted ? 1 : 0);
  payload.u32(block.rows);
  payload.text(block.token);
  payload.text(block.data);
  RowWriter head;
  head.u64(mark);
  head.u32(static_cast<uint32_t>(payload.bytes().size()));
  head.u32(checksum(payload.bytes()));
  head.u32(checksum(head.bytes()));
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

struct SpoolFile {
  uint64_t number = 0;
  uint64_t mark = 0;
  std::string name;
};

struct Frame {
  std::optional<Block> block;  // nullopt: spoiled
  uint64_t bytes = 0;          // of the frame; 0: its head is spoiled, or it is cut short
};

Result<Frame> read_frame(int fd, uint64_t offset, uint64_t mark) {
  const std::string head = TRY(read_bytes(fd, offset, kFrameHeadBytes));
  Frame frame;
  if (head.size() < kFrameHeadBytes) return frame;
  RowReader reader(head);
  const uint64_t found = reader.u64();
  const uint32_t size = reader.u32();
  const uint32_t sum = reader.u32();
  const bool sound =
      found == mark && size <= kPayloadBytesMax &&
      reader.u32() == checksum(std::string_view(head).substr(0, kFrameHeadBytes - 4));
  if (!sound) return frame;
  const std::string payload = TRY(read_bytes(fd, offset + kFrameHeadBytes, size));
  if (payload.size() < size) return frame;
  frame.bytes = kFrameHeadBytes + size;
  if (checksum(payload) == sum) frame.block = decode(payload);
  return frame;
}

// Where a frame may begin after a head that is spoiled; `size` when there is none.
Result<uint64_t> find_frame(int fd, uint64_t offset, uint64_t size, uint64_t wanted) {
  RowWriter mark;
  mark.u64(wanted);
  constexpr size_t kStep = size_t{1} << 20;
  while (offset < size) {
    const std::string bytes = TRY(read_bytes(fd, offset, kStep + mark.bytes().size() - 1));
    const size_t found = bytes.find(mark.bytes());
    if (found != std::string::npos) return offset + found;
    offset += kStep;
  }
  return size;
}

// "000000000012-0123456789abcdef.spool": number and mark.
std::optional<SpoolFile> parse_name(std::string_view name) {
  constexpr size_t kNumberDigits = 12;
  constexpr size_t kMarkDigits = 16;
  if (name.size() != kNumberDigits + 1 + kMarkDigits + kSuffix.size() || !name.ends_with(kSuffix)) {
    return std::nullopt;
  }
  SpoolFile file;
  const char* const number_end = name.data() + kNumberDigits;
  const char* const mark_end = number_end + 1 + kMarkDigits;
  const auto number = std::from_chars(name.data(), number_end, file.number);
  const auto mark = std::from_chars(number_end + 1, mark_end, file.mark, 16);
  const bool good = number.ptr == number_end && mark.ptr == mark_end && file.number > 0;
  if (!good) return std::nullopt;
  file.name = name;
  return file;
}

std::vector<SpoolFile> list_files(const std::string& directory) {
  std::vector<SpoolFile> files;
  DIR* entries = opendir(directory.c_str());
  if (entries == nullptr) return files;
  while (const dirent* entry = readdir(entries)) {
    if (auto file = parse_name(entry->d_name)) files.push_back(std::move(*file));
  }
  closedir(entries);
  return files;
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
  for (const SpoolFile& file : list_files(spool.directory_)) {
    struct stat status{};
    if (stat((spool.directory_ + "/" + file.name).c_str(), &status) != 0) continue;
    spool.segments_.push_back({file.number, file.mark, static_cast<uint64_t>(status.st_size)});
  }
  std::sort(spool.segments_.begin(), spool.segments_.end(),
            [](const Segment& a, const Segment& b) { return a.number < b.number; });
  for (const Segment& segment : spool.segments_) spool.bytes_ += segment.bytes;
  if (!spool.segments_.empty()) spool.next_number_ = spool.segments_.back().number + 1;
  return spool;
}

std::string Spool::path_of(uint64_t number, uint64_t mark) const {
  char name[40];
  std::snprintf(name, sizeof(name), "/%012llu-%016llx", static_cast<unsigned long long>(number),
                static_cast<unsigned long long>(mark));
  return directory_ + name + std::string(kSuffix);
}

// By the directory alone: readers share nothing with the writer.
Result<Spool::Opened> Spool::open_for_reading(uint64_t number) const {
  for (const SpoolFile& file : list_files(directory_)) {
    if (file.number != number) continue;
    const std::string path = directory_ + "/" + file.name;
    Opened opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC), file.mark};
    if (opened.fd >= 0) return opened;
    if (errno != ENOENT) return fail(errno_error("opening " + path, errno));
  }
  return fail(Code::not_found, "the spool segment is gone");
}

Result<void> Spool::open_segment() {
  const uint64_t mark = system_random().next();
  const std::string path = path_of(next_number_, mark);
  fd_ = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  if (fd_ < 0) return fail(errno_error("making " + path, errno));
  sync_directory(directory_);
  segments_.push_back({next_number_++, mark, 0});
  return {};
}

Result<std::vector<SpoolPlace>> Spool::append(const std::vector<Block>& blocks) {
  size_t size = 0;
  for (const Block& block : blocks)
    size += block.data.size() + block.token.size() + kFrameHeadBytes;
  if (bytes_ + size > bytes_max_) {
    return fail(Code::too_large, "the telemetry spool is full (" + std::to_string(bytes_max_) +
                                     " bytes) while ClickHouse is away");
  }
  if (fd_ >= 0 && segments_.back().bytes >= kSegmentBytesMax) seal();
  if (fd_ < 0) TRY(open_segment());
  Segment& segment = segments_.back();
  std::string bytes;
  std::vector<uint64_t> offsets;
  for (const Block& block : blocks) {
    offsets.push_back(bytes.size());
    bytes += encode(block, segment.mark);
  }
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
  const auto [fd, mark] = TRY(open_for_reading(segment));
  struct stat status{};
  fstat(fd, &status);
  const auto size = static_cast<uint64_t>(status.st_size);
  uint64_t spoiled = 0;
  uint64_t offset = 0;
  while (offset < size) {
    auto frame = read_frame(fd, offset, mark);
    if (frame && frame->block) visit({segment, offset}, std::move(*frame->block));
    if (frame && !frame->block) ++spoiled;
    Result<uint64_t> next =
        frame ? Result<uint64_t>(offset + frame->bytes) : fail(std::move(frame).error());
    if (next && *next == offset) next = find_frame(fd, offset + 1, size, mark);
    if (!next) {
      close(fd);
      return fail(std::move(next).error());
    }
    offset = *next;
  }
  close(fd);
  return spoiled;
}

Result<Block> Spool::read_at(SpoolPlace place) const {
  const auto [fd, mark] = TRY(open_for_reading(place.segment));
  auto frame = read_frame(fd, place.offset, mark);
  close(fd);
  if (!frame) return fail(std::move(frame).error());
  if (!frame->block) return fail(Code::corrupt, "a spool frame is spoiled");
  return std::move(*frame->block);
}

Result<void> Spool::remove(uint64_t segment) {
  const auto found = std::find_if(segments_.begin(), segments_.end(),
                                  [segment](const Segment& s) { return s.number == segment; });
  if (found == segments_.end()) return {};
  const std::string path = path_of(found->number, found->mark);
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail(errno_error("removing " + path, errno));
  bytes_ -= std::min(bytes_, found->bytes);
  segments_.erase(found);
  return {};
}

void Spool::bury(const Block& block) {
  const std::string path = directory_ + "/dead/blocks";
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  struct stat status{};
  fstat(fd, &status);
  // Best effort: it is for finding out why, and the loss is counted and logged elsewhere.
  const bool full = static_cast<uint64_t>(status.st_size) > kDeadBytesMax;
  if (full && ftruncate(fd, 0) != 0) {
    close(fd);
    return;
  }
  (void)write_all(fd, encode(block, 0));
  close(fd);
}

}  // namespace nimbus::telemetry
