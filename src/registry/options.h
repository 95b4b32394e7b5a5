// What the registry's owner decides. Values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/secret.h"
#include "base/time.h"

namespace nimbus::registry {

// Which tags and manifests of which repositories go by themselves. The first rule whose pattern
// matches a repository is its rule.
struct RetentionRule {
  std::string repositories = "*";  // `*` stands for any characters: "acme/*", "*-cache"
  int64_t keep_newest = 0;         // tags never removed, newest pushes first
  int64_t unused_days = 0;         // tags neither pushed nor pulled for so long go; 0: never
  int64_t untagged_days = 14;      // manifests nothing points to, likewise; 0: never
  std::string keep_tags;           // a pattern of tags that never go: "v*"
};

// An upstream registry whose images are fetched on demand, asked for with `?ns=NAMESPACE`.
struct MirrorOptions {
  std::string name;
  std::string upstream;  // "https://registry.example"
  std::string ns;        // what clients write in image names: "hub.example"
  std::string username;  // for the upstream; may be empty
  Secret password;
  Duration tag_ttl = std::chrono::seconds(60);  // how long a tag is believed without asking again
};

struct Options {
  std::string runner_org = "nimbus";  // whose images everybody may pull; "" for none
  int64_t org_uploads_max = 256;      // open upload sessions of one org
  Duration upload_ttl = std::chrono::hours(24);
  Duration blob_grace = std::chrono::hours(1);  // that a blob nothing refers to stays
  Duration sweep_every = std::chrono::minutes(5);
  std::vector<RetentionRule> retention;
  std::vector<MirrorOptions> mirrors;
};

// `*` matches any characters, also none; all else itself.
bool matches_pattern(std::string_view text, std::string_view pattern);

}  // namespace nimbus::registry
