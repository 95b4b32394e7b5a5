#include "registry/blob_arrivals.h"

#include "base/log.h"
#include "registry/names.h"
#include "registry/tables.h"
#include "registry/visit.h"

namespace nimbus::registry {
namespace {

constexpr Duration kTransferPoll = std::chrono::seconds(30);
constexpr int64_t kReserveStep = int64_t{64} << 20;
// Smaller ones are on their way so shortly that it is worth knowing how it ends before answering.
constexpr int64_t kFollowedBytesMin = int64_t{256} << 10;

}  // namespace

struct BlobArrivals::Transfer {
  Transfer(net::Loop& loop, Wanted w) : wanted(std::move(w)), changed(loop) {}
  Wanted wanted;
  std::shared_ptr<const blob::OpenBlob> growing;  // once its first bytes are here, when it is large
  std::optional<Result<void>> outcome;
  net::Notifier changed;
};

Task<Result<std::shared_ptr<const blob::OpenBlob>>> BlobArrivals::get(Wanted wanted) {
  const std::string key = wanted.own + "\n" + to_string(wanted.digest);
  if (misses_.is_missing(key)) co_return fail(Code::not_found, "the upstream has no such blob");
  auto& place = transfers_[key];
  if (place == nullptr) {
    place = std::make_shared<Transfer>(core_.loop, std::move(wanted));
    core_.loop.spawn(run(this, place, key), "mirror transfer");
  }
  const auto transfer = place;
  while (!transfer->outcome && transfer->growing == nullptr) {
    (void)co_await transfer->changed.wait(kTransferPoll);
  }
  if (transfer->outcome && !*transfer->outcome) co_return fail(transfer->outcome->error());
  if (transfer->outcome) co_return nullptr;
  co_return transfer->growing;
}

Task<void> BlobArrivals::run(BlobArrivals* arrivals, std::shared_ptr<Transfer> transfer,
                             std::string key) {
  const auto outcome = co_await arrivals->receive(*transfer);
  transfer->outcome = outcome;
  arrivals->transfers_.erase(key);
  transfer->changed.notify_all();
  if (outcome) {
    arrivals->misses_.forget(key);
  } else if (outcome.error().code == Code::not_found) {
    arrivals->misses_.note(key);
  } else {
    // Whoever reads it already sees only that it breaks off.
    log_warn("a blob did not come from its upstream",
             {{"repository", transfer->wanted.own},
              {"digest", to_string(transfer->wanted.digest)},
              {"why", outcome.error().message}});
  }
}

Task<Result<void>> BlobArrivals::receive(Transfer& transfer) {
  const Wanted& wanted = transfer.wanted;
  blob::UploadOptions options;
  options.algorithm = wanted.digest.algorithm;
  CO_TRY_ASSIGN(const auto upload, co_await core_.store.begin(options));
  blob::SpaceRequest space{std::string(org_of(wanted.own)), std::string(name_in_org(wanted.own)),
                           blob::Use::registry, kReserveStep};
  blob::SpaceRequest first = space;
  CO_TRY_ASSIGN(auto reservation, co_await core_.quota.reserve(std::move(first)));
  Result<void> written;
  int64_t size = 0;
  Upstream::Sink sink;
  sink.on_size = [&size](int64_t told) { size = told; };
  sink.on_bytes = [&](std::string_view bytes) -> Task<bool> {
    space.bytes = upload->size() + static_cast<int64_t>(bytes.size());
    if (space.bytes > reservation.bytes()) {
      space.bytes += kReserveStep;
      blob::SpaceRequest more = space;
      written = co_await core_.quota.grow(reservation, std::move(more));
    }
    std::string piece(bytes);
    if (written) written = co_await upload->write(std::move(piece));
    if (written && transfer.growing == nullptr && size >= kFollowedBytesMin) {
      transfer.growing = upload->follow({wanted.digest, size});
      transfer.changed.notify_all();
    }
    co_return written.has_value();
  };
  Upstream::Question question{"GET", wanted.repository, "/blobs/" + to_string(wanted.digest), ""};
  CO_TRY_ASSIGN(const auto answer,
                co_await wanted.upstream.fetch(std::move(question), std::move(sink)));
  CO_TRY(written);
  if (answer.status == 404) co_return fail(Code::not_found, "the upstream has no such blob");
  if (answer.status != 200) {
    co_return fail(Code::unavailable, "the upstream answered " + std::to_string(answer.status));
  }
  const auto info = co_await upload->commit(wanted.digest);
  if (!info) co_return fail(Code::unavailable, "the upstream's blob: " + info.error().message);
  Work<bool> work = [own = wanted.own, info = *info,
                     now = core_.clock.now()](db::Transaction& tx) -> Result<bool> {
    TRY(link_blob(tx, own, info, now));
    return true;
  };
  CO_TRY(co_await core_.database.write<bool>(std::move(work)));
  co_return Result<void>();
}

}  // namespace nimbus::registry
