#include "cache/use_log.h"

namespace nimbus::cache {
namespace {

constexpr size_t kUsesPerUnit = 2'000;

}  // namespace

Task<Result<void>> UseLog::flush() {
  std::vector<Use> uses(waiting_.begin(), waiting_.end());
  waiting_.clear();
  for (size_t from = 0; from < uses.size(); from += kUsesPerUnit) {
    const size_t to = std::min(from + kUsesPerUnit, uses.size());
    std::vector<Use> some(uses.begin() + static_cast<std::ptrdiff_t>(from),
                          uses.begin() + static_cast<std::ptrdiff_t>(to));
    std::function<Result<bool>(db::Transaction&)> work =
        [some = std::move(some)](db::Transaction& tx) -> Result<bool> {
      TRY(note_uses_in(tx, some));
      return true;
    };
    const auto written = co_await database_.write<bool>(std::move(work));
    if (!written) co_return fail(written.error());
  }
  co_return Result<void>();
}

}  // namespace nimbus::cache
