#include "agent/relay.h"

#include <charconv>
#include <memory>
#include <optional>

#include "base/text.h"

namespace nimbus::agent {
namespace {

constexpr Duration kLook = std::chrono::minutes(1);  // a wait's end; it is then begun again

// What the two ends share: the exchange with the server puts pieces in, the answer to the guest
// takes them out, one at a time.
struct Passage {
  explicit Passage(net::Loop& loop) : changed(loop) {}
  net::Notifier changed;
  std::optional<net::ClientResponse> head;
  std::string piece;
  std::optional<Result<void>> ended;
  bool guest_gone = false;
};

Task<bool> put(std::shared_ptr<Passage> passage, std::string piece) {
  passage->piece = std::move(piece);
  passage->changed.notify_all();
  while (!passage->piece.empty() && !passage->guest_gone) {
    (void)co_await passage->changed.wait(kLook);
  }
  co_return !passage->guest_gone;
}

Task<void> exchange(std::shared_ptr<Passage> passage, ControlClient& control,
                    net::ClientRequest request, std::string target, Secret token) {
  std::function<void(const net::ClientResponse&)> on_head =
      [passage](const net::ClientResponse& answer) {
        passage->head = answer;
        passage->changed.notify_all();
      };
  std::function<Task<bool>(std::string_view)> on_bytes = [passage](std::string_view bytes) {
    return put(passage, std::string(bytes));
  };
  auto ended =
      co_await control.forward_stream(std::move(request), std::move(target), std::move(token),
                                      std::move(on_head), std::move(on_bytes));
  passage->ended = std::move(ended);
  passage->changed.notify_all();
}

Task<void> pass_on(std::shared_ptr<Passage> passage, net::BodyWriter& writer) {
  for (;;) {
    if (!passage->piece.empty()) {
      const auto written = co_await writer.write(passage->piece);
      passage->piece.clear();
      if (!written) passage->guest_gone = true;
      passage->changed.notify_all();
      if (!written) co_return;
      continue;
    }
    if (passage->ended) break;
    (void)co_await passage->changed.wait(kLook);
  }
  if (!*passage->ended) writer.break_off();
}

std::optional<uint64_t> length_of(const net::Headers& headers) {
  const auto text = headers.find("Content-Length");
  if (!text) return std::nullopt;
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), length);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return length;
}

}  // namespace

Task<Result<net::Response>> relay(net::Loop& loop, ControlClient& control,
                                  net::ClientRequest request, std::string target, Secret token) {
  const auto passage = std::make_shared<Passage>(loop);
  const bool head_only = request.method == "HEAD";
  loop.spawn(exchange(passage, control, std::move(request), std::move(target), std::move(token)),
             "relay");
  while (!passage->head && !passage->ended) (void)co_await passage->changed.wait(kLook);
  if (!passage->head) co_return fail(passage->ended->error());
  net::Response response;
  response.status = passage->head->status;
  response.headers = passage->head->headers;
  const bool bodiless = head_only || response.status == 204 || response.status == 304;
  if (bodiless) co_return response;
  response.stream_bytes = length_of(response.headers);
  response.stream = [passage](net::BodyWriter& writer) { return pass_on(passage, writer); };
  co_return response;
}

}  // namespace nimbus::agent
