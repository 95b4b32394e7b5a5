#include "blob/s3_store.h"

#include "base/log.h"
#include "blob/open_file.h"

namespace nimbus::blob {
namespace {

constexpr Duration kFillPoll = std::chrono::seconds(30);
constexpr int kNearPage = 1000;
// Smaller ones are on their way so shortly that it is worth knowing how it ends before answering.
constexpr int64_t kFollowedBytesMin = int64_t{256} << 10;

std::string key_of(const Digest& digest) {
  return std::string(to_string(digest.algorithm)) + "/" + digest.hex.substr(0, 2) + "/" +
         digest.hex;
}

// "sha256/ab/<hex>"
std::optional<Digest> digest_of_key(std::string_view key) {
  const size_t first = key.find('/');
  const size_t last = key.rfind('/');
  if (first == std::string_view::npos || last == first) return std::nullopt;
  auto digest =
      parse_digest(std::string(key.substr(0, first)) + ":" + std::string(key.substr(last + 1)));
  if (!digest || key_of(*digest) != key) return std::nullopt;
  return std::move(*digest);
}

// An upload on the local disk that is sent when it is committed.
class S3Upload final : public Upload {
 public:
  S3Upload(S3Store& store, std::unique_ptr<Upload> near) : store_(store), near_(std::move(near)) {}
  const std::string& id() const override { return near_->id(); }
  int64_t size() const override { return near_->size(); }
  Task<Result<void>> write(std::string bytes) override { return near_->write(std::move(bytes)); }
  Task<Result<void>> write_at(int64_t offset, std::string bytes) override {
    return near_->write_at(offset, std::move(bytes));
  }
  Task<Result<void>> arrange(std::vector<Extent> parts) override {
    return near_->arrange(std::move(parts));
  }
  Task<Result<BlobInfo>> commit(std::optional<Digest> want) override {
    // Committed near it is pinned near until this upload ends, so it cannot go before it is sent.
    CO_TRY_ASSIGN(const BlobInfo info, co_await near_->commit(std::move(want)));
    pin_ = co_await store_.pins().pin(info.digest);
    CO_TRY(co_await store_.send(info));
    co_return info;
  }
  Task<Result<void>> suspend() override { return near_->suspend(); }
  std::shared_ptr<const OpenBlob> follow(BlobInfo will_be) override {
    return near_->follow(std::move(will_be));
  }

