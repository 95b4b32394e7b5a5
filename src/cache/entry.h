// What the cache keeps: entries, where they lie, and who wrote them.
//
// Threads: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "blob/store.h"

namespace nimbus::cache {

// actions: by the Actions cache protocols, immutable, found by key prefix. plain: by PUT and GET of
// one key, replaced by the next PUT.
enum class Kind { actions, plain };
std::string_view to_string(Kind kind);
std::optional<Kind> find_kind(std::string_view name);

// Where a key is unique. Org and repo are in lower case; an empty repo is the whole org's.
struct Place {
  std::string org;
  std::string repo;
  Kind kind = Kind::actions;
  std::string scope;    // a ref, as the job token gives it
  std::string version;  // of the paths that are cached; empty for plain entries
  bool operator==(const Place&) const = default;
};

struct Writer {
  std::string by;     // the caller's id: "job-12", "tok-…"
  std::string ref;    // of the job, as it was started
  std::string event;  // "push", "pull_request", …; empty when unknown or not GitHub's
  std::string trust;  // access::Trust's name, or "operator"
};

struct Entry {
  int64_t id = 0;
  Place place;
  std::string key;
  blob::BlobInfo blob;
  Time created_at;
  Time used_at;
  Writer writer;
};

struct NewEntry {
  Place place;
  std::string key;
  blob::BlobInfo blob;
  Writer writer;
};

constexpr size_t kActionsKeyBytesMax = 512 * 4;  // 512 characters
constexpr size_t kPlainKeyBytesMax = 1024;
constexpr size_t kVersionBytesMax = 512;
constexpr size_t kKeysMax = 10;  // of one lookup, as GitHub's

// bad_request: empty, too long, a comma (it separates keys on the wire), a control character, or
// ill-formed UTF-8.
Result<void> check_actions_key(std::string_view key);
// The same, and no `\` and no segment `.` or `..`: tools make file names of these keys. A comma is
// allowed.
Result<void> check_plain_key(std::string_view key);
Result<void> check_version(std::string_view version);

}  // namespace nimbus::cache
