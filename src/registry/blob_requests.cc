#include "registry/blob_requests.h"

#include "base/log.h"
#include "net/file_response.h"
#include "registry/api_error.h"
#include "registry/names.h"
#include "registry/tables.h"

namespace nimbus::registry {
namespace {

constexpr std::string_view kOctets = "application/octet-stream";

net::FileAnswer answer_of(std::string_view digest, std::string_view content_type) {
  net::FileAnswer answer;
  answer.content_type = content_type;
  answer.etag = '"' + std::string(digest) + '"';
  answer.headers.add("Docker-Content-Digest", digest);
  return answer;
}

// "bytes=LAST-FIRST": to HTTP at large a range that may be overlooked, to this protocol's clients
// one that cannot be satisfied.
bool is_backward_range(const net::Request& request) {
  std::string_view range = request.headers.find("Range").value_or("");
  if (!range.starts_with("bytes=")) return false;
  const auto chunk = parse_chunk_range(range.substr(6));
  const size_t dash = range.find('-');
  return !chunk && dash != std::string_view::npos && dash > 6 && dash + 1 < range.size() &&
         range.find_first_not_of("0123456789-", 6) == std::string_view::npos;
}

net::Response unsatisfiable(int64_t size) {
  net::Response response = api_error(416, "BLOB_UNKNOWN", "the range ends before it begins");
  response.headers.add("Content-Range", "bytes */" + std::to_string(size));
  return response;
}

net::Response large_answer(const net::Request& request, const blob::OpenBlob& blob) {
  if (is_backward_range(request)) return unsatisfiable(blob.info().size);
  return blob.respond(request, answer_of(to_string(blob.info().digest), kOctets));
}

}  // namespace

net::Response blob_unknown() {
  return api_error(404, "BLOB_UNKNOWN", "the repository has no such blob");
}

net::Response content_answer(const net::Request& request, const CachedContent& content) {
  const std::string& bytes = *content.bytes;
  if (is_backward_range(request)) return unsatisfiable(static_cast<int64_t>(bytes.size()));
  const net::FileAnswer answer = answer_of(content.digest, content.media_type);
  const net::RangeChoice choice = net::choose_range(request, bytes.size(), answer.etag);
  net::Response response = net::range_head(choice, bytes.size(), answer);
  if (choice.status < 300) response.body = bytes.substr(choice.offset, choice.size);
  return response;
}

Task<Result<bool>> BlobRequests::is_visible(const Visit& visit, const blob::Digest& digest) {
  Work<bool> work = [repository = visit.place.repository,
                     name = to_string(digest)](db::Transaction& tx) -> Result<bool> {
    return TRY(find_blob(tx, repository, name)).has_value();
  };
  co_return co_await core_.database.read<bool>(std::move(work));
}

Task<net::Response> BlobRequests::send(Visit& visit, const blob::Digest& digest,
                                       uint64_t generation) {
  const std::string name = to_string(digest);
  blob::Digest wanted = digest;
  const auto opened = co_await core_.store.open(std::move(wanted));
  if (!opened) {
    if (opened.error().code == Code::not_found) {
      log_warn("a blob that a repository refers to is missing",
               {{"repository", visit.place.repository}, {"digest", name}});
      co_return blob_unknown();
    }
    co_return api_error(opened.error(), "BLOB_UNKNOWN");
  }
  const blob::OpenBlob& blob = **opened;
  if (is_backward_range(visit.request) ||
      blob.info().size > static_cast<int64_t>(kCachedEntryBytesMax)) {
    co_return large_answer(visit.request, blob);
  }
  auto bytes = co_await blob.read_all(kCachedEntryBytesMax);
  if (!bytes) co_return api_error(bytes.error(), "BLOB_UNKNOWN");
  const CachedContent content{name, std::string(kOctets),
                              std::make_shared<const std::string>(std::move(*bytes))};
  core_.cache.remember(visit.place.repository, "blob " + name, content, generation);
  co_return content_answer(visit.request, content);
}

Task<net::Response> BlobRequests::get(Visit& visit) {
  const std::string& repository = visit.place.repository;
  const std::string& reference = visit.place.reference;
  net::Response response;
  if (const auto* known = core_.cache.find(repository, "blob " + reference)) {
    response = content_answer(visit.request, *known);
  } else {
    const auto digest = blob::parse_digest(reference);
    if (!digest) co_return api_error(digest.error(), "DIGEST_INVALID");
    const uint64_t generation = core_.cache.generation();
    const auto visible = co_await is_visible(visit, *digest);
    if (!visible) co_return api_error(visible.error(), "BLOB_UNKNOWN");
    if (!*visible) {
      core_.counters.blobs_missed.add();
      co_return blob_unknown();
    }
    response = co_await send(visit, *digest, generation);
  }
  note(visit, response);
  co_return response;
}

net::Response BlobRequests::answer(const Visit& visit, const blob::OpenBlob& blob) {
  net::Response response = large_answer(visit.request, blob);
  note(visit, response);
  return response;
}

void BlobRequests::note(const Visit& visit, const net::Response& response) {
  if (response.status >= 400) return;
  core_.uses.blob_seen(visit.place.repository, visit.place.reference);
  if (visit.request.method != "GET" || response.status >= 300) return;
  core_.counters.blobs_pulled.add();
  const uint64_t bytes =
      response.file ? response.file->size : response.stream_bytes.value_or(response.body.size());
  core_.counters.bytes_sent.add(static_cast<double>(bytes));
}

Task<net::Response> BlobRequests::remove(Visit& visit) {
  const auto digest = blob::parse_digest(visit.place.reference);
  if (!digest) co_return api_error(digest.error(), "DIGEST_INVALID");
  Work<bool> work = [repository = visit.place.repository, digest = *digest,
                     now = core_.clock.now()](db::Transaction& tx) {
    return unlink_blob(tx, repository, digest, now);
  };
  const auto removed = co_await core_.database.write<bool>(std::move(work));
  core_.cache.forget(visit.place.repository);
  if (!removed && removed.error().code == Code::conflict) {
    co_return api_error(405, "UNSUPPORTED", removed.error().message, removed.error().hint);
  }
  if (!removed) co_return api_error(removed.error(), "BLOB_UNKNOWN");
  co_return *removed ? net::Response::empty(202) : blob_unknown();
}

}  // namespace nimbus::registry