 private:
  S3Store& store_;
  std::unique_ptr<Upload> near_;
  Pin pin_;
};

}  // namespace

struct S3Store::Fill {
  Fill(net::Loop& loop, Digest d) : digest(std::move(d)), changed(loop) {}
  Digest digest;
  std::shared_ptr<const OpenBlob> growing;  // once its first bytes are here, when it is large
  bool done = false;
  std::optional<Error> failure;
  net::Notifier changed;
};

// What lies in the near store, the least recently used first.
struct S3Store::Near {
  struct Entry {
    int64_t size;
    std::list<Digest>::iterator use;
  };
  std::map<Digest, Entry> entries;
  std::list<Digest> by_use;
  int64_t bytes = 0;
  bool learnt = false;  // what earlier processes left is counted in
  bool shrinking = false;
};

S3Store::S3Store(net::Loop& loop, std::unique_ptr<DiskStore> near, std::unique_ptr<S3Client> bucket,
                 Options options)
    : Store(loop),
      loop_(loop),
      near_(std::move(near)),
      bucket_(std::move(bucket)),
      options_(options),
      kept_(std::make_unique<Near>()) {}

S3Store::~S3Store() = default;

Task<Result<std::unique_ptr<Upload>>> S3Store::begin(UploadOptions options) {
  CO_TRY_ASSIGN(auto upload, co_await near_->begin(options));
  co_return std::make_unique<S3Upload>(*this, std::move(upload));
}

Task<Result<std::unique_ptr<Upload>>> S3Store::resume(std::string id) {
  CO_TRY_ASSIGN(auto upload, co_await near_->resume(std::move(id)));
  co_return std::make_unique<S3Upload>(*this, std::move(upload));
}

Task<Result<void>> S3Store::send(BlobInfo blob) {
  note_near(blob.digest, blob.size);
  const std::string key = key_of(blob.digest);
  const auto there = co_await bucket_->head(key);
  if (there && there->size == blob.size) co_return Result<void>();
  if (!there && there.error().code != Code::not_found) co_return fail(there.error());
  CO_TRY_ASSIGN(const auto opened, co_await near_->open(blob.digest));
  const auto file = std::static_pointer_cast<const OpenFile>(opened);
  // Another algorithm's digest is no payload hash.
  const std::string payload = blob.digest.algorithm == Algorithm::sha256
                                  ? blob.digest.hex
                                  : std::string("UNSIGNED-PAYLOAD");
  net::FileBody body = file->body();
  const Result<void> sent = co_await bucket_->put(key, std::move(body), payload);
  if (!sent) co_return sent;
  loop_.spawn(shrink_near(), "near cache");
  co_return sent;
}

Task<Result<std::shared_ptr<const OpenBlob>>> S3Store::open(Digest digest) {
  auto near = co_await near_->open(digest);
  if (near) note_near(digest, (*near)->info().size);
  if (near || near.error().code != Code::not_found) co_return near;
  co_return co_await fetch(digest);
}

// Whoever comes while a blob is on its way gets it from the same transfer.
Task<Result<std::shared_ptr<const OpenBlob>>> S3Store::fetch(Digest digest) {
  auto& place = fills_[digest];
  if (place == nullptr) {
    place = std::make_shared<Fill>(loop_, digest);
    loop_.spawn(fill(this, place), "near cache fill");
  }
  const auto waiting = place;
  while (!waiting->done && waiting->growing == nullptr) co_await waiting->changed.wait(kFillPoll);
  if (waiting->failure) co_return fail(*waiting->failure);
  if (waiting->growing != nullptr) co_return waiting->growing;
  co_return co_await near_->open(digest);
}

Task<Result<BlobInfo>> S3Store::copy_near(Fill& fill) {
  CO_TRY_ASSIGN(const auto upload, co_await near_->begin({.algorithm = fill.digest.algorithm}));
  std::optional<Error> failure;
  int64_t size = 0;
  S3Client::Reader reader;
  reader.on_size = [&size](int64_t told) { size = told; };
  reader.on_bytes = [&](std::string_view bytes) -> Task<bool> {
    const Result<void> written = co_await upload->write(std::string(bytes));
    if (!written) failure = written.error();
    if (written && fill.growing == nullptr && size >= kFollowedBytesMin) {
      fill.growing = upload->follow({fill.digest, size});
      fill.changed.notify_all();
    }
    co_return written.has_value();
  };
  const Result<void> got = co_await bucket_->get(key_of(fill.digest), std::move(reader));
  if (failure) co_return fail(*failure);
  if (!got) co_return fail(got.error());
  auto committed = co_await upload->commit(fill.digest);
  if (!committed && committed.error().code == Code::bad_request) {
    co_return fail(Code::corrupt, "the bucket's object is not what its name says");
  }
  co_return committed;
}

Task<void> S3Store::fill(S3Store* store, std::shared_ptr<Fill> fill) {
  const auto copied = co_await store->copy_near(*fill);
  if (copied) {
    store->note_near(copied->digest, copied->size);
  } else {
    fill->failure = copied.error();
    // Whoever reads it already sees only that it breaks off.
    log_warn("a blob did not come from the bucket",
             {{"digest", to_string(fill->digest)}, {"why", copied.error().message}});
  }
  fill->done = true;
  store->fills_.erase(fill->digest);
  fill->changed.notify_all();
  co_await store->shrink_near();
}

void S3Store::note_near(const Digest& digest, int64_t size) {
  Near& near = *kept_;
  if (const auto known = near.entries.find(digest); known != near.entries.end()) {
    near.by_use.splice(near.by_use.end(), near.by_use, known->second.use);
    return;
  }
  near.entries[digest] = {size, near.by_use.insert(near.by_use.end(), digest)};
  near.bytes += size;
}

void S3Store::forget_near(const Digest& digest) {
  Near& near = *kept_;
  const auto known = near.entries.find(digest);
  if (known == near.entries.end()) return;
  near.bytes -= known->second.size;
  near.by_use.erase(known->second.use);
  near.entries.erase(known);
}

Task<Result<void>> S3Store::learn_near() {
  if (std::exchange(kept_->learnt, true)) co_return Result<void>();
  std::optional<Digest> after;
  for (;;) {
    CO_TRY_ASSIGN(const auto page, co_await near_->list(after, kNearPage));
    if (page.empty()) co_return Result<void>();
    after = page.back().digest;
    for (const BlobInfo& blob : page) {
      if (kept_->entries.contains(blob.digest)) continue;
      // Used in an earlier process: older than anything of this one.
      kept_->entries[blob.digest] = {blob.size,
                                     kept_->by_use.insert(kept_->by_use.begin(), blob.digest)};
      kept_->bytes += blob.size;
    }
  }
}

Task<void> S3Store::shrink_near() {
  if (std::exchange(kept_->shrinking, true)) co_return;
  if (const auto learnt = co_await learn_near(); !learnt) {
    log_warn("reading the near cache's folder failed", {{"why", learnt.error().message}});
  }
  for (auto next = kept_->by_use.begin();
       kept_->bytes > options_.near_bytes_max && next != kept_->by_use.end();) {
    const Digest digest = *next++;
    const auto removal = near_->pins().begin_removal(digest);
    if (!removal) continue;
    forget_near(digest);
    const auto removed = co_await near_->remove(digest);
    if (!removed) log_warn("a near copy stays", {{"why", removed.error().message}});
    next = kept_->by_use.begin();
  }
  kept_->shrinking = false;
}

Task<Result<BlobInfo>> S3Store::find(Digest digest) {
  CO_TRY_ASSIGN(const S3Object object, co_await bucket_->head(key_of(digest)));
  co_return BlobInfo{digest, object.size};
}

Task<Result<void>> S3Store::remove(Digest digest) {
  CO_TRY(co_await bucket_->remove(key_of(digest)));
  forget_near(digest);
  co_return co_await near_->remove(digest);
}

Task<Result<Health>> S3Store::verify(Digest digest, int64_t bytes_per_second) {
  const auto near = co_await near_->verify(digest, bytes_per_second);
  if (near && *near == Health::rotten) {
    log_warn("a near copy was rotten and is fetched again", {{"digest", to_string(digest)}});
    forget_near(digest);
    CO_TRY(co_await near_->quarantine(digest));
  }
  Hasher hasher(digest.algorithm);
  S3Client::Reader reader;
  reader.on_bytes = [&](std::string_view bytes) -> Task<bool> {
    std::function<void()> call = [&hasher, bytes] { hasher.update(bytes); };
    co_await loop_.run_blocking(std::move(call));
    if (bytes_per_second > 0) {
      co_await loop_.sleep(
          Duration(static_cast<int64_t>(bytes.size()) * 1'000'000 / bytes_per_second));
    }
    co_return true;
  };
  const Result<void> got = co_await bucket_->get(key_of(digest), std::move(reader));
  if (!got && got.error().code == Code::not_found) co_return Health::missing;
  if (!got) co_return fail(got.error());
  co_return hasher.finish() == digest ? Health::good : Health::rotten;
}

Task<Result<void>> S3Store::quarantine(Digest digest) {
  const std::string key = key_of(digest);
  CO_TRY(co_await bucket_->copy(key, "quarantine/" + key));
  co_return co_await remove(digest);
}

Task<Result<std::vector<BlobInfo>>> S3Store::list(std::optional<Digest> after, int limit) {
  std::vector<BlobInfo> found;
  for (const Algorithm algorithm : {Algorithm::sha256, Algorithm::sha512}) {
    if (after && after->algorithm > algorithm) continue;
    const bool within = after && after->algorithm == algorithm;
    std::string from = within ? key_of(*after) : std::string();
    const std::string folder = std::string(to_string(algorithm)) + "/";
    CO_TRY_ASSIGN(const auto objects, co_await bucket_->list(folder, std::move(from), limit));
    for (const S3Object& object : objects) {
      if (auto digest = digest_of_key(object.key)) found.push_back({*digest, object.size});
    }
    if (!found.empty()) break;
  }
  co_return found;
}

Task<Result<void>> S3Store::probe() {
  CO_TRY(co_await near_->probe());
  // No object has this name: that it is absent is the answer of a bucket that works.
  const auto answer = co_await bucket_->head("probe");
  if (!answer && answer.error().code != Code::not_found) co_return fail(answer.error());
  co_return Result<void>();
}

Task<Result<Time>> S3Store::stored_at(Digest digest) {
  CO_TRY_ASSIGN(const S3Object object, co_await bucket_->head(key_of(digest)));
  co_return object.modified;
}

Task<Result<int>> S3Store::expire_uploads(Time before) {
  CO_TRY_ASSIGN(const int here, co_await near_->expire_uploads(before));
  CO_TRY_ASSIGN(const int there, co_await bucket_->abort_uploads(before));
  co_return here + there;
}

}  // namespace nimbus::blob
