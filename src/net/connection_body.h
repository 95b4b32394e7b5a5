// A request's body in pieces, and an answer's. Private to this folder. Threads: the loop's.
#pragma once

#include "net/connection.h"

namespace nimbus::net {

class StreamedBody final : public BodyReader {
 public:
  StreamedBody(Connection& connection, uint64_t bytes_max);
  bool over_limit() const { return over_limit_; }  // known from Content-Length
  bool failed() const { return failed_; }
  Task<Result<std::string>> read() override;

 private:
  Task<Result<std::string>> read_sized();
  Task<Result<std::string>> read_chunked();

  Connection& connection_;
  std::string piece_;
  uint64_t bytes_max_;
  bool over_limit_ = false;
  bool failed_ = false;
};

class StreamedAnswer final : public BodyWriter {
 public:
  // Without `bytes` the answer is chunked, or ends with the connection.
  StreamedAnswer(Connection& connection, bool chunked, std::optional<uint64_t> bytes)
      : connection_(connection), chunked_(chunked), left_(bytes) {}
  Task<Result<void>> write(std::string_view bytes) override;
  bool peer_gone() const override;
  void on_gone(std::function<void()> call) override;
  void break_off() override;
  bool complete() const { return left_.value_or(0) == 0; }

 private:
  Connection& connection_;
  bool chunked_;
  std::optional<uint64_t> left_;
};

}  // namespace nimbus::net
