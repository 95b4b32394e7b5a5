// The guest's HTTP/1.1 client: one kept-alive connection to the gateway, one request at a time,
// stepped by the guest's poll loop and never blocking it. Answers are bounded and framed by
// Content-Length alone, which is all that the gateway sends here.
//
// Every request of the guest protocol is idempotent, so a request on a kept connection that broke
// before its first answer byte is sent once more on a new one.
//
// Threads: one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::guest {

using Steady = std::chrono::steady_clock;

constexpr size_t kAnswerHeadBytesMax = size_t{16} * 1024;
constexpr size_t kAnswerBodyBytesMax = size_t{4} << 20;

struct Answer {
  int status = 0;
  std::string body;
  bool keep_alive = true;
  std::optional<int> retry_after_s;
};

// Takes one answer's bytes as they arrive. bad_request from `feed` when they are not HTTP, are over
// a bound, or use a framing the gateway does not use.
class AnswerParser {
 public:
  Result<bool> feed(std::string_view bytes);  // true: the answer is complete
  bool started() const { return !head_.empty() || head_done_; }
  Answer take();  // and ready for the next

 private:
  Result<void> parse_head();

  std::string head_;
  bool head_done_ = false;
  size_t body_size_ = 0;
  Answer answer_;
};

struct Address {
  std::string ip;  // dotted IPv4
  uint16_t port = 80;
};

class Connection {
 public:
  explicit Connection(Address gateway) : gateway_(std::move(gateway)) {}
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins a request; none may be in progress. `step` moves it on.
  void begin(std::string_view method, std::string_view path, std::string_view body,
             Steady::time_point deadline);
  bool busy() const { return busy_; }
  int fd() const { return fd_; }
  short events() const;  // what to poll for; 0 when there is nothing to wait for
  Steady::time_point deadline() const { return deadline_; }

  // Moves on as far as it can without waiting. The outcome once there is one; unavailable: the
  // gateway is not there, broke off, or the deadline has passed. Afterwards the connection is free.
  std::optional<Result<Answer>> step(Steady::time_point now);

 private:
  enum class Stage { closed, connecting, writing, reading };

  Result<void> connect();
  Result<bool> finish_connect();
  Result<bool> write_some();
  Result<bool> read_some();
  Result<bool> advance();
  void close();

  Address gateway_;
  int fd_ = -1;
  Stage stage_ = Stage::closed;
  bool busy_ = false;
  bool reused_ = false;  // the request went out on a kept connection and may be repeated
  std::string request_;
  size_t written_ = 0;
  AnswerParser parser_;
  Steady::time_point deadline_;
};

}  // namespace nimbus::guest
