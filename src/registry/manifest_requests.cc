#include "registry/manifest_requests.h"

#include "base/log.h"
#include "registry/api_error.h"
#include "registry/blob_requests.h"
#include "registry/manifest_table.h"
#include "registry/tables.h"

namespace nimbus::registry {
namespace {

Task<Result<std::string>> read_body(net::Request& request) {
  std::string body;
  for (;;) {
    CO_TRY_ASSIGN(const std::string piece, co_await request.reader->read());
    if (piece.empty()) co_return body;
    body += piece;
    if (body.size() > kManifestBytesMax) {
      co_return fail(Code::too_large,
                     "the manifest is over " + std::to_string(kManifestBytesMax) + " bytes");
    }
  }
}

net::Response references_unknown(const std::vector<std::string>& missing) {
  return api_error(400, "MANIFEST_BLOB_UNKNOWN",
                   "the manifest refers to " + std::to_string(missing.size()) +
                       " things that the repository lacks, first " + missing.front(),
                   "push them first");
}

bool is_digest(std::string_view reference) { return reference.find(':') != std::string_view::npos; }

}  // namespace

net::Response manifest_unknown() {
  return api_error(404, "MANIFEST_UNKNOWN", "the repository has no such manifest");
}

Task<Result<std::optional<CachedContent>>> ManifestRequests::find(const std::string& repository,
                                                                  const std::string& reference) {
  if (const auto* known = core_.cache.find(repository, reference)) co_return *known;
  const uint64_t generation = core_.cache.generation();
  Work<std::optional<StoredManifest>> work = [repository, reference](db::Transaction& tx) {
    return find_manifest(tx, repository, reference);
  };
  CO_TRY_ASSIGN(const auto row,
                co_await core_.database.read<std::optional<StoredManifest>>(std::move(work)));
  if (!row) co_return std::nullopt;
  CO_TRY_ASSIGN(blob::Digest digest, blob::parse_digest(row->digest));
  const auto opened = co_await core_.store.open(std::move(digest));
  if (!opened) {
    if (opened.error().code != Code::not_found) co_return fail(opened.error());
    log_warn("a manifest's bytes are missing",
             {{"repository", repository}, {"digest", row->digest}});
    co_return std::nullopt;
  }
  CO_TRY_ASSIGN(std::string bytes, co_await (*opened)->read_all(kManifestBytesMax));
  CachedContent content{row->digest, row->media_type,
                        std::make_shared<const std::string>(std::move(bytes))};
  core_.cache.remember(repository, reference, content, generation);
  co_return content;
}

Task<net::Response> ManifestRequests::get(Visit& visit) {
  const std::string& reference = visit.place.reference;
  const bool by_digest = is_digest(reference);
  if (by_digest) {
    const auto digest = blob::parse_digest(reference);
    if (!digest) co_return api_error(digest.error(), "DIGEST_INVALID");
  } else if (!is_tag(reference)) {
    co_return manifest_unknown();
  }
  const auto found = co_await find(visit.place.repository, reference);
  if (!found) co_return api_error(found.error(), "MANIFEST_UNKNOWN");
  if (!*found) {
    core_.counters.manifests_missed.add();
    co_return manifest_unknown();
  }
  core_.uses.manifest_pulled(visit.place.repository, (*found)->digest, by_digest ? "" : reference);
  core_.counters.manifests_pulled.add();
  co_return content_answer(visit.request, **found);
}

Result<ManifestRequests::Target> ManifestRequests::judge_target(const Visit& visit,
                                                                std::string_view bytes) {
  Target target;
  const std::string& reference = visit.place.reference;
  if (is_digest(reference)) {
    const blob::Digest wanted = TRY(blob::parse_digest(reference));
    target.digest = blob::digest_of(bytes, wanted.algorithm);
    if (target.digest != wanted) {
      return fail(Code::bad_request, "the bytes are " + to_string(target.digest));
    }
    for (const auto& [name, value] : visit.request.query) {
      if (name == "tag") target.tags.push_back(value);
    }
  } else {
    target.digest = blob::digest_of(bytes);
    target.tags.push_back(reference);
  }
  if (target.tags.size() > kTagsPerPushMax) {
    return fail(Code::bad_request, "over " + std::to_string(kTagsPerPushMax) + " tags at once");
  }
  return target;
}

Task<Result<std::vector<std::string>>> ManifestRequests::store(
    std::string repository, std::string bytes, blob::Digest digest, ManifestDocument document,
    std::vector<std::string> tags, bool check_references) {
  blob::SpaceRequest space{std::string(org_of(repository)), std::string(name_in_org(repository)),
                           blob::Use::registry, static_cast<int64_t>(bytes.size())};
  CO_TRY_ASSIGN(const blob::Reservation reservation,
                co_await core_.quota.reserve(std::move(space)));
  blob::UploadOptions options;
  options.algorithm = digest.algorithm;
  CO_TRY_ASSIGN(auto upload, co_await core_.store.begin(options));
  CO_TRY(co_await upload->write(std::move(bytes)));
  CO_TRY_ASSIGN(const blob::BlobInfo info, co_await upload->commit(std::move(digest)));
  const ManifestPush push{repository, info, std::move(document), std::move(tags), check_references};
  Work<std::vector<std::string>> work = [push, now = core_.clock.now()](db::Transaction& tx) {
    return put_manifest(tx, push, now);
  };
  auto missing = co_await core_.database.write<std::vector<std::string>>(std::move(work));
  core_.cache.forget(repository);
  co_return missing;
}

Task<net::Response> ManifestRequests::put(Visit& visit) {
  auto body = co_await read_body(visit.request);
  if (!body) co_return api_error(body.error(), "MANIFEST_INVALID");
  auto target = judge_target(visit, *body);
  if (!target) co_return api_error(target.error(), "DIGEST_INVALID");
  for (const std::string& tag : target->tags) {
    if (!is_tag(tag)) co_return api_error(400, "TAG_INVALID", "the tag is not valid");
  }
  auto document = parse_manifest(*body, visit.request.headers.find("Content-Type").value_or(""));
  if (!document) co_return api_error(document.error(), "MANIFEST_INVALID");
  const std::string subject = document->subject;
  const std::string& repository = visit.place.repository;
  std::string place = repository;
  blob::Digest named = target->digest;
  std::vector<std::string> tags = target->tags;
  const auto missing = co_await store(std::move(place), std::move(*body), std::move(named),
                                      std::move(*document), std::move(tags), true);
  if (!missing) co_return api_error(missing.error(), "MANIFEST_INVALID");
  if (!missing->empty()) co_return references_unknown(*missing);
  core_.counters.manifests_pushed.add();
  const std::string digest = to_string(target->digest);
  net::Response response = net::Response::empty(201);
  response.headers.add("Location", "/v2/" + repository + "/manifests/" + digest);
  response.headers.add("Docker-Content-Digest", digest);
  if (!subject.empty()) response.headers.add("OCI-Subject", subject);
  if (visit.request.find_query("tag")) {
    for (const std::string& tag : target->tags) response.headers.add("OCI-Tag", tag);
  }
  co_return response;
}

Task<net::Response> ManifestRequests::remove(Visit& visit) {
  const std::string& reference = visit.place.reference;
  if (is_digest(reference)) {
    const auto digest = blob::parse_digest(reference);
    if (!digest) co_return api_error(digest.error(), "DIGEST_INVALID");
  }
  Work<bool> work = [repository = visit.place.repository, reference,
                     now = core_.clock.now()](db::Transaction& tx) {
    return is_digest(reference) ? remove_manifest(tx, repository, reference, now)
                                : remove_tag(tx, repository, reference);
  };
  const auto removed = co_await core_.database.write<bool>(std::move(work));
  core_.cache.forget(visit.place.repository);
  if (!removed) co_return api_error(removed.error(), "MANIFEST_UNKNOWN");
  co_return *removed ? net::Response::empty(202) : manifest_unknown();
}

}  // namespace nimbus::registry
