// Artifacts in the database: what the jobs of one run hand to each other and to people. A name is
// unique within its run.
//
// Threads: every function runs on a database thread, inside a transaction.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "access/scope.h"
#include "blob/store.h"
#include "db/database.h"

namespace nimbus::cache {

// Whose artifacts: org and repo in lower case, and the run's id as job tokens carry it.
struct RunPlace {
  std::string org;
  std::string repo;
  std::string run;
};

struct Artifact {
  int64_t id = 0;
  RunPlace place;
  std::string job;  // the id of the job that made it, as its token carries it
  std::string name;
  std::string content_type;
  blob::BlobInfo blob;
  Time created_at;
  Time expires_at;
};

constexpr size_t kArtifactNameBytesMax = 256;
constexpr size_t kArtifactTypeBytesMax = 128;
constexpr int kArtifactsListedMax = 1000;  // as GitHub's

// bad_request: empty, too long, or a character that no file may have.
Result<void> check_artifact_name(std::string_view name);

// `artifact.id` and `created_at` are set by it. conflict: the name is taken.
Result<int64_t> insert_artifact_in(db::Transaction& tx, const Artifact& artifact, Time now);
Result<std::optional<Artifact>> find_artifact_in(db::Transaction& tx, const RunPlace& place,
                                                 std::string_view name);
Result<std::optional<Artifact>> read_artifact_in(db::Transaction& tx, int64_t id);
// In the order they were made; `name` and `id` narrow the list.
Result<std::vector<Artifact>> list_artifacts_in(db::Transaction& tx, const RunPlace& place,
                                                const std::optional<std::string>& name,
                                                const std::optional<int64_t>& id);
// Of any run, newest first.
struct ArtifactFilter {
  access::OrgScope orgs;
  std::optional<std::string> repo;  // in lower case
  std::optional<std::string> run;
  std::optional<std::string> name;
  int64_t before = INT64_MAX;  // ids below
  int limit = 100;
};
Result<std::vector<Artifact>> find_artifacts_in(db::Transaction& tx, const ArtifactFilter& filter);
Result<void> remove_artifact_in(db::Transaction& tx, const Artifact& artifact, Time now);
Result<std::vector<Artifact>> expired_artifacts_in(db::Transaction& tx, Time now, int limit);

}  // namespace nimbus::cache
