#include "cache/upload_session.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "cache/body_pieces.h"

namespace nimbus::cache {
namespace {

constexpr int64_t kUnsizedStepBytes = 8 << 20;  // reserved at a time
constexpr size_t kBlockIndexDigits = 12;
constexpr Duration kQuietPatience = std::chrono::seconds(10);

// GitHub's clients end a block's id with its number. Anybody else's ids mean nothing here.
std::optional<int64_t> index_of(std::string_view block) {
  const auto bytes = parse_base64(block);
  if (!bytes || bytes->size() <= kBlockIndexDigits) return std::nullopt;
  const std::string_view digits =
      std::string_view(*bytes).substr(bytes->size() - kBlockIndexDigits);
  int64_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc() || end != digits.data() + digits.size() || index < 0 ||
      index >= static_cast<int64_t>(kBlocksMax)) {
    return std::nullopt;
  }
  return index;
}

}  // namespace

// Counts a request in progress.
class UploadSession::Request {
 public:
  explicit Request(UploadSession& session) : session_(session.shared_from_this()) {
    ++session_->requests_;
    session_->broken_ = false;
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  ~Request() {
    --session_->requests_;
    session_->touched_ = session_->core_.parts.clock.steady();
    if (session_->requests_ == 0) session_->quiet_.notify_all();
  }

 private:
  std::shared_ptr<UploadSession> session_;
};

UploadSession::UploadSession(Core& core, int64_t id, UploadTarget target,
                             std::optional<int64_t> announced)
    : core_(core),
      id_(id),
      target_(std::move(target)),
      announced_(announced),
      touched_(core.parts.clock.steady()),
      quiet_(core.parts.loop) {}

Task<Result<void>> UploadSession::begin() {
  if (announced_) {
    if (*announced_ > core_.options.entry_bytes_max) {
      co_return fail(Code::too_large, "the entry is over the limit of " +
                                          std::to_string(core_.options.entry_bytes_max) + " bytes");
    }
    CO_TRY_ASSIGN(blob::Reservation room, co_await reserve(*announced_));
    rooms_.push_back(std::move(room));
  }
  CO_TRY_ASSIGN(upload_, co_await core_.parts.store.begin({}));
  co_return Result<void>();
}

Task<Result<blob::Reservation>> UploadSession::reserve(int64_t bytes) {
  blob::SpaceRequest request{target_.org, target_.repo, blob::Use::cache, bytes};
  co_return co_await core_.parts.quota.reserve(std::move(request));
}

Result<void> UploadSession::check_open(int64_t more) const {
  if (content_ || committing_) return fail(Code::conflict, "the upload is complete already");
  int64_t all = more;
  for (const blob::Extent& extent : claimed_) all += extent.size;
  if (more < 0 || all > core_.options.entry_bytes_max) {
    return fail(Code::too_large, "the entry is over the limit of " +
                                     std::to_string(core_.options.entry_bytes_max) + " bytes");
  }
  return {};
}

Task<Result<void>> UploadSession::receive(blob::Upload& upload, int64_t offset, int64_t size,
                                          net::BodyReader& body) {
  BodyPieces pieces(body);
  int64_t done = 0;
  for (;;) {
    auto piece = co_await pieces.next();
    if (!piece) {
      broken_ = true;
      co_return fail(std::move(piece).error());
    }
    if (piece->empty()) break;
    const auto bytes = static_cast<int64_t>(piece->size());
    if (done + bytes > size) co_return fail(Code::bad_request, "the body is longer than announced");
    CO_TRY(co_await upload.write_at(offset + done, std::move(*piece)));
    done += bytes;
  }
  if (done != size) co_return fail(Code::bad_request, "the body is shorter than announced");
  core_.actions.written_bytes.add(static_cast<double>(size));
  co_return Result<void>();
}

Task<Result<void>> UploadSession::receive_unsized(blob::Upload& upload, net::BodyReader& body,
                                                  blob::Reservation& room) {
  BodyPieces pieces(body);
  for (;;) {
    auto piece = co_await pieces.next();
    if (!piece) {
      broken_ = true;
      co_return fail(std::move(piece).error());
    }
    if (piece->empty()) co_return Result<void>();
    const int64_t all = upload.size() + static_cast<int64_t>(piece->size());
    CO_TRY(check_open(all));
    if (all > room.bytes()) {
      blob::SpaceRequest request{target_.org, target_.repo, blob::Use::cache,
                                 all + kUnsizedStepBytes};
      CO_TRY(co_await core_.parts.quota.grow(room, std::move(request)));
    }
    core_.actions.written_bytes.add(static_cast<double>(piece->size()));
    CO_TRY(co_await upload.write(std::move(*piece)));
  }
}

Task<Result<void>> UploadSession::commit(blob::Upload& upload) {
  std::optional<blob::Digest> any;
  auto info = co_await upload.commit(std::move(any));
  if (!info) co_return fail(std::move(info).error());
  content_ = std::move(*info);
  co_return Result<void>();
}

Task<Result<void>> UploadSession::put(net::BodyReader& body, std::optional<int64_t> length) {
  const Request request(*this);
  CO_TRY(check_open(length.value_or(0)));
  // A file of its own: an earlier attempt may have left bytes, or be leaving them still.
  CO_TRY_ASSIGN(std::unique_ptr<blob::Upload> upload, co_await core_.parts.store.begin({}));
  CO_TRY_ASSIGN(blob::Reservation room, co_await reserve(length.value_or(kUnsizedStepBytes)));
  if (length) {
    CO_TRY(co_await receive(*upload, 0, *length, body));
  } else {
    CO_TRY(co_await receive_unsized(*upload, body, room));
  }
  if (content_ || committing_) co_return fail(Code::conflict, "the upload is complete already");
  committing_ = true;
  const auto done = co_await commit(*upload);
  committing_ = false;
  if (!done) co_return done;
  upload_ = std::move(upload);
  rooms_.push_back(std::move(room));
  co_return Result<void>();
}

// Where the block's bytes go. In the right order from the start when its id tells its number: the
// list then costs no copy. Otherwise after everything else.
int64_t UploadSession::place_block(std::string_view block, int64_t length) {
  int64_t end = 0;
  for (const blob::Extent& extent : claimed_) end = std::max(end, extent.offset + extent.size);
  block_bytes_ = std::max(block_bytes_, length);
  const auto index = index_of(block);
  if (!index) return end;
  const int64_t wanted = *index * block_bytes_;
  const bool taken = std::any_of(claimed_.begin(), claimed_.end(), [&](const blob::Extent& other) {
    return wanted < other.offset + other.size && other.offset < wanted + length;
  });
  return taken || wanted + length > core_.options.entry_bytes_max ? end : wanted;
}

Task<Result<void>> UploadSession::put_block(std::string block, net::BodyReader& body,
                                            int64_t length) {
  const Request request(*this);
  if (block.empty() || block.size() > kBlockIdBytesMax || !parse_base64(block)) {
    co_return fail(Code::bad_request, "the block's id is not short base64");
  }
  if (claimed_.size() >= kBlocksMax) co_return fail(Code::too_large, "too many blocks");
  CO_TRY(check_open(length));
  const blob::Extent place{place_block(block, length), length};
  claimed_.push_back(place);
  auto received = co_await receive_block(place, body);
  if (!received) {
    const auto claim = std::find_if(claimed_.begin(), claimed_.end(), [&](const blob::Extent& one) {
      return one.offset == place.offset && one.size == place.size;
    });
    claimed_.erase(claim);
    co_return received;
  }
  blocks_[std::move(block)] = place;
  co_return Result<void>();
}

Task<Result<void>> UploadSession::receive_block(blob::Extent place, net::BodyReader& body) {
  CO_TRY_ASSIGN(blob::Reservation room, co_await reserve(place.size));
  CO_TRY(co_await receive(*upload_, place.offset, place.size, body));
  if (content_ || committing_) co_return fail(Code::conflict, "the upload is complete already");
  rooms_.push_back(std::move(room));
  co_return Result<void>();
}

// The client has had an answer for each of its requests; one that it gave up may still be ending.
Task<Result<void>> UploadSession::wait_until_quiet() {
  const Duration until = core_.parts.clock.steady() + kQuietPatience;
  while (busy()) {
    const Duration left = until - core_.parts.clock.steady();
    if (left <= Duration(0)) co_return fail(Code::unavailable, "bytes are still coming in");
    (void)co_await quiet_.wait(left);
  }
  co_return Result<void>();
}

Task<Result<void>> UploadSession::put_block_list(std::vector<std::string> blocks) {
  const auto self = shared_from_this();
  CO_TRY(co_await wait_until_quiet());
  const Request request(*this);
  if (content_) {
    if (blocks == list_) co_return Result<void>();
    co_return fail(Code::conflict, "the upload is complete already");
  }
  CO_TRY(check_open(0));
  std::vector<blob::Extent> parts;
  for (const std::string& block : blocks) {
    const auto found = blocks_.find(block);
    if (found == blocks_.end()) {
      co_return fail(Code::bad_request, "the list names a block that was not uploaded");
    }
    parts.push_back(found->second);
  }
  committing_ = true;
  auto done = co_await upload_->arrange(std::move(parts));
  if (done) done = co_await commit(*upload_);
  committing_ = false;
  if (done) list_ = std::move(blocks);
  co_return done;
}

Task<Result<void>> UploadSession::write_range(int64_t offset, int64_t size, net::BodyReader& body) {
  const Request request(*this);
  CO_TRY(check_open(0));
  const int64_t most = announced_.value_or(core_.options.entry_bytes_max);
  if (offset < 0 || size < 0 || offset > most || size > most - offset) {
    co_return fail(Code::bad_request, "the range lies outside the announced size");
  }
  if (!announced_) {
    CO_TRY_ASSIGN(blob::Reservation room, co_await reserve(size));
    rooms_.push_back(std::move(room));
  }
  co_return co_await receive(*upload_, offset, size, body);
}

Task<Result<void>> UploadSession::complete(int64_t size) {
  const auto self = shared_from_this();
  CO_TRY(co_await wait_until_quiet());
  const Request request(*this);
  if (content_) {
    if (content_->size == size) co_return Result<void>();
    co_return fail(Code::conflict, "the upload is complete already");
  }
  CO_TRY(check_open(0));
  if (upload_->size() != size) {
    co_return fail(Code::bad_request, std::to_string(upload_->size()) +
                                          " bytes were uploaded, not " + std::to_string(size));
  }
  committing_ = true;
  auto done = co_await commit(*upload_);
  committing_ = false;
  co_return done;
}

}  // namespace nimbus::cache
