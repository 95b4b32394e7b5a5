#include "registry/upload_requests.h"

#include <charconv>

#include "base/log.h"
#include "registry/api_error.h"
#include "registry/tables.h"

namespace nimbus::registry {
namespace {

// Room reserved ahead for a body whose length is not known.
constexpr int64_t kReserveStep = int64_t{16} << 20;
// What a chunked body brings in small pieces is written in ones that are worth a turn of a thread.
constexpr size_t kPieceBytes = size_t{128} * 1024;

std::string upload_path(std::string_view repository, std::string_view id) {
  return "/v2/" + std::string(repository) + "/blobs/uploads/" + std::string(id);
}

// The answer that tells a session's client how far it came.
net::Response session_answer(int status, const Place& place, std::string_view id, int64_t size) {
  net::Response response = net::Response::empty(status);
  response.headers.add("Location", upload_path(place.repository, id));
  response.headers.add("Docker-Upload-UUID", id);
  response.headers.add("Range", "0-" + std::to_string(size > 0 ? size - 1 : 0));
  return response;
}

net::Response created(std::string_view repository, const blob::Digest& digest) {
  const std::string name = to_string(digest);
  net::Response response = net::Response::empty(201);
  response.headers.add("Location", blob_path(repository, name));
  response.headers.add("Docker-Content-Digest", name);
  return response;
}

std::optional<int64_t> content_length(const net::Request& request) {
  const auto text = request.headers.find("Content-Length");
  int64_t length = 0;
  if (!text) return std::nullopt;
  (void)std::from_chars(text->data(), text->data() + text->size(), length);
  return length;
}

// The refusal of a chunk that does not follow what the session has, or whose length is another than
// its range says; nullopt when it fits.
std::optional<net::Response> judge_chunk(const net::Request& request, const Place& place,
                                         int64_t size) {
  const auto header = request.headers.find("Content-Range");
  if (!header) return std::nullopt;
  const auto range = parse_chunk_range(*header);
  if (!range) return api_error(range.error(), "BLOB_UPLOAD_INVALID");
  if (range->first != size) {
    net::Response refused = api_error(416, "BLOB_UPLOAD_INVALID",
                                      "the chunk starts at " + std::to_string(range->first) +
                                          ", the session has " + std::to_string(size) + " bytes",
                                      "go on from there");
    const net::Response told = session_answer(416, place, place.reference, size);
    for (const auto& [name, value] : told.headers) refused.headers.add(name, value);
    return refused;
  }
  if (content_length(request) != range->size()) {
    return api_error(400, "SIZE_INVALID", "Content-Length is not the length of Content-Range");
  }
  return std::nullopt;
}

net::Response upload_error(const Error& error) {
  if (error.code == Code::not_found) {
    return api_error(404, "BLOB_UPLOAD_UNKNOWN", error.message, error.hint);
  }
  return api_error(error, "BLOB_UPLOAD_INVALID");
}

net::Response commit_error(const Error& error) {
  // What the client can have wrong about a whole blob is its digest.
  return api_error(error, "DIGEST_INVALID");
}

}  // namespace

Task<net::Response> UploadRequests::start(Visit& visit) {
  if (visit.request.find_query("mount")) {
    auto mounted = co_await mount(visit);
    if (mounted) co_return std::move(*mounted);
  }
  if (const auto text = visit.request.find_query("digest")) {
    const auto digest = blob::parse_digest(*text);
    if (!digest) co_return api_error(digest.error(), "DIGEST_INVALID");
    co_return co_await take_whole(visit, *digest);
  }
  blob::UploadOptions options;
  options.resumable = true;
  if (const auto wanted = visit.request.find_query("digest-algorithm")) {
    if (*wanted != "sha256" && *wanted != "sha512") {
      co_return api_error(400, "UNSUPPORTED", "digest-algorithm must be sha256 or sha512");
    }
    if (*wanted == "sha512") options.algorithm = blob::Algorithm::sha512;
  }
  auto upload = co_await core_.store.begin(options);
  if (!upload) co_return upload_error(upload.error());
  const std::string id = (*upload)->id();
  Work<bool> work = [row = UploadRow{id, visit.place.repository, core_.clock.now()},
                     max = core_.options.org_uploads_max](db::Transaction& tx) -> Result<bool> {
    TRY(add_upload(tx, row, max));
    return true;
  };
  const auto added = co_await core_.database.write<bool>(std::move(work));
  if (!added) co_return upload_error(added.error());
  const auto suspended = co_await (*upload)->suspend();
  if (!suspended) co_return upload_error(suspended.error());
  auto session = std::make_shared<Session>();
  session->repository = visit.place.repository;
  sessions_[id] = std::move(session);
  core_.counters.open_uploads.set(static_cast<double>(sessions_.size()));
  co_return session_answer(202, visit.place, id, 0);
}

// Mounts inside one org only. Whatever stands in the way, another org's repository above all, the
// answer is that of a blob which is not there: nullopt, and the client sends its bytes.
Task<std::optional<net::Response>> UploadRequests::mount(Visit& visit) {
  const auto digest = blob::parse_digest(*visit.request.find_query("mount"));
  if (!digest) co_return api_error(digest.error(), "DIGEST_INVALID");
  const std::string org(org_of(visit.place.repository));
  const std::string from(visit.request.find_query("from").value_or(""));
  if (!visit.visitor.caller.orgs.covers(org)) co_return std::nullopt;
  if (!from.empty() && org_of(from) != org) co_return std::nullopt;
  blob::Digest pinned = *digest;
  const blob::Pin pin = co_await core_.store.pins().pin(std::move(pinned));
  Work<bool> work = [org, from, repository = visit.place.repository, digest = *digest,
                     now = core_.clock.now()](db::Transaction& tx) -> Result<bool> {
    const std::string name = to_string(digest);
    const auto source = from.empty() ? TRY(find_blob_in_org(tx, org, name)) : std::optional(from);
    const auto size = source ? TRY(find_blob(tx, *source, name)) : std::nullopt;
    if (!size) return false;
    TRY(link_blob(tx, repository, {digest, *size}, now));
    return true;
  };
  const auto linked = co_await core_.database.write<bool>(std::move(work));
  if (!linked || !*linked) co_return std::nullopt;
  core_.counters.blobs_mounted.add();
  co_return created(visit.place.repository, *digest);
}

Task<net::Response> UploadRequests::take_whole(Visit& visit, const blob::Digest& digest) {
  blob::UploadOptions options;
  options.algorithm = digest.algorithm;
  auto upload = co_await core_.store.begin(options);
  if (!upload) co_return upload_error(upload.error());
  Session session;
  session.repository = visit.place.repository;
  const auto received = co_await receive(visit, session, **upload);
  if (!received) co_return upload_error(received.error());
  const std::string no_session;
  const auto done = co_await commit(visit.place.repository, **upload, digest, no_session);
  if (!done) co_return commit_error(done.error());
  co_return created(visit.place.repository, digest);
}

// not_found: no such session in this repository.
Task<Result<std::shared_ptr<UploadRequests::Session>>> UploadRequests::find_session(
    const Visit& visit) {
  const auto unknown = [] {
    return fail(Code::not_found, "there is no such upload", "begin a new one");
  };
  const std::string& id = visit.place.reference;
  if (const auto known = sessions_.find(id); known != sessions_.end()) {
    if (known->second->repository != visit.place.repository) co_return unknown();
    co_return known->second;
  }
  Work<std::optional<UploadRow>> work = [id](db::Transaction& tx) { return find_upload(tx, id); };
  CO_TRY_ASSIGN(const auto row,
                co_await core_.database.read<std::optional<UploadRow>>(std::move(work)));
  if (!row || row->repository != visit.place.repository) co_return unknown();
  auto& session = sessions_[id];
  if (session == nullptr) {
    session = std::make_shared<Session>();
    session->repository = row->repository;
    session->size = -1;  // until it is resumed
  }
  co_return session;
}

Task<Result<UploadRequests::Claim>> UploadRequests::claim(const Visit& visit) {
  CO_TRY_ASSIGN(auto session, co_await find_session(visit));
  if (session->busy) {
    co_return fail(Code::conflict, "another request writes to this upload",
                   "wait for its end, then ask how far it came");
  }
  session->busy = true;
  Claim claim;
  claim.session = std::move(session);
  std::string id = visit.place.reference;
  CO_TRY_ASSIGN(claim.upload, co_await core_.store.resume(std::move(id)));
  claim.session->size = claim.upload->size();
  co_return claim;
}

Task<Result<void>> UploadRequests::reserve(Session& session, int64_t bytes) {
  blob::SpaceRequest wanted{std::string(org_of(session.repository)),
                            std::string(name_in_org(session.repository)), blob::Use::registry,
                            bytes};
  if (session.reservation.bytes() >= bytes) co_return Result<void>();
  co_return co_await core_.quota.grow(session.reservation, std::move(wanted));
}

// Appends the request's body. What came before it broke off stays, so that the client can go on.
Task<Result<void>> UploadRequests::receive(Visit& visit, Session& session, blob::Upload& upload) {
  const auto length = content_length(visit.request);
  CO_TRY(co_await reserve(session, upload.size() + length.value_or(0)));
  std::string piece;
  for (;;) {
    auto more = co_await visit.request.reader->read();
    const bool is_end = !more || more->empty();
    if (!is_end) {
      core_.counters.bytes_received.add(static_cast<double>(more->size()));
      if (piece.empty()) {
        piece = std::move(*more);
      } else {
        piece += *more;
      }
      if (piece.size() < kPieceBytes) continue;
    }
    const int64_t end = upload.size() + static_cast<int64_t>(piece.size());
    if (end > session.reservation.bytes()) {
      CO_TRY(co_await reserve(session, end + kReserveStep));
    }
    if (!piece.empty()) {
      CO_TRY(co_await upload.write(std::exchange(piece, {})));
    }
    session.size = upload.size();
    if (!more) co_return fail(std::move(more).error());
    if (is_end) co_return Result<void>();
  }
}

Task<Result<void>> UploadRequests::commit(const std::string& repository, blob::Upload& upload,
                                          const blob::Digest& digest,
                                          const std::string& session_id) {
  std::optional<blob::Digest> want = digest;
  CO_TRY_ASSIGN(const blob::BlobInfo info, co_await upload.commit(std::move(want)));
  Work<bool> work = [repository, info, session_id,
                     now = core_.clock.now()](db::Transaction& tx) -> Result<bool> {
    TRY(link_blob(tx, repository, info, now));
    if (!session_id.empty()) TRY(remove_upload(tx, session_id));
    return true;
  };
  CO_TRY(co_await core_.database.write<bool>(std::move(work)));
  core_.counters.blobs_pushed.add();
  co_return Result<void>();
}

Task<Result<void>> UploadRequests::suspend(const std::string& id, Claim& claim) {
  auto suspended = co_await claim.upload->suspend();
  if (suspended) co_return suspended;
  log_warn("an upload cannot be gone on with", {{"why", suspended.error().message}});
  co_await end_session(id);
  co_return suspended;
}

void UploadRequests::forget(const std::string& id) {
  sessions_.erase(id);
  core_.counters.open_uploads.set(static_cast<double>(sessions_.size()));
}

Task<void> UploadRequests::end_session(const std::string& id) {
  forget(id);
  Work<bool> work = [id](db::Transaction& tx) -> Result<bool> {
    TRY(remove_upload(tx, id));
    return true;
  };
  const auto removed = co_await core_.database.write<bool>(std::move(work));
  if (!removed) log_warn("an upload's row stays", {{"why", removed.error().message}});
}

Task<net::Response> UploadRequests::append(Visit& visit) {
  auto claimed = co_await claim(visit);
  if (!claimed) co_return upload_error(claimed.error());
  const std::string& id = visit.place.reference;
  auto refused = judge_chunk(visit.request, visit.place, claimed->upload->size());
  Result<void> received;
  if (!refused) received = co_await receive(visit, *claimed->session, *claimed->upload);
  const int64_t size = claimed->upload->size();
  const auto kept = co_await suspend(id, *claimed);
  if (refused) co_return std::move(*refused);
  if (!received) co_return upload_error(received.error());
  // Writing goes on behind the reading: what the disk did not take must not be answered as taken.
  if (!kept) co_return upload_error(kept.error());
  co_return session_answer(202, visit.place, id, size);
}

Task<net::Response> UploadRequests::finish(Visit& visit) {
  const auto digest = blob::parse_digest(visit.request.find_query("digest").value_or(""));
  if (!digest) co_return api_error(digest.error(), "DIGEST_INVALID");
  auto claimed = co_await claim(visit);
  if (!claimed) co_return upload_error(claimed.error());
  const std::string& id = visit.place.reference;
  auto refused = judge_chunk(visit.request, visit.place, claimed->upload->size());
  Result<void> received;
  if (!refused) received = co_await receive(visit, *claimed->session, *claimed->upload);
  if (refused || !received) {
    (void)co_await suspend(id, *claimed);
    co_return refused ? std::move(*refused) : upload_error(received.error());
  }
  const auto done = co_await commit(visit.place.repository, *claimed->upload, *digest, id);
  if (done) {
    forget(id);
    co_return created(visit.place.repository, *digest);
  }
  co_await end_session(id);
  co_return commit_error(done.error());
}

Task<net::Response> UploadRequests::status(Visit& visit) {
  const auto session = co_await find_session(visit);
  if (!session) co_return upload_error(session.error());
  if ((*session)->size < 0) {
    auto claimed = co_await claim(visit);
    if (!claimed) co_return upload_error(claimed.error());
    const auto kept = co_await suspend(visit.place.reference, *claimed);
    if (!kept) co_return upload_error(kept.error());
  }
  co_return session_answer(204, visit.place, visit.place.reference, (*session)->size);
}

Task<net::Response> UploadRequests::cancel(Visit& visit) {
  // Taking it and letting it go without suspending it removes what it had.
  auto claimed = co_await claim(visit);
  if (!claimed) co_return upload_error(claimed.error());
  co_await end_session(visit.place.reference);
  co_return net::Response::empty(204);
}

Task<Result<void>> UploadRequests::end_old(Time before) {
  Work<std::vector<std::string>> work = [before](db::Transaction& tx) {
    return old_uploads(tx, before);
  };
  CO_TRY_ASSIGN(const auto ids,
                co_await core_.database.read<std::vector<std::string>>(std::move(work)));
  for (const std::string& id : ids) {
    const auto known = sessions_.find(id);
    if (known != sessions_.end() && known->second->busy) continue;
    std::string discarded = id;
    (void)co_await core_.store.discard(
        std::move(discarded));  // a restart may have taken it already
    co_await end_session(id);
  }
  co_return Result<void>();
}

}  // namespace nimbus::registry
