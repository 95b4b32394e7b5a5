// HTTP messages as values, free of Boost. A handler takes a Request and gives a Response; errors
// are RFC 9457 problem documents made by `problem`.
//
// Threads: values; handlers run on the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"

namespace nimbus::net {

// Header fields in order; names compare without case. A handful per message, so a flat list over
// one buffer: views stay good until the next change.
class Headers {
 public:
  using Field = std::pair<std::string_view, std::string_view>;
  class Iterator {
   public:
    Iterator(const Headers& headers, size_t index) : headers_(&headers), index_(index) {}
    Field operator*() const { return headers_->at(index_); }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return index_ == other.index_; }

   private:
    const Headers* headers_;
    size_t index_;
  };

  Headers() = default;
  Headers(std::initializer_list<Field> fields);
  void set(std::string_view name, std::string_view value);  // replaces
  void add(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  void clear();
  std::optional<std::string_view> find(std::string_view name) const;  // the first
  // The value of a field that stands there exactly once.
  std::optional<std::string_view> find_single(std::string_view name) const;
  size_t count(std::string_view name) const;
  size_t size() const { return spans_.size(); }
  Field at(size_t index) const;
  Iterator begin() const { return Iterator(*this, 0); }
  Iterator end() const { return Iterator(*this, spans_.size()); }

 private:
  struct Span {
    uint32_t begin = 0;
    uint32_t name_size = 0;
    uint32_t value_size = 0;
  };
  bool is_named(const Span& span, std::string_view name) const;
  std::string text_;
  std::vector<Span> spans_;
};

// A body that arrives in pieces, for routes with `stream_body`.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  // The next piece, empty at the end. too_large past the route's bound; bad_request when the peer
  // breaks off or the framing is wrong.
  virtual Task<Result<std::string>> read() = 0;
};

struct Request {
  std::string method;  // upper case
  std::string target;  // as sent
  std::string path;    // decoded, without query; never contains NUL, `//`, `.` or `..` segments
  std::vector<std::pair<std::string, std::string>> query;       // decoded, in order
  std::vector<std::pair<std::string, std::string>> parameters;  // {name} of the route's pattern
  Headers headers;
  std::string body;              // whole, unless the route streams
  BodyReader* reader = nullptr;  // set on routes that stream
  std::string peer_address;      // the socket's, never a header's
  bool peer_is_loopback = false;
  bool secure = false;  // over TLS
  std::string id;       // answered as X-Request-Id; the client's own when it is sane

  std::optional<std::string_view> find_query(std::string_view name) const;
  // The route's parameter; it exists, or the route was written wrong (aborts).
  const std::string& parameter(std::string_view name) const;
  // Bearer token of Authorization, or nullopt.
  std::optional<std::string_view> bearer() const;
  std::optional<std::string_view> cookie(std::string_view name) const;
};

// The sending end of a streamed answer.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;
  // unavailable once the peer is gone or too slow (a write that makes no progress for the server's
  // idle timeout), or the server drains.
  virtual Task<Result<void>> write(std::string_view bytes) = 0;
  virtual bool peer_gone() const = 0;
  // `call` runs once, on the loop, when the peer leaves or the server drains: wakes a stream that
  // waits for something to say. At once when that has happened already.
  virtual void on_gone(std::function<void()> call) { (void)call; }  // NOLINT(*-value-param): a sink
  // The answer cannot be completed: the connection is closed without the end mark, so that the peer
  // sees a broken answer and not a short one.
  virtual void break_off() {}
};
using BodyStream = std::function<Task<void>(BodyWriter&)>;

// A part of an open file as an answer's body.
struct FileBody {
  int fd = -1;
  std::shared_ptr<const void> owner;  // keeps the descriptor open
  uint64_t offset = 0;
  uint64_t size = 0;
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  // When set, sent after the head, and `body` is ignored: chunked, or with a Content-Length of
  // `stream_bytes`, which the stream must then write exactly.
  BodyStream stream;
  std::optional<uint64_t> stream_bytes;
  std::optional<FileBody> file;  // when set: the body; a file that turns out shorter breaks off

  static Response json(int status, std::string body);
  static Response text(int status, std::string body);
  static Response empty(int status);
  static Response streamed(std::string_view content_type, BodyStream stream);
};

// application/problem+json: {"type","title","status","detail","hint"?,"code"}; the code is the
// Error's (or `code_name`, for documented ones such as "stale-fence"). 429 and 503 carry
// Retry-After.
Response problem(const Error& error, std::string_view code_name = {});
Response problem(int status, std::string_view detail, std::string_view hint = {});

using Handler = std::function<Task<Response>(Request&)>;

// text/event-stream (WHATWG HTML 9.2). `data` may hold several lines.
std::string sse_event(std::string_view event, std::string_view data, std::string_view id = {});

std::string percent_decode(std::string_view text,
                           bool plus_is_space = false);  // lenient: bad escapes stay
std::string percent_encode(std::string_view text);       // all but unreserved characters

}  // namespace nimbus::net
