#include "registry/read_cache.h"

namespace nimbus::registry {
namespace {

// What an entry costs besides its bytes.
constexpr size_t kEntryBytes = 512;

}  // namespace

void ReadCache::key_of(std::string_view repository, std::string_view what) {
  key_ = repository;
  key_ += '\n';
  key_ += what;
}

const CachedContent* ReadCache::find(std::string_view repository, std::string_view what) {
  key_of(repository, what);
  const auto found = entries_.find(key_);
  if (found == entries_.end()) return nullptr;
  if (clock_.steady() >= found->second.until) {
    drop(found);
    return nullptr;
  }
  uses_.splice(uses_.begin(), uses_, found->second.use);
  return &found->second.content;
}

void ReadCache::remember(std::string_view repository, std::string_view what, CachedContent content,
                         uint64_t generation) {
  if (generation != generation_ || content.bytes->size() > kCachedEntryBytesMax) return;
  key_of(repository, what);
  if (const auto old = entries_.find(key_); old != entries_.end()) drop(old);
  bytes_ += content.bytes->size() + kEntryBytes;
  uses_.push_front(key_);
  entries_[key_] = {std::move(content), clock_.steady() + kCacheTrust, uses_.begin()};
  while (bytes_ > kCachedBytesMax) drop(entries_.find(uses_.back()));
}

void ReadCache::forget(std::string_view repository) {
  ++generation_;
  key_of(repository, "");
  const std::string prefix = key_;
  for (auto at = entries_.lower_bound(prefix);
       at != entries_.end() && at->first.starts_with(prefix);) {
    drop(at++);
  }
}

void ReadCache::drop(Entries::iterator entry) {
  bytes_ -= entry->second.content.bytes->size() + kEntryBytes;
  uses_.erase(entry->second.use);
  entries_.erase(entry);
}

}  // namespace nimbus::registry
