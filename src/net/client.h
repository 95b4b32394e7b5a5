// The HTTP/1.1 client: http, https and http+unix URLs, kept-alive connections per origin,
// deadlines, bounded answers. Redirects are not followed. No retry of its own: the caller knows
// what may be sent twice (a request on a kept connection that the server closed before any answer
// byte is sent once more on a new one, for idempotent methods).
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "net/http.h"
#include "net/loop.h"

namespace nimbus::net {

// Stands in the message of a connection that failed because of the server's certificate.
constexpr std::string_view kDistrusted = "its certificate is not trusted";

struct ClientRequest {
  std::string method = "GET";
  // http://host:port/path?query, https://…, or http+unix://PERCENT-ENCODED-SOCKET-PATH/path
  std::string url;
  Headers headers;
  std::string body;
  std::optional<FileBody> file;  // when set: the body, and `body` is ignored
  // When set, the body in the place of `body`: read piece by piece as the peer takes it, with this
  // Content-Length, or chunked. Such a request goes out on a connection of its own and never twice.
  BodyReader* body_source = nullptr;
  std::optional<uint64_t> body_source_bytes;
  Duration timeout = std::chrono::seconds(30);  // whole exchange; for streams: until the head
  Duration stall_timeout{0};  // of a stream's body, waiting for its next bytes; 0: none
  size_t answer_bytes_max = size_t{64} << 20;
};

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::string body;
};

struct ClientOptions {
  size_t idle_per_origin = 8;
  Duration idle_time = std::chrono::seconds(60);
  std::string ca_file;  // extra trust for https; empty: the system's
};

class Client {
 public:
  explicit Client(Loop& loop, ClientOptions options = {});
  ~Client();

  // unavailable: no connection, a timeout, or the peer broke off. bad_request: the URL is wrong.
  // too_large: the answer is over the bound. Any status is a success here.
  Task<Result<ClientResponse>> send(ClientRequest request);
  // Hands the answer's bytes to `on_bytes` as they come (its head first to `on_head`); ends when
  // the answer ends, or `on_bytes` returns false. No overall timeout once the head is there.
  Task<Result<void>> stream(ClientRequest request,
                            std::function<void(const ClientResponse&)> on_head,
                            std::function<bool(std::string_view)> on_bytes);
  // The same with a consumer that may suspend: back-pressure on the peer.
  Task<Result<void>> stream_to(ClientRequest request,
                               std::function<void(const ClientResponse&)> on_head,
                               std::function<Task<bool>(std::string_view)> on_bytes);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Splits a text/event-stream (WHATWG HTML 9.2) as its bytes arrive. Bounded: what a line or an
// event has past its limit is dropped. An event's id is the last one the stream named.
class SseParser {
 public:
  static constexpr size_t kLineBytesMax = size_t{4} << 20;
  static constexpr size_t kEventBytesMax = size_t{8} << 20;

  struct Event {
    std::string event = "message";
    std::string data;
    std::string id;
  };
  // Events completed by these bytes.
  std::vector<Event> feed(std::string_view bytes);

 private:
  void end_line(std::vector<Event>& events);
  void take_field(std::string_view name, std::string_view value);

  std::string line_;
  std::string last_id_;
  Event event_;
  bool has_data_ = false;
  bool after_cr_ = false;
  bool first_line_ = true;
};

}  // namespace nimbus::net
