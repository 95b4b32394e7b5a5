// What a repository holds, for people who look at it: its tags and its manifests, the newest push
// first. Clients of the protocol have lists of their own (listing_requests.h).
//
// Threads: a database thread, inside a transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "db/database.h"

namespace nimbus::registry {

constexpr int kTagsShownMax = 20;       // of one manifest
constexpr int kPlatformsShownMax = 64;  // of one index

// An image, an index or an artifact, with all it consists of.
struct Content {
  std::string digest;
  std::string media_type;
  std::string artifact_type;           // or ""
  std::vector<std::string> platforms;  // that an index gives: its own, or the one it has this for
  int64_t bytes = 0;  // the manifest, what it names, and what the manifests it names name
  Time pushed_at;
  std::optional<Time> pulled_at;
};

struct TagRow {
  std::string tag;
  Content content;  // pushed_at and pulled_at are the tag's
};

struct ManifestRow {
  Content content;
  std::vector<std::string> tags;  // that point to it, at most kTagsShownMax
  std::string subject;            // the digest that it describes, or ""
};

// Up to `limit` rows that were pushed before `before` (then: with a smaller name or digest).
struct PushPosition {
  int64_t pushed_us = INT64_MAX;
  std::string name;
};
struct ContentQuery {
  int64_t repository = 0;
  PushPosition before;
  int limit = 100;
};
Result<std::vector<TagRow>> list_tag_rows(db::Transaction& tx, const ContentQuery& query);
Result<std::vector<ManifestRow>> list_manifest_rows(db::Transaction& tx, const ContentQuery& query);

// "PUSHED:NAME". bad_request: not one that a list gave.
std::string to_string(const PushPosition& position);
Result<PushPosition> parse_push_position(std::string_view text);

}  // namespace nimbus::registry
