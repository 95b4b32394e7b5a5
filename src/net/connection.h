// One accepted connection: reads requests, one at a time, and answers them until either side has
// enough. Private to this folder.
//
// Threads: the loop's. Owned by its own coroutine (`run`).
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>

#include "net/head_scan.h"
#include "net/http.h"
#include "net/server_core.h"
#include "net/transport.h"

namespace nimbus::net {

struct RequestState;  // the parser; keeps Beast out of this header

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerCore> core, Transport::Socket socket, std::string peer_address,
             bool peer_is_loopback);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Serves until the connection ends.
  Task<void> run();
  void tick(Duration now) { transport_.expire_if_due(now); }
  void drain();  // closes an idle connection; a busy one after its answer
  void abort();  // closes it now

 private:
  friend class StreamedBody;
  friend class StreamedAnswer;
  enum class Next { keep, close, linger };

  std::string_view buffered() const {
    return std::string_view(buffer_).substr(read_begin_, read_end_ - read_begin_);
  }
  void consume(size_t size);
  // Reads more into the buffer, grown up to `buffer_max`; false: nothing more will come.
  Task<bool> fill(size_t buffer_max);

  Task<Next> serve_one();
  Task<bool> read_head();                 // false: there is no request; see refusal_
  bool take_head(std::string_view head);  // parses and judges it; false: see refusal_
  bool judge_framing();
  Task<bool> read_body(const RouteOptions& options);
  Task<bool> read_sized_body(size_t size);
  Task<bool> read_chunked_body(uint64_t bytes_max);
  Task<bool> send_continue();
  Task<bool> discard_rest(size_t bytes_max);  // of a body nobody read; false: too much is left
  Task<bool> discard_sized(size_t bytes_max);

  Task<Response> call(const RouteMatch& match);
  Task<Next> answer(Response response, bool keep);
  Task<Next> refuse();
  Task<bool> send_stream(const Response& response, std::string_view head);
  void format_head(const Response& response, bool keep, std::optional<uint64_t> body_size);
  Task<void> linger();
  void count(int status, Duration took);

  // Refuses the request: answered with a problem document, then the connection is closed.
  bool refuse_with(int status, std::string_view detail, std::string_view hint = {});

  // While an answer streams: reads ahead, so that a peer that leaves is noticed.
  void watch_peer();
  Task<void> stop_watching();
  void peer_left();

  std::shared_ptr<ServerCore> core_;
  Transport transport_;
  std::list<Connection*>::iterator place_;
  std::string peer_address_;
  bool peer_is_loopback_;

  std::string buffer_;  // received bytes are [read_begin_, read_end_)
  size_t read_begin_ = 0;
  size_t read_end_ = 0;

  std::unique_ptr<RequestState> state_;
  Request request_;
  std::string_view pattern_;
  std::string raw_path_;
  std::string out_;  // the head being sent
  std::optional<Response> refusal_;
  Duration head_done_{0};
  bool idle_ = false;
  bool keep_alive_ = false;
  bool body_pending_ = false;      // the body has not been read to its end
  uint64_t body_left_ = 0;         // bytes of a body with a length that were not read
  bool continue_pending_ = false;  // the client waits for 100

  bool watching_ = false;
  bool watch_wanted_ = false;
  bool gone_ = false;
  bool broken_off_ = false;
  std::function<void()> on_gone_;
  Notifier watch_ended_;
};

}  // namespace nimbus::net
