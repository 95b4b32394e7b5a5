#include "vm/qmp.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>

#include "base/json.h"
#include "base/log.h"

namespace nimbus::vm {

namespace asio = boost::asio;
namespace json = boost::json;
constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

struct Qmp::State {
  explicit State(net::Loop& owner) : loop(owner), socket(owner.context()), changed(owner) {}
  net::Loop& loop;
  asio::local::stream_protocol::socket socket;
  OnEvent on_event;
  bool greeted = false;
  bool closed = false;
  // Answers come in the order of the commands; ids number them from 1.
  uint64_t asked = 0;
  std::deque<std::pair<uint64_t, Result<json::value>>> answers;
  uint64_t answered = 0;
  net::Notifier changed;

  void close() {
    boost::system::error_code ignored;
    socket.close(ignored);
    closed = true;
    changed.notify_all();
  }

  // False: not QMP.
  bool take(const json::object& line) {
    if (line.contains("QMP")) {
      greeted = true;
    } else if (const auto* event = line.if_contains("event")) {
      const auto* name = event->if_string();
      const auto* data = line.if_contains("data");
      if (name == nullptr) return false;
      static const json::object kNothing;
      if (on_event)
        on_event(*name, data != nullptr && data->is_object() ? data->get_object() : kNothing);
    } else if (const auto* value = line.if_contains("return")) {
      answers.emplace_back(++answered, *value);
    } else if (const auto* error = line.if_contains("error")) {
      std::string text = "no reason given";
      if (error->is_object())
        if (const auto* said = error->get_object().if_contains("desc"); said && said->is_string())
          text = said->get_string();
      answers.emplace_back(++answered, fail(Code::internal, text));
    } else {
      return false;
    }
    changed.notify_all();
    return true;
  }

  // A line and a descriptor in one message. Commands are short, so a socket that cannot take one at
  // once belongs to a monitor that no longer reads.
  Result<void> send(const std::string& line, int fd) {
    iovec piece{const_cast<char*>(line.data()), line.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (fd >= 0) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof fd);
      std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    const auto sent = ::sendmsg(socket.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != static_cast<ssize_t>(line.size()))
      return fail(Code::unavailable, "the monitor does not take commands");
    return {};
  }
};

Qmp::Qmp(std::shared_ptr<State> state) : state_(std::move(state)) {}

Qmp::~Qmp() {
  state_->on_event = nullptr;
  state_->close();
}

Task<void> Qmp::read_lines(std::shared_ptr<State> state) {
  std::string buffer;
  while (!state->closed) {
    auto space = asio::dynamic_buffer(buffer, kQmpLineBytesMax);
    const auto [error, size] = co_await asio::async_read_until(state->socket, space, '\n', kToken);
    if (error) break;
    const auto line = parse_json_object(std::string_view(buffer).substr(0, size));
    if (!line || !state->take(*line)) {
      log_warn("monitor says what is not QMP", {{"line", buffer.substr(0, 200)}});
      break;
    }
    buffer.erase(0, size);
  }
  state->close();
}

Task<Result<std::unique_ptr<Qmp>>> Qmp::connect(net::Loop& loop, os::UniqueFd socket,
                                                OnEvent on_event, Duration timeout) {
  auto state = std::make_shared<State>(loop);
  boost::system::error_code error;
  state->socket.assign(asio::local::stream_protocol(), socket.get(), error);
  if (error) co_return fail(Code::internal, "adopting the monitor's socket: " + error.message());
  socket.release();
  state->on_event = std::move(on_event);
  std::unique_ptr<Qmp> qmp(new Qmp(state));
  loop.spawn(read_lines(state), "qmp");
  while (!state->greeted && !state->closed)
    if (!co_await state->changed.wait(timeout)) break;
  if (!state->greeted)
    co_return fail(Code::unavailable, state->closed ? "the monitor ended before it was ready"
                                                    : "the monitor does not answer");
  CO_TRY(co_await qmp->run("qmp_capabilities", timeout));
  co_return qmp;
}

Task<Result<json::value>> Qmp::call(std::string command, json::object arguments, Duration timeout,
                                    int fd) {
  const auto state = state_;
  const std::string what = "asking the monitor for " + command;
  if (state->closed) co_return fail(Code::unavailable, what + ": the monitor has ended");
  json::object request{{"execute", command}};
  if (!arguments.empty()) request["arguments"] = std::move(arguments);
  const auto sent = state->send(json::serialize(request) + "\n", fd);
  if (!sent) co_return fail(Error(sent.error()).in(what));
  const uint64_t id = ++state->asked;
  while (true) {
    for (auto answer = state->answers.begin(); answer != state->answers.end(); ++answer) {
      if (answer->first != id) continue;
      auto result = std::move(answer->second);
      state->answers.erase(answer);
      if (!result) co_return fail(std::move(result).error().in(what));
      co_return result;
    }
    if (state->closed) co_return fail(Code::unavailable, what + ": the monitor has ended");
    if (co_await state->changed.wait(timeout)) continue;
    state->close();  // an answer that comes later would be taken for another command's
    co_return fail(Code::unavailable, what + ": no answer");
  }
}

Task<Result<void>> Qmp::run(std::string command, Duration timeout) {
  json::object none;
  CO_TRY(co_await call(std::move(command), std::move(none), timeout));
  co_return Result<void>();
}

Task<void> Qmp::wait_closed(Duration timeout) {
  const auto state = state_;
  while (!state->closed)
    if (!co_await state->changed.wait(timeout)) break;
}

}  // namespace nimbus::vm
