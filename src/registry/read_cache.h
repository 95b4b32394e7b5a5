// What was read of repositories a moment ago: where a tag points, what a digest is, and the bytes
// of small ones. An entry is trusted for a second, so that another process's change is seen within
// that; this process's own changes take effect at once.
//
// Threads: the loop's.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace nimbus::registry {

constexpr size_t kCachedBytesMax = size_t{64} << 20;
constexpr size_t kCachedEntryBytesMax = 256 * 1024;  // larger content is read from the store
constexpr Duration kCacheTrust = std::chrono::seconds(1);

struct CachedContent {
  std::string digest;
  std::string media_type;
  std::shared_ptr<const std::string> bytes;
};

class ReadCache {
 public:
  explicit ReadCache(const Clock& clock) : clock_(clock) {}

  // `what` is a manifest's tag or digest, or "blob " and a digest.
  const CachedContent* find(std::string_view repository, std::string_view what);
  // Taken before what is to be remembered is read; an entry is refused when anything of the
  // repository changed since.
  uint64_t generation() const { return generation_; }
  void remember(std::string_view repository, std::string_view what, CachedContent content,
                uint64_t generation);
  // Something of the repository changed.
  void forget(std::string_view repository);

 private:
  struct Entry {
    CachedContent content;
    Duration until{0};
    std::list<std::string>::iterator use;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;
  void drop(Entries::iterator entry);
  void key_of(std::string_view repository, std::string_view what);

  const Clock& clock_;
  Entries entries_;              // by repository, a line feed, and what
  std::list<std::string> uses_;  // most recent first
  std::string key_;              // of the question being answered
  size_t bytes_ = 0;
  uint64_t generation_ = 0;
};

}  // namespace nimbus::registry
