#include "cache/artifact_store.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/encoding.h"
#include "blob/catalog.h"

namespace nimbus::cache {
namespace {

constexpr std::string_view kForbidden = "\":<>|*?\r\n\\/";  // as GitHub's

std::string select(std::string_view rest) {
  return "SELECT id, org, repo, run, job, name, content_type, digest, size, created_us, expires_us "
         "FROM cache_artifacts " +
         std::string(rest);
}

Result<Artifact> artifact_of(const db::Row& row) {
  Artifact artifact;
  artifact.id = row.integer(0);
  artifact.place = {row.text(1), row.text(2), row.text(3)};
  artifact.job = row.text(4);
  artifact.name = row.text(5);
  artifact.content_type = row.text(6);
  artifact.blob = {TRY(blob::parse_digest(row.text(7))), row.integer(8)};
  artifact.created_at = row.time(9);
  artifact.expires_at = row.time(10);
  return artifact;
}

Result<std::vector<Artifact>> artifacts_of(const db::Rows& rows) {
  std::vector<Artifact> artifacts;
  artifacts.reserve(rows.size());
  for (const db::Row& row : rows) artifacts.push_back(TRY(artifact_of(row)));
  return artifacts;
}

blob::Hold hold_of(const RunPlace& place, int64_t id) {
  return {place.org, place.repo, blob::Use::cache, "artifact:" + std::to_string(id)};
}

}  // namespace

Result<void> check_artifact_name(std::string_view name) {
  if (name.empty() || name.size() > kArtifactNameBytesMax) {
    return fail(Code::bad_request, "the artifact's name is empty or longer than 256 bytes");
  }
  const bool bad = std::any_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f ||
           kForbidden.find(c) != std::string_view::npos;
  });
  if (bad || !is_utf8(name)) {
    return fail(Code::bad_request, "the artifact's name has a character that no file may have");
  }
  return {};
}

Result<int64_t> insert_artifact_in(db::Transaction& tx, const Artifact& artifact, Time now) {
  if (TRY(find_artifact_in(tx, artifact.place, artifact.name))) {
    return fail(Code::conflict, "an artifact with this name already exists on the workflow run");
  }
  const std::string digest = blob::to_string(artifact.blob.digest);
  const std::array<db::Parameter, 10> values = {artifact.place.org,
                                                artifact.place.repo,
                                                artifact.place.run,
                                                artifact.job,
                                                artifact.name,
                                                artifact.content_type,
                                                digest,
                                                artifact.blob.size,
                                                now,
                                                artifact.expires_at};
  const auto inserted = TRY(tx.insert_with(
      "INSERT INTO cache_artifacts (org, repo, run, job, name, content_type, digest, size, "
      "created_us, expires_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
      values));
  CHECK(inserted.has_value());
  const int64_t id = *inserted;
  TRY(blob::hold_in(tx, hold_of(artifact.place, id), artifact.blob, now));
  return id;
}

Result<std::optional<Artifact>> find_artifact_in(db::Transaction& tx, const RunPlace& place,
                                                 std::string_view name) {
  const auto row = TRY(tx.find(select("WHERE org = $1 AND repo = $2 AND run = $3 AND name = $4"),
                               place.org, place.repo, place.run, name));
  if (!row) return std::nullopt;
  return TRY(artifact_of(*row));
}

Result<std::optional<Artifact>> read_artifact_in(db::Transaction& tx, int64_t id) {
  const auto row = TRY(tx.find(select("WHERE id = $1"), id));
  if (!row) return std::nullopt;
  return TRY(artifact_of(*row));
}

Result<std::vector<Artifact>> list_artifacts_in(db::Transaction& tx, const RunPlace& place,
                                                const std::optional<std::string>& name,
                                                const std::optional<int64_t>& id) {
  const std::string wanted = name.value_or("");
  return artifacts_of(
      TRY(tx.query(select("WHERE org = $1 AND repo = $2 AND run = $3 AND ($4 = '' OR name = $4) "
                          "AND ($5 = 0 OR id = $5) ORDER BY id LIMIT $6"),
                   place.org, place.repo, place.run, wanted, id.value_or(0), kArtifactsListedMax)));
}

Result<std::vector<Artifact>> find_artifacts_in(db::Transaction& tx, const ArtifactFilter& filter) {
  // Orgs are stored in lower case: the column itself, so that its index serves.
  const auto org = filter.orgs.single();
  std::string sql = "WHERE id < $1 AND ";
  std::vector<db::Parameter> parameters{filter.before};
  const auto add = [&](std::string_view condition, std::string_view value) {
    parameters.emplace_back(value);
    sql += std::string(condition) + "$" + std::to_string(parameters.size());
  };
  if (org) {
    add("org = ", *org);
  } else {
    sql += filter.orgs.is_all() ? "1 = 1" : "1 = 0";
  }
  if (filter.repo) add(" AND repo = ", *filter.repo);
  if (filter.run) add(" AND run = ", *filter.run);
  if (filter.name) add(" AND name = ", *filter.name);
  parameters.emplace_back(filter.limit);
  sql += " ORDER BY id DESC LIMIT $" + std::to_string(parameters.size());
  return artifacts_of(TRY(tx.query_with(select(sql), parameters)));
}

Result<void> remove_artifact_in(db::Transaction& tx, const Artifact& artifact, Time now) {
  const int64_t removed = TRY(tx.run("DELETE FROM cache_artifacts WHERE id = $1", artifact.id));
  if (removed == 0) return {};
  TRY(blob::release_in(tx, hold_of(artifact.place, artifact.id), artifact.blob.digest, now));
  return {};
}

Result<std::vector<Artifact>> expired_artifacts_in(db::Transaction& tx, Time now, int limit) {
  return artifacts_of(
      TRY(tx.query(select("WHERE expires_us < $1 ORDER BY expires_us LIMIT $2"), now, limit)));
}

}  // namespace nimbus::cache
