#include "guest/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

#include "base/check.h"
#include "base/text.h"

namespace nimbus::guest {
namespace {

template <typename Number>
std::optional<Number> find_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

tl::unexpected<Error> broken(std::string what) {
  return fail(Code::bad_request, "gateway answer: " + std::move(what));
}

}  // namespace

Result<bool> AnswerParser::feed(std::string_view bytes) {
  if (!head_done_) {
    const size_t before = head_.size();
    head_ += bytes;
    const size_t end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
    if (end == std::string::npos) {
      if (head_.size() > kAnswerHeadBytesMax) return broken("head is too large");
      return false;
    }
    std::string rest = head_.substr(end + 4);
    head_.resize(end + 2);
    TRY(parse_head());
    head_done_ = true;
    head_.clear();
    answer_.body = std::move(rest);
  } else {
    answer_.body += bytes;
  }
  if (answer_.body.size() > body_size_) return broken("more bytes than its length");
  return answer_.body.size() == body_size_;
}

Result<void> AnswerParser::parse_head() {
  std::string_view head = head_;
  const size_t line_end = head.find("\r\n");
  const std::string_view line = head.substr(0, line_end);
  if (!line.starts_with("HTTP/1.1 ") || line.size() < 12) return broken("no status line");
  const auto status = find_number<int>(line.substr(9, 3));
  if (!status || *status < 200 || *status > 599) return broken("impossible status");
  answer_.status = *status;
  head.remove_prefix(line_end + 2);
  std::optional<size_t> size;
  while (!head.empty()) {
    const size_t end = head.find("\r\n");
    const std::string_view field = head.substr(0, end);
    head.remove_prefix(end + 2);
    const size_t colon = field.find(':');
    if (colon == std::string_view::npos) return broken("header without a colon");
    const std::string_view name = field.substr(0, colon);
    const std::string_view value = trim(field.substr(colon + 1));
    if (equal_ignoring_case(name, "content-length")) {
      if (size) return broken("two lengths");
      size = find_number<size_t>(value);
      if (!size || *size > kAnswerBodyBytesMax) return broken("length is not one or too large");
    } else if (equal_ignoring_case(name, "transfer-encoding")) {
      return broken("transfer encoding is not understood");
    } else if (equal_ignoring_case(name, "connection")) {
      answer_.keep_alive = !equal_ignoring_case(value, "close");
    } else if (equal_ignoring_case(name, "retry-after")) {
      answer_.retry_after_s = find_number<int>(value);
    }
  }
  const bool bodiless = answer_.status == 204 || answer_.status == 304;
  if (!size && !bodiless) return broken("no length");
  body_size_ = bodiless ? 0 : *size;
  return {};
}

Answer AnswerParser::take() {
  Answer answer = std::move(answer_);
  *this = AnswerParser();
  return answer;
}

void Connection::begin(std::string_view method, std::string_view path, std::string_view body,
                       Steady::time_point deadline) {
  CHECK(!busy_);
  request_.clear();
  request_.reserve(body.size() + 256);
  request_.append(method).append(" ").append(path).append(" HTTP/1.1\r\nHost: gateway.nimbus\r\n");
  if (method != "GET") {
    request_.append("Content-Type: application/json\r\nContent-Length: ");
    request_.append(std::to_string(body.size())).append("\r\n");
  }
  request_.append("\r\n").append(body);
  written_ = 0;
  parser_ = AnswerParser();
  deadline_ = deadline;
  busy_ = true;
  reused_ = fd_ >= 0;
  stage_ = reused_ ? Stage::writing : Stage::closed;
}

short Connection::events() const {
  if (!busy_ || fd_ < 0) return 0;
  return stage_ == Stage::reading ? POLLIN : POLLOUT;
}

std::optional<Result<Answer>> Connection::step(Steady::time_point now) {
  if (!busy_) return std::nullopt;
  Result<bool> done = advance();
  if (!done && reused_ && !parser_.started() && done.error().code == Code::unavailable) {
    close();
    reused_ = false;
    written_ = 0;
    done = advance();
  }
  if (done && !*done && now < deadline_) return std::nullopt;
  busy_ = false;
  if (!done || !*done) {
    close();
    if (!done) return fail(std::move(done).error());
    return fail(Code::unavailable, "gateway did not answer in time");
  }
  Answer answer = parser_.take();
  if (!answer.keep_alive) close();
  return answer;
}

// True: the answer is complete. False: waiting for the socket.
Result<bool> Connection::advance() {
  for (;;) {
    switch (stage_) {
      case Stage::closed:
        TRY(connect());
        stage_ = Stage::connecting;
        break;
      case Stage::connecting:
        if (!TRY(finish_connect())) return false;
        stage_ = Stage::writing;
        break;
      case Stage::writing:
        if (!TRY(write_some())) return false;
        stage_ = Stage::reading;
        break;
      case Stage::reading: return read_some();
    }
  }
}

Result<void> Connection::connect() {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return fail(errno_error("socket", errno));
  const int on = 1;
  (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(gateway_.port);
  if (::inet_pton(AF_INET, gateway_.ip.c_str(), &address.sin_addr) != 1) {
    return fail(Code::bad_request, "'" + gateway_.ip + "' is not an IPv4 address");
  }
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    return fail(Code::unavailable, errno_error("connect to the gateway", errno).message);
  }
  return {};
}

Result<bool> Connection::finish_connect() {
  pollfd waiting{fd_, POLLOUT, 0};
  if (::poll(&waiting, 1, 0) == 0) return false;
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) {
    return fail(Code::unavailable, errno_error("connect to the gateway", error).message);
  }
  return true;
}

Result<bool> Connection::write_some() {
  while (written_ < request_.size()) {
    const ssize_t count =
        ::send(fd_, request_.data() + written_, request_.size() - written_, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return false;
    if (count < 0)
      return fail(Code::unavailable, errno_error("send to the gateway", errno).message);
    written_ += static_cast<size_t>(count);
  }
  return true;
}

Result<bool> Connection::read_some() {
  std::array<char, 16 * 1024> buffer;  // NOLINT: filled by recv
  for (;;) {
    const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return false;
    if (count < 0) {
      return fail(Code::unavailable, errno_error("receive from the gateway", errno).message);
    }
    if (count == 0) return fail(Code::unavailable, "gateway closed the connection");
    if (TRY(parser_.feed({buffer.data(), static_cast<size_t>(count)}))) return true;
  }
}

void Connection::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  stage_ = Stage::closed;
}

}  // namespace nimbus::guest
