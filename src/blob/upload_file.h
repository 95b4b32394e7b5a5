// The file of an upload with its two queues, of bytes to be written and of bytes to be hashed. Both
// run on blocking threads, beside each other and beside the caller who receives the next piece. At
// most kUploadQueueBytes of memory wait in one; while all uploads together hold more than
// kAllQueuesBytes, kUploadQueueLeastBytes. An upload of a single piece touches the disk only when
// it is finished. Outlives its DiskUpload while blocking calls use it, and between requests when it
// is suspended. Private to this folder. Threads: the loop's, but for what says otherwise.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "blob/digest.h"
#include "blob/store.h"
#include "net/loop.h"
#include "os/unique_fd.h"

namespace nimbus::blob {

constexpr int64_t kUploadQueueBytes = int64_t{768} * 1024;
constexpr int64_t kUploadQueueLeastBytes = int64_t{256} * 1024;
constexpr int64_t kAllQueuesBytes = int64_t{16} << 20;

// Where the files of one store's uploads are, and how much memory waits for them together.
struct UploadQueues {
  net::Loop& loop;
  std::string directory;
  int64_t bytes = 0;
};

class UploadFile : public std::enable_shared_from_this<UploadFile> {
 public:
  // The file is made when the first bytes are written.
  UploadFile(std::shared_ptr<UploadQueues> queues, std::string id, Algorithm algorithm);
  ~UploadFile();  // unlinks the file, unless it was kept or placed
  UploadFile(const UploadFile&) = delete;
  UploadFile& operator=(const UploadFile&) = delete;
  // One that an earlier process left. not_found: there is none. Blocking.
  static Result<std::shared_ptr<UploadFile>> find(std::shared_ptr<UploadQueues> queues,
                                                  std::string id);

  const std::string& id() const { return id_; }
  std::string path() const { return queues_->directory + "/" + id_; }
  int64_t size() const { return size_; }

  Task<Result<void>> write_at(int64_t offset, std::string bytes);
  // Everything is in the file; the digest of it all. bad_request: there are gaps.
  Task<Result<Digest>> finish(Algorithm algorithm);
  Task<Result<void>> drain();  // everything is in the file
  Task<Result<void>> arrange(std::vector<Extent> parts);
  Result<void> sync();           // blocking; the content is durable
  void keep() { kept_ = true; }  // the file outlives this object

  // For those who read while it grows (growing_file.h). From now on nothing is kept back in memory.
  void show();
  void verified();  // the digest is the one that was wanted
  void give_up();   // nothing more comes; tells readers, unless it was verified
  bool is_verified() const { return verified_; }
  bool is_given_up() const { return given_up_ || failure_.has_value(); }
  int64_t on_disk() const { return on_disk_to_; }      // bytes from the start
  int descriptor() const { return fd_.get(); }         // once anything is on the disk
  bool read(int64_t offset, std::string& into) const;  // blocking; false: the disk cannot
  net::Notifier& progress() { return progress_; }

 private:
  struct Piece {
    int64_t offset;
    std::string bytes;
    int uses;  // queues that still need it
    // A piece may have come in a string much larger than itself.
    int64_t memory = static_cast<int64_t>(bytes.capacity());
  };
  using Pieces = std::vector<std::shared_ptr<Piece>>;

  void submit(int64_t offset, std::string bytes);
  void start_writing();
  void start_hashing();
  Task<void> write_queue();
  Task<void> hash_queue();
  bool has_room(int64_t memory) const;
  void hold(int64_t memory);  // negative: gives back
  void done_with(const Pieces& pieces);
  void cover(int64_t begin, int64_t end);
  bool is_whole() const;
  Result<void> open_file();                                     // blocking
  Result<void> write_pieces(const Pieces&);                     // blocking
  Result<Digest> read_back(Algorithm algorithm, int64_t size);  // blocking
  Result<void> copy_parts(const std::vector<Extent>& parts);    // blocking

  const std::shared_ptr<UploadQueues> queues_;
  net::Loop& loop_;
  const std::string id_;
  Algorithm algorithm_;
  os::UniqueFd fd_;
  std::optional<Hasher> hasher_;  // gone once the bytes came out of order
  int64_t hashed_to_ = 0;         // bytes given to the hasher's queue
  int64_t flushed_to_ = 0;        // write-back was begun up to here
  int64_t size_ = 0;
  std::vector<Extent> written_;       // disjoint, in order
  std::optional<std::string> first_;  // the first piece, kept back
  Pieces to_write_, to_hash_;
  int64_t queued_memory_ = 0;
  bool writing_ = false;
  bool hashing_ = false;
  bool kept_ = false;
  bool shown_ = false;
  bool verified_ = false;
  bool given_up_ = false;
  int64_t on_disk_to_ = 0;
  std::optional<Error> failure_;
  net::Notifier progress_;
};

}  // namespace nimbus::blob
