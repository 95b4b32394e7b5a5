#include "cache/artifact_service.h"

#include <algorithm>
#include <boost/json.hpp>

#include "api/json_text.h"
#include "base/text.h"
#include "cache/actions_entries.h"
#include "cache/twirp.h"

namespace nimbus::cache {
namespace {

constexpr std::string_view kService = "/twirp/github.actions.results.api.v1.ArtifactService/";
constexpr std::string_view kTypeDefault = "application/zip";

std::string upload_name(const RunPlace& place, std::string_view name) {
  return "artifact\n" + place.run + "\n" + std::string(name);
}

// "application/zip", as RFC 9110 writes media types; what is odd becomes plain bytes.
std::string sane_type(const std::optional<std::string>& type) {
  if (!type || type->empty()) return std::string(kTypeDefault);
  const bool sane =
      type->size() <= kArtifactTypeBytesMax && std::all_of(type->begin(), type->end(), [](char c) {
        return c > 0x20 && c < 0x7f && c != '"' && c != '\\';
      });
  return sane ? *type : "application/octet-stream";
}

std::string artifact_json(const Artifact& artifact) {
  return api::JsonText()
      .text("workflow_run_backend_id", artifact.place.run)
      .text("workflow_job_run_backend_id", artifact.job)
      .text("database_id", std::to_string(artifact.id))
      .text("name", artifact.name)
      .text("size", std::to_string(artifact.blob.size))
      .time("created_at", artifact.created_at)
      .text("digest", blob::to_string(artifact.blob.digest))
      .finish();
}

}  // namespace

struct ArtifactService::Call {
  RunPlace place;
  std::string job;
  std::string by;
  model::JobId execution_job;
  model::Fence fence;
  boost::json::object body;
};

void ArtifactService::add_to(net::Router& router) {
  const std::string service(kService);
  const net::RouteOptions options{.body_bytes_max = kTwirpBodyBytesMax};
  const auto method = [&](std::string_view name,
                          Task<net::Response> (ArtifactService::*call)(net::Request&)) {
    router.post(
        service + std::string(name), [this, call](net::Request& r) { return (this->*call)(r); },
        options);
  };
  method("CreateArtifact", &ArtifactService::create);
  method("FinalizeArtifact", &ArtifactService::finalize);
  method("ListArtifacts", &ArtifactService::list);
  method("GetSignedArtifactURL", &ArtifactService::sign);
  method("DeleteArtifact", &ArtifactService::remove);
}

Task<Result<ArtifactService::Call>> ArtifactService::admit(const net::Request& request) {
  const auto caller =
      co_await core_.parts.authenticator.require_job(request, access::kScopeArtifacts);
  if (!caller) co_return fail(caller.error());
  const access::JobClaims& claims = *caller->job;
  Call call;
  CO_TRY_ASSIGN(call.body, read_twirp(request));
  CO_TRY_ASSIGN(const std::string run, twirp_text(call.body, "workflow_run_backend_id"));
  if (run != claims.run_backend_id) co_return fail(Code::not_found, "no such workflow run");
  call.place = {to_lower(claims.org), to_lower(claims.repo), claims.run_backend_id};
  call.job = claims.job_backend_id;
  call.by = caller->id;
  call.execution_job = claims.job;
  call.fence = claims.fence;
  co_return call;
}

Task<Result<std::optional<Artifact>>> ArtifactService::find(const RunPlace& place,
                                                            const std::string& name) {
  std::function<Result<std::optional<Artifact>>(db::Transaction&)> work =
      [place, name](db::Transaction& tx) { return find_artifact_in(tx, place, name); };
  co_return co_await core_.parts.database.read<std::optional<Artifact>>(std::move(work));
}

Task<net::Response> ArtifactService::create(net::Request& request) {
  const auto call = co_await admit(request);
  if (!call) co_return twirp_problem(call.error());
  const auto name = twirp_text(call->body, "name");
  if (!name) co_return twirp_problem(name.error());
  if (const auto good = check_artifact_name(*name); !good) co_return twirp_problem(good.error());
  const auto taken = co_await find(call->place, *name);
  if (!taken) co_return twirp_problem(taken.error());
  if (*taken) {
    co_return twirp_problem(
        {Code::conflict, "an artifact with this name already exists on the workflow run"});
  }
  const auto type = twirp_wrapped(call->body, "mime_type");
  if (!type) co_return twirp_problem(type.error());
  const auto expires = twirp_wrapped(call->body, "expires_at");
  if (!expires) co_return twirp_problem(expires.error());
  UploadTarget target{call->place.org, call->place.repo,    upload_name(call->place, *name),
                      call->by,        call->execution_job, call->fence};
  target.content_type = sane_type(*type);
  target.expires_at = core_.now() + core_.options.artifact_retention;
  if (*expires) {
    const auto at = parse_rfc3339(**expires);
    if (!at) co_return twirp_problem({Code::bad_request, "field 'expires_at' is not a time"});
    target.expires_at = std::min(target.expires_at, *at);
  }
  const auto session = co_await uploads_.open(std::move(target), std::nullopt);
  if (!session) co_return twirp_problem(session.error());
  const std::string path =
      core_.signer.sign("upload", std::to_string((*session)->id()), core_.now() + kUploadUrlLife);
  co_return net::Response::json(200, api::JsonText()
                                         .boolean("ok", true)
                                         .text("signed_upload_url", origin_of(request) + path)
                                         .finish());
}

Task<Result<int64_t>> ArtifactService::enter(const Call& call, std::string name,
                                             std::shared_ptr<UploadSession> session) {
  Artifact artifact;
  artifact.place = call.place;
  artifact.job = call.job;
  artifact.name = std::move(name);
  artifact.content_type = session->target().content_type;
  artifact.expires_at = session->target().expires_at;
  artifact.blob = *session->content();
  std::function<Result<int64_t>(db::Transaction&)> work = [artifact,
                                                           now = core_.now()](db::Transaction& tx) {
    return insert_artifact_in(tx, artifact, now);
  };
  auto entered = co_await core_.parts.database.write<int64_t>(std::move(work));
  if (entered || entered.error().code == Code::conflict) uploads_.close(*session);
  co_return entered;
}

Task<net::Response> ArtifactService::finalize(net::Request& request) {
  const auto call = co_await admit(request);
  if (!call) co_return twirp_problem(call.error());
  const auto name = twirp_text(call->body, "name");
  if (!name) co_return twirp_problem(name.error());
  const auto size = twirp_integer(call->body, "size");
  if (!size) co_return twirp_problem(size.error());
  const auto hash = twirp_wrapped(call->body, "hash");
  if (!hash) co_return twirp_problem(hash.error());
  const UploadTarget target{call->place.org, call->place.repo, upload_name(call->place, *name), ""};
  const auto session = uploads_.find(target);
  std::optional<int64_t> id;
  std::optional<blob::BlobInfo> content;
  if (session != nullptr) {
    if (!session->content()) {
      co_return twirp_problem({Code::bad_request, "the upload is not complete"});
    }
    content = *session->content();
  } else {
    // The answer to the first time may have been lost on its way.
    const auto there = co_await find(call->place, *name);
    if (!there) co_return twirp_problem(there.error());
    if (!*there || (*there)->job != call->job) {
      co_return twirp_problem({Code::not_found, "no upload of this artifact is open"});
    }
    id = (*there)->id;
    content = (*there)->blob;
  }
  if (*size && **size != content->size) {
    co_return twirp_problem(
        {Code::bad_request,
         std::to_string(content->size) + " bytes were uploaded, not " + std::to_string(**size)});
  }
  if (*hash && !(*hash)->empty() && **hash != blob::to_string(content->digest)) {
    co_return twirp_problem({Code::bad_request, "the uploaded bytes have another hash"});
  }
  if (!id) {
    std::string named = *name;
    auto upload = session;
    const auto entered = co_await enter(*call, std::move(named), std::move(upload));
    if (!entered) co_return twirp_problem(entered.error());
    id = *entered;
  }
  co_return net::Response::json(
      200, api::JsonText().boolean("ok", true).text("artifact_id", std::to_string(*id)).finish());
}

Task<net::Response> ArtifactService::list(net::Request& request) {
  const auto call = co_await admit(request);
  if (!call) co_return twirp_problem(call.error());
  const auto name = twirp_wrapped(call->body, "name_filter");
  if (!name) co_return twirp_problem(name.error());
  const auto id = twirp_integer(call->body, "id_filter");
  if (!id) co_return twirp_problem(id.error());
  std::function<Result<std::vector<Artifact>>(db::Transaction&)> work =
      [place = call->place, name = *name, id = *id](db::Transaction& tx) {
        return list_artifacts_in(tx, place, name, id);
      };
  const auto found = co_await core_.parts.database.read<std::vector<Artifact>>(std::move(work));
  if (!found) co_return twirp_problem(found.error());
  std::vector<std::string> items;
  for (const Artifact& artifact : *found) items.push_back(artifact_json(artifact));
  co_return net::Response::json(200,
                                api::JsonText().raw("artifacts", api::json_array(items)).finish());
}

Task<net::Response> ArtifactService::sign(net::Request& request) {
  const auto call = co_await admit(request);
  if (!call) co_return twirp_problem(call.error());
  const auto name = twirp_text(call->body, "name");
  if (!name) co_return twirp_problem(name.error());
  const auto found = co_await find(call->place, *name);
  if (!found) co_return twirp_problem(found.error());
  if (!*found) {
    core_.artifacts.misses.add();
    co_return twirp_problem({Code::not_found, "no such artifact"});
  }
  core_.artifacts.hits.add();
  const std::string path =
      core_.signer.sign("artifact", std::to_string((*found)->id), core_.now() + kDownloadUrlLife);
  co_return net::Response::json(
      200, api::JsonText().text("signed_url", origin_of(request) + path).finish());
}

Task<net::Response> ArtifactService::remove(net::Request& request) {
  const auto call = co_await admit(request);
  if (!call) co_return twirp_problem(call.error());
  const auto name = twirp_text(call->body, "name");
  if (!name) co_return twirp_problem(name.error());
  std::function<Result<std::optional<int64_t>>(db::Transaction&)> work =
      [place = call->place, name = *name,
       now = core_.now()](db::Transaction& tx) -> Result<std::optional<int64_t>> {
    const auto artifact = TRY(find_artifact_in(tx, place, name));
    if (!artifact) return std::nullopt;
    TRY(remove_artifact_in(tx, *artifact, now));
    return artifact->id;
  };
  const auto removed = co_await core_.parts.database.write<std::optional<int64_t>>(std::move(work));
  if (!removed) co_return twirp_problem(removed.error());
  if (!*removed) co_return twirp_problem({Code::not_found, "no such artifact"});
  co_return net::Response::json(
      200,
      api::JsonText().boolean("ok", true).text("artifact_id", std::to_string(**removed)).finish());
}

}  // namespace nimbus::cache
