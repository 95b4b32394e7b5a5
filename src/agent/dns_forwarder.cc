#include "agent/dns_forwarder.h"

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/text.h"

namespace nimbus::agent {
namespace {

namespace asio = boost::asio;
using asio::ip::udp;

constexpr size_t kHeaderBytes = 12;

// A question: long enough for a header, and not an answer.
bool is_question(std::string_view message) {
  return message.size() > kHeaderBytes && (static_cast<uint8_t>(message[2]) & 0x80U) == 0;
}

bool answers(std::string_view answer, std::string_view question) {
  return answer.size() >= kHeaderBytes && (static_cast<uint8_t>(answer[2]) & 0x80U) != 0 &&
         answer.substr(0, 2) == question.substr(0, 2);
}

}  // namespace

struct DnsForwarder::State {
  State(net::Loop& l, udp::endpoint r) : loop(l), resolver(std::move(r)), socket(l.context()) {}

  net::Loop& loop;
  udp::endpoint resolver;
  udp::socket socket;
  int open_questions = 0;
  bool closed = false;

  static Task<void> serve(std::shared_ptr<State> self);
  static Task<void> ask(std::shared_ptr<State> self, std::string question, udp::endpoint guest);
};

std::optional<DnsResolver> find_resolver(std::string_view resolv_conf) {
  for (const std::string_view raw : split(resolv_conf, '\n')) {
    const std::string_view line = trim(raw);
    constexpr std::string_view kWord = "nameserver";
    if (!line.starts_with(kWord) || line.size() == kWord.size()) continue;
    if (line[kWord.size()] != ' ' && line[kWord.size()] != '\t') continue;
    return DnsResolver{std::string(trim(line.substr(kWord.size()))), 53};
  }
  return std::nullopt;
}

Task<void> DnsForwarder::State::serve(std::shared_ptr<State> self) {
  std::array<char, kDnsMessageBytesMax> buffer;  // NOLINT: filled by receive
  while (!self->closed) {
    udp::endpoint guest;
    boost::system::error_code error;
    const size_t size = co_await self->socket.async_receive_from(
        asio::buffer(buffer), guest, asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted || self->closed) co_return;
    const std::string_view message(buffer.data(), error ? 0 : size);
    if (!is_question(message) || self->open_questions >= kDnsQuestionsMax) continue;
    ++self->open_questions;
    self->loop.spawn(ask(self, std::string(message), guest), "dns question");
  }
}

// A socket of its own for each question: its port is one more thing that a forger has to guess.
Task<void> DnsForwarder::State::ask(std::shared_ptr<State> self, std::string question,
                                    udp::endpoint guest) {
  boost::system::error_code error;
  const auto upstream = std::make_shared<udp::socket>(self->loop.context());
  asio::steady_timer patience(self->loop.context(), kDnsAnswerTime);
  upstream->open(self->resolver.protocol(), error);
  if (!error) upstream->connect(self->resolver, error);
  patience.async_wait([upstream](const boost::system::error_code& cancelled) {
    if (!cancelled) upstream->close();
  });
  if (!error) {
    (void)co_await upstream->async_send(asio::buffer(question),
                                        asio::redirect_error(asio::use_awaitable, error));
  }
  std::array<char, kDnsMessageBytesMax> buffer;  // NOLINT: filled by receive
  while (!error) {
    const size_t size = co_await upstream->async_receive(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error || !answers({buffer.data(), size}, question)) continue;
    if (!self->closed) {
      (void)co_await self->socket.async_send_to(asio::buffer(buffer.data(), size), guest,
                                                asio::redirect_error(asio::use_awaitable, error));
    }
    break;
  }
  patience.cancel();
  --self->open_questions;
}

Result<std::unique_ptr<DnsForwarder>> DnsForwarder::open(net::Loop& loop, os::UniqueFd listener,
                                                         const DnsResolver& resolver) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(resolver.address, error);
  if (error) return fail(Code::bad_request, "'" + resolver.address + "' is not an IP address");
  auto state = std::make_shared<State>(loop, udp::endpoint(address, resolver.port));
  state->socket.assign(udp::v4(), listener.get(), error);
  if (error) return fail(Code::internal, "taking the DNS socket: " + error.message());
  (void)listener.release();
  loop.spawn(State::serve(state), "dns");
  return std::unique_ptr<DnsForwarder>(new DnsForwarder(std::move(state)));
}

DnsForwarder::~DnsForwarder() {
  state_->closed = true;
  boost::system::error_code ignored;
  state_->socket.close(ignored);
}

}  // namespace nimbus::agent
