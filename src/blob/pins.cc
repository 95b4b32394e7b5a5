#include "blob/pins.h"

namespace nimbus::blob {
namespace {
constexpr Duration kRemovalPoll = std::chrono::seconds(10);
}

struct PinBoard::State {
  explicit State(net::Loop& loop) : removed(loop) {}
  std::map<Digest, int> pins;
  std::set<Digest> removing;
  net::Notifier removed;
};

PinBoard::PinBoard(net::Loop& loop) : state_(std::make_shared<State>(loop)) {}

Task<PinBoard::Pin> PinBoard::pin(Digest digest) {
  const auto state = state_;
  while (state->removing.contains(digest)) co_await state->removed.wait(kRemovalPoll);
  ++state->pins[digest];
  co_return Pin(state, std::move(digest));
}

std::optional<PinBoard::Removal> PinBoard::begin_removal(const Digest& digest) {
  if (pinned(digest) || !state_->removing.insert(digest).second) return std::nullopt;
  return Removal(state_, digest);
}

bool PinBoard::pinned(const Digest& digest) const { return state_->pins.contains(digest); }

PinBoard::Pin& PinBoard::Pin::operator=(Pin&& other) noexcept {
  if (this == &other) return *this;
  release();
  state_ = std::move(other.state_);
  digest_ = std::move(other.digest_);
  return *this;
}

void PinBoard::Pin::release() {
  if (state_ == nullptr) return;
  const auto entry = state_->pins.find(digest_);
  if (--entry->second == 0) state_->pins.erase(entry);
  state_.reset();
}

PinBoard::Removal::~Removal() {
  if (state_ == nullptr) return;
  state_->removing.erase(digest_);
  state_->removed.notify_all();
}

}  // namespace nimbus::blob
