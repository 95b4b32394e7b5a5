#include "net/connection_body.h"

#include <array>
#include <boost/beast/http/status.hpp>
#include <charconv>

#include "base/log.h"
#include "base/text.h"
#include "net/request_state.h"

namespace nimbus::net {
namespace {

// What a streamed body is handed over in: large enough to pay for a turn of other threads, small
// enough that a piece is still in the processor's cache when they read it.
constexpr size_t kPieceBytes = size_t{128} * 1024;
// The most a sized body grows by before bytes for it have come.
constexpr size_t kBodyStepBytes = size_t{256} * 1024;
constexpr size_t kBufferBytesMax = size_t{64} * 1024;

std::string too_large(uint64_t bytes_max) {
  return "the body is over " + std::to_string(bytes_max) + " bytes";
}

void append_number(std::string& out, uint64_t number, int base) {
  std::array<char, 24> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), number, base);
  out.append(text.data(), end);
}

// A field that carried a line break would let its author write the rest of the answer.
bool sane_field(std::string_view name, std::string_view value) {
  if (name.empty() || name.find_first_of(std::string_view(":\r\n\0 ", 5)) != std::string_view::npos)
    return false;
  return value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

}  // namespace

Task<bool> Connection::send_continue() {
  if (!continue_pending_) co_return true;
  continue_pending_ = false;
  if (!buffered().empty()) co_return true;  // it did not wait
  co_return !co_await transport_.write("HTTP/1.1 100 Continue\r\n\r\n");
}

Task<bool> Connection::read_body(const RouteOptions& options) {
  if (!body_pending_) co_return true;
  const auto length = state_->parser->content_length();
  if (length && *length > options.body_bytes_max) {
    co_return refuse_with(413, too_large(options.body_bytes_max));
  }
  if (!co_await send_continue()) co_return false;
  const bool whole = length ? co_await read_sized_body(static_cast<size_t>(*length))
                            : co_await read_chunked_body(options.body_bytes_max);
  if (whole) {
    body_pending_ = false;
    body_left_ = 0;
  }
  co_return whole;
}

// Past the bytes that came with the head, the body is read straight into its string.
Task<bool> Connection::read_sized_body(size_t size) {
  std::string& body = request_.body;
  const std::string_view ready = buffered().substr(0, size);
  body.reserve(size);
  body.assign(ready);
  consume(ready.size());
  size_t have = body.size();
  while (have < size) {
    if (have == body.size()) body.resize(std::min(size, have + kBodyStepBytes));
    transport_.set_deadline(core_->options.body_timeout);
    const auto [ec, got] = co_await transport_.read_some(body.data() + have, body.size() - have);
    if (ec) {
      if (transport_.expired()) refuse_with(408, "the request's body did not come in time");
      co_return false;
    }
    have += got;
  }
  transport_.clear_deadline();
  co_return true;
}

Task<bool> Connection::read_chunked_body(uint64_t bytes_max) {
  auto& parser = *state_->parser;
  parser.sink(&request_.body, bytes_max);
  for (;;) {
    boost::beast::error_code ec;
    consume(parser.feed(buffered(), ec));
    if (parser.body_over_limit()) co_return refuse_with(413, too_large(bytes_max));
    if (ec) co_return refuse_with(400, "the chunked body is not well-formed: " + ec.message());
    if (parser.is_done()) break;
    transport_.set_deadline(core_->options.body_timeout);
    if (co_await fill(kBufferBytesMax)) continue;
    if (transport_.expired()) co_return refuse_with(408, "the request's body did not come in time");
    if (buffered().size() >= kBufferBytesMax)
      co_return refuse_with(400, "a chunk's head is too long");
    co_return false;
  }
  transport_.clear_deadline();
  co_return true;
}

StreamedBody::StreamedBody(Connection& connection, uint64_t bytes_max)
    : connection_(connection), bytes_max_(bytes_max) {
  if (!connection.body_pending_) return;
  over_limit_ = connection.body_left_ > bytes_max;
  connection.state_->parser->sink(&piece_, bytes_max);
}

