#include "registry/contents.h"

#include <charconv>

namespace nimbus::registry {
namespace {

// Of manifest `m`: columns 0 to 3. An index also counts the manifests that it names.
constexpr std::string_view kContentColumns =
    "m.digest, m.media_type, m.artifact_type, m.size + m.content_bytes + COALESCE("
    "(SELECT sum(c.size + c.content_bytes) FROM registry_references f JOIN registry_manifests c "
    "ON c.repository = f.repository AND c.digest = f.target "
    "WHERE f.repository = m.repository AND f.manifest = m.digest), 0)";

Result<std::vector<std::string>> read_texts(db::Transaction& tx, std::string_view sql,
                                            int64_t repository, std::string_view digest,
                                            int limit) {
  std::vector<std::string> texts;
  for (const db::Row& row : TRY(tx.query(sql, repository, digest, limit))) {
    texts.push_back(row.text(0));
  }
  return texts;
}

// Those of its children, or else the one for which an index names it.
Result<std::vector<std::string>> read_platforms(db::Transaction& tx, int64_t repository,
                                                std::string_view digest) {
  auto own = TRY(read_texts(tx,
                            "SELECT DISTINCT platform FROM registry_references WHERE "
                            "repository = $1 AND manifest = $2 AND platform <> '' "
                            "ORDER BY platform LIMIT $3",
                            repository, digest, kPlatformsShownMax));
  if (!own.empty()) return own;
  return read_texts(tx,
                    "SELECT platform FROM registry_references WHERE "
                    "repository = $1 AND target = $2 AND platform <> '' LIMIT $3",
                    repository, digest, 1);
}

Result<Content> read_content(db::Transaction& tx, int64_t repository, const db::Row& row) {
  Content content;
  content.digest = row.text(0);
  content.media_type = row.text(1);
  content.artifact_type = row.text(2);
  content.bytes = row.integer(3);
  content.pushed_at = row.time(4);
  content.pulled_at = row.find_time(5);
  content.platforms = TRY(read_platforms(tx, repository, content.digest));
  return content;
}

}  // namespace

Result<std::vector<TagRow>> list_tag_rows(db::Transaction& tx, const ContentQuery& query) {
  static const std::string kSql =
      "SELECT " + std::string(kContentColumns) +
      ", t.pushed_us, t.pulled_us, t.name FROM registry_tags t JOIN registry_manifests m "
      "ON m.repository = t.repository AND m.digest = t.digest "
      "WHERE t.repository = $1 AND (t.pushed_us, t.name) < ($2, $3) "
      "ORDER BY t.pushed_us DESC, t.name DESC LIMIT $4";
  std::vector<TagRow> out;
  for (const db::Row& row : TRY(tx.query(kSql, query.repository, query.before.pushed_us,
                                         query.before.name, query.limit))) {
    out.push_back({row.text(6), TRY(read_content(tx, query.repository, row))});
  }
  return out;
}

Result<std::vector<ManifestRow>> list_manifest_rows(db::Transaction& tx,
                                                    const ContentQuery& query) {
  static const std::string kSql = "SELECT " + std::string(kContentColumns) +
                                  ", m.pushed_us, m.pulled_us, m.subject FROM registry_manifests m "
                                  "WHERE m.repository = $1 AND (m.pushed_us, m.digest) < ($2, $3) "
                                  "ORDER BY m.pushed_us DESC, m.digest DESC LIMIT $4";
  std::vector<ManifestRow> out;
  for (const db::Row& row : TRY(tx.query(kSql, query.repository, query.before.pushed_us,
                                         query.before.name, query.limit))) {
    ManifestRow manifest{TRY(read_content(tx, query.repository, row)), {}, ""};
    manifest.subject = row.find_text(6).value_or("");
    manifest.tags = TRY(read_texts(tx,
                                   "SELECT name FROM registry_tags WHERE repository = $1 AND "
                                   "digest = $2 ORDER BY name LIMIT $3",
                                   query.repository, manifest.content.digest, kTagsShownMax));
    out.push_back(std::move(manifest));
  }
  return out;
}

std::string to_string(const PushPosition& position) {
  return std::to_string(position.pushed_us) + ":" + position.name;
}

Result<PushPosition> parse_push_position(std::string_view text) {
  PushPosition position;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, position.pushed_us);
  if (error != std::errc() || rest == end || *rest != ':') {
    return fail(Code::bad_request, "cursor is not one that a list gave");
  }
  position.name = std::string(rest + 1, end);
  return position;
}

}  // namespace nimbus::registry