Task<Result<std::string>> StreamedBody::read() {
  if (failed_) co_return fail(Code::bad_request, "reading the request's body: it broke off");
  if (!connection_.body_pending_) co_return std::string();
  failed_ = true;
  if (!co_await connection_.send_continue()) {
    co_return fail(Code::bad_request, "reading the request's body: the peer is gone");
  }
  const bool sized = connection_.state_->parser->content_length().has_value();
  if (sized) co_return co_await read_sized();
  co_return co_await read_chunked();
}

// Straight from the socket into the piece, as much as is there without waiting again.
Task<Result<std::string>> StreamedBody::read_sized() {
  Transport& transport = connection_.transport_;
  std::string piece(connection_.buffered().substr(0, connection_.body_left_));
  connection_.consume(piece.size());
  size_t have = piece.size();
  piece.resize(std::max<size_t>(have, std::min<uint64_t>(kPieceBytes, connection_.body_left_)));
  while (have < piece.size()) {
    const size_t ready = transport.read_ready(piece.data() + have, piece.size() - have);
    have += ready;
    if (ready > 0) continue;
    if (have > 0) break;
    transport.set_deadline(connection_.core_->options.body_timeout);
    const auto [ec, got] = co_await transport.read_some(piece.data(), piece.size());
    if (ec || transport.expired()) {
      co_return fail(Code::bad_request, transport.expired()
                                            ? "the request's body did not come in time"
                                            : "the request's body broke off");
    }
    have = got;
  }
  transport.clear_deadline();
  piece.resize(have);
  connection_.body_left_ -= have;
  connection_.body_pending_ = connection_.body_left_ > 0;
  failed_ = false;
  co_return piece;
}

Task<Result<std::string>> StreamedBody::read_chunked() {
  auto& parser = *connection_.state_->parser;
  piece_.clear();
  while (piece_.empty() && !parser.is_done()) {
    boost::beast::error_code ec;
    const std::string_view bytes = connection_.buffered();
    connection_.consume(parser.feed(bytes, ec));
    if (parser.body_over_limit()) co_return fail(Code::too_large, too_large(bytes_max_));
    if (ec) {
      co_return fail(Code::bad_request, "the chunked body is not well-formed: " + ec.message());
    }
    if (!piece_.empty() || parser.is_done()) break;
    connection_.transport_.set_deadline(connection_.core_->options.body_timeout);
    const bool more = co_await connection_.fill(kBufferBytesMax);
    connection_.transport_.clear_deadline();
    if (more) continue;
    co_return fail(Code::bad_request, connection_.transport_.expired()
                                          ? "the request's body did not come in time"
                                          : "the request's body broke off");
  }
  failed_ = false;
  if (parser.is_done()) connection_.body_pending_ = false;
  co_return std::move(piece_);
}

Task<Result<void>> StreamedAnswer::write(std::string_view bytes) {
  if (connection_.gone_ || connection_.broken_off_) {
    // What could not be said must not look like a whole answer.
    connection_.broken_off_ = true;
    co_return fail(Code::unavailable, "the peer is gone, or the server drains");
  }
  if (bytes.empty()) co_return Result<void>();
  if (left_ && bytes.size() > *left_) {
    connection_.broken_off_ = true;
    co_return fail(Code::internal, "the answer is longer than its head says");
  }
  if (left_) *left_ -= bytes.size();
  std::string size_line;
  if (chunked_) {
    append_number(size_line, bytes.size(), 16);
    size_line += "\r\n";
  }
  const std::string_view end = chunked_ ? "\r\n" : "";
  if (co_await connection_.transport_.write(size_line, bytes, end)) {
    connection_.peer_left();
    connection_.broken_off_ = true;
    co_return fail(Code::unavailable, "the peer is gone");
  }
  co_return Result<void>();
}

bool StreamedAnswer::peer_gone() const { return connection_.gone_; }

void StreamedAnswer::on_gone(std::function<void()> call) {
  connection_.on_gone_ = std::move(call);
  if (connection_.gone_) connection_.peer_left();
}

void StreamedAnswer::break_off() { connection_.broken_off_ = true; }

void Connection::peer_left() {
  gone_ = true;
  if (!on_gone_) return;
  // Posted: the call may destroy what is on the stack.
  core_->loop.post(std::exchange(on_gone_, nullptr));
}

Task<bool> Connection::send_stream(const Response& response, std::string_view head) {
  gone_ = core_->draining;
  broken_off_ = false;
  if (co_await transport_.write(head)) co_return false;
  const bool chunked = !response.stream_bytes && state_->parser->http_minor() == 1;
  watch_wanted_ = true;
  watch_peer();
  StreamedAnswer writer(*this, chunked, response.stream_bytes);
  try {
    co_await response.stream(writer);
  } catch (const std::exception& e) {
    log_error("stream threw",
              {{"pattern", pattern_}, {"request", request_.id}, {"what", e.what()}});
    broken_off_ = true;
  } catch (...) {
    log_error("stream threw", {{"pattern", pattern_}, {"request", request_.id}});
    broken_off_ = true;
  }
  on_gone_ = nullptr;
  co_await stop_watching();
  if (broken_off_ || !writer.complete() || (gone_ && !core_->draining)) co_return false;
  if (chunked && co_await transport_.write("0\r\n\r\n")) co_return false;
  co_return true;
}

void Connection::watch_peer() {
  if (watching_ || !watch_wanted_) return;
  if (read_end_ == buffer_.size()) return;  // pipelined requests fill the buffer: cannot tell
  watching_ = true;
  auto self = shared_from_this();
  core_->loop.spawn(
      [](std::shared_ptr<Connection> connection) -> Task<void> {
        const auto [ec, size] = co_await connection->transport_.read_some(
            connection->buffer_.data() + connection->read_end_,
            connection->buffer_.size() - connection->read_end_);
        connection->watching_ = false;
        connection->read_end_ += size;
        if (ec && connection->watch_wanted_) connection->peer_left();
        connection->watch_ended_.notify_all();
        connection->watch_peer();
      }(std::move(self)),
      "watch peer");
}

Task<void> Connection::stop_watching() {
  watch_wanted_ = false;
  while (watching_) {
    transport_.cancel();
    co_await watch_ended_.wait(std::chrono::seconds(1));
  }
}

void Connection::format_head(const Response& response, bool keep,
                             std::optional<uint64_t> body_size) {
  namespace http = boost::beast::http;
  const auto status = static_cast<unsigned>(response.status);
  const auto reason = http::obsolete_reason(http::int_to_status(status));
  const bool chunked = !body_size && state_->parser && state_->parser->http_minor() == 1;
  out_.clear();
  out_ += "HTTP/1.1 ";
  append_number(out_, status, 10);
  out_ += ' ';
  out_.append(reason.data(), reason.size());
  out_ += "\r\n";
  auto field = [this](std::string_view name, std::string_view value) {
    out_ += name;
    out_ += ": ";
    out_ += value;
    out_ += "\r\n";
  };
  bool has_length = false;
  for (const auto& [name, value] : response.headers) {
    if (!sane_field(name, value)) {
      log_warn("header field dropped", {{"pattern", pattern_}, {"name_bytes", name.size()}});
      continue;
    }
    // A HEAD handler knows the length of a body it did not make.
    const bool length = equal_ignoring_case(name, "Content-Length");
    if (length && request_.method != "HEAD") continue;
    if (equal_ignoring_case(name, "Transfer-Encoding")) continue;
    has_length = has_length || length;
    field(name, value);
  }
  if (body_size && !has_length && status >= 200 && status != 204 && status != 304) {
    out_ += "Content-Length: ";
    append_number(out_, *body_size, 10);
    out_ += "\r\n";
  }
  if (chunked && !has_length) field("Transfer-Encoding", "chunked");
  field("Date", core_->date(head_done_));
  field("X-Request-Id", request_.id);
  if (!keep) {
    field("Connection", "close");
  } else if (state_->parser->http_minor() == 0) {
    field("Connection", "keep-alive");
  }
  out_ += "\r\n";
}

}  // namespace nimbus::net
