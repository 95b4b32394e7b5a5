#include "net/connection.h"

#include <exception>

#include "base/log.h"
#include "base/text.h"
#include "net/connection_body.h"
#include "net/message_parser.h"
#include "net/request_state.h"
#include "net/send_file.h"
#include "net/target.h"

namespace nimbus::net {
namespace {

constexpr size_t kBufferBytes = size_t{16} * 1024;
constexpr size_t kDiscardBytesMax = size_t{256} * 1024;
// Twice the largest body that a route takes whole: many clients read no answer before they have
// sent everything.
constexpr size_t kLingerBytesMax = size_t{64} << 20;
constexpr Duration kLingerTime = std::chrono::seconds(10);
constexpr Duration kLingerPatience = std::chrono::seconds(2);  // for this much more:
constexpr size_t kLingerProgressBytes = size_t{64} << 10;
constexpr size_t kRequestIdBytesMax = 128;
constexpr size_t kHeaderFieldsMax = 256;

bool sane_request_id(std::string_view id) {
  if (id.empty() || id.size() > kRequestIdBytesMax) return false;
  for (const char c : id) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_' || c == '.';
    if (!good) return false;
  }
  return true;
}

}  // namespace

Connection::Connection(std::shared_ptr<ServerCore> core, Transport::Socket socket,
                       std::string peer_address, bool peer_is_loopback)
    : core_(std::move(core)),
      transport_(std::move(socket)),
      peer_address_(std::move(peer_address)),
      peer_is_loopback_(peer_is_loopback),
      state_(std::make_unique<RequestState>()),
      watch_ended_(core_->loop) {
  place_ = core_->connections.insert(core_->connections.end(), this);
  transport_.set_write_patience(core_->options.idle_timeout);
}

Connection::~Connection() {
  core_->connections.erase(place_);
  core_->connection_closed.notify_all();
}

Task<void> Connection::run() {
  const auto self = shared_from_this();
  if (core_->tls) {
    transport_.set_deadline(core_->options.header_timeout);
    if (co_await transport_.accept_tls(core_->tls)) co_return;
  }
  buffer_.resize(kBufferBytes);
  Next next = Next::keep;
  while (next == Next::keep) next = co_await serve_one();
  if (next == Next::linger) {
    co_await linger();
  } else if (transport_.secure() && !transport_.expired()) {
    transport_.set_deadline(kLingerPatience);
    co_await transport_.shutdown_send();
  }
  transport_.close();
}

void Connection::drain() {
  if (idle_) {
    transport_.cancel();
  } else {
    peer_left();
  }
}

void Connection::abort() {
  transport_.close();
  peer_left();
}

void Connection::consume(size_t size) {
  read_begin_ += size;
  if (read_begin_ == read_end_) read_begin_ = read_end_ = 0;
}

Task<bool> Connection::fill(size_t buffer_max) {
  if (read_end_ == buffer_.size() && read_begin_ > 0) {
    buffer_.replace(0, read_end_ - read_begin_, buffer_, read_begin_, read_end_ - read_begin_);
    read_end_ -= read_begin_;
    read_begin_ = 0;
    buffer_.resize(std::max(buffer_.size(), kBufferBytes));
  }
  if (read_end_ == buffer_.size()) buffer_.resize(std::min(buffer_.size() * 2, buffer_max));
  if (read_end_ == buffer_.size()) co_return false;
  const auto [ec, size] =
      co_await transport_.read_some(buffer_.data() + read_end_, buffer_.size() - read_end_);
  // Bytes that come together with the deadline do not lift it.
  if (ec || transport_.expired()) co_return false;
  read_end_ += size;
  co_return true;
}

Task<Connection::Next> Connection::serve_one() {
  if (!co_await read_head()) co_return co_await refuse();
  const RouteMatch match = core_->router.match(request_.method, raw_path_);
  pattern_ = match.handler != nullptr ? match.pattern : std::string_view("unmatched");
  if (match.handler == nullptr) {
    Response response =
        match.status == 405
            ? problem(405, "this path does not take " + request_.method, "it takes " + match.allow)
            : problem(404, "there is nothing at this path");
    if (match.status == 405) response.headers.set("Allow", match.allow);
    co_return co_await answer(std::move(response), keep_alive_);
  }
  request_.parameters = match.parameters;
  if (match.options.stream_body) {
    StreamedBody body(*this, match.options.body_bytes_max);
    if (body.over_limit()) {
      refuse_with(413,
                  "the body is over " + std::to_string(match.options.body_bytes_max) + " bytes");
      co_return co_await refuse();
    }
    request_.reader = &body;
    Response response = co_await call(match);
    request_.reader = nullptr;
    if (body.failed()) keep_alive_ = false;
    co_return co_await answer(std::move(response), keep_alive_);
  }
  if (!co_await read_body(match.options)) co_return co_await refuse();
  Response response = co_await call(match);
  co_return co_await answer(std::move(response), keep_alive_);
}

Task<bool> Connection::read_head() {
  refusal_.reset();
  request_.method.clear();
  request_.path.clear();
  request_.id.clear();
  pattern_ = "refused";
  keep_alive_ = body_pending_ = false;
  head_done_ = steady_now();
  const ServerOptions& options = core_->options;
  HeadScan scan;
  bool skipped_empty_line = false;
  bool started = false;
  for (;;) {
    const std::string_view bytes = buffered();
    if (!bytes.empty() && !started) {
      started = true;
      idle_ = false;
      transport_.set_deadline(options.header_timeout);
    }
    const HeadScan::State state = scan.feed(bytes);
    if (state == HeadScan::State::complete && !scan.first_line_done() && !skipped_empty_line) {
      skipped_empty_line = true;
      consume(scan.end());
      scan = {};
      continue;
    }
    if (state == HeadScan::State::bad ||
        (state == HeadScan::State::complete && !scan.first_line_done())) {
      co_return refuse_with(400, "the request's head is not well-formed HTTP/1.1");
    }
    if (state == HeadScan::State::complete && scan.end() <= kHeaderBytesMax) break;
    if (!scan.first_line_done() && bytes.size() > kTargetBytesMax + 32) {
      co_return refuse_with(414, "the request target is over 8 KiB");
    }
    if (bytes.size() >= kHeaderBytesMax) {
      co_return refuse_with(431, "the request's head is over 32 KiB");
    }
    if (!started) {
      if (core_->draining) co_return false;
      idle_ = true;
      transport_.set_deadline(options.idle_timeout);
    }
    const bool more = co_await fill(kHeaderBytesMax + kBufferBytes);
    if (more) continue;
    idle_ = false;
    if (started && transport_.expired()) {
      co_return refuse_with(408, "the request's head did not come in time");
    }
    co_return false;
  }
  transport_.clear_deadline();
  head_done_ = steady_now();
  const bool good = take_head(buffered().substr(0, scan.end()));
  consume(scan.end());
  co_return good;
}

bool Connection::take_head(std::string_view head) {
  request_.headers.clear();
  request_.parameters.clear();
  request_.body.clear();
  request_.reader = nullptr;
  auto& parser = state_->parser.emplace(request_.headers);
  boost::beast::error_code ec;
  parser.feed_head(head, ec);
  request_.method = parser.method();
  request_.target = parser.target();
  if (request_.target.size() > kTargetBytesMax) {
    return refuse_with(414, "the request target is over 8 KiB");
  }
  if (parser.refused_encoding()) {
    return refuse_with(501, "the transfer encoding is not chunked",
                       "send a Content-Length, or Transfer-Encoding: chunked");
  }
  if (ec) return refuse_with(400, "the request's head is not well-formed: " + ec.message());
  if (request_.headers.size() > kHeaderFieldsMax) {
    return refuse_with(431, "the request has too many header fields");
  }
  return judge_framing();
}

bool Connection::judge_framing() {
  const auto& parser = *state_->parser;
  const size_t hosts = request_.headers.count("Host");
  if (hosts > 1 || (hosts == 0 && parser.http_minor() == 1)) {
    return refuse_with(400, "the request needs exactly one Host field");
  }
  Target target;
  target.path = std::move(request_.path);
  target.query = std::move(request_.query);
  const auto judged = parse_target(request_.target, target);
  request_.path = std::move(target.path);
  request_.query = std::move(target.query);
  if (!judged) return refuse_with(400, judged.error().message);
  raw_path_ = target.raw_path;

  request_.peer_address = peer_address_;
  request_.peer_is_loopback = peer_is_loopback_;
  request_.secure = transport_.secure();
  const auto id = request_.headers.find("X-Request-Id");
  request_.id = id && sane_request_id(*id) ? std::string(*id) : core_->next_request_id();
  keep_alive_ = parser.keep_alive();
  body_pending_ = !parser.is_done();
  body_left_ = body_pending_ ? parser.content_length().value_or(0) : 0;
  continue_pending_ = false;
  if (const auto expect = request_.headers.find("Expect")) {
    if (!equal_ignoring_case(*expect, "100-continue")) {
      return refuse_with(417, "only Expect: 100-continue is understood");
    }
    continue_pending_ = body_pending_ && parser.http_minor() == 1;
  }
  return true;
}

Task<Response> Connection::call(const RouteMatch& match) {
  if (auto refused = core_->router.refuse(match, request_)) co_return std::move(*refused);
  try {
    co_return co_await (*match.handler)(request_);
  } catch (const std::exception& e) {
    log_error("handler threw",
              {{"pattern", match.pattern}, {"request", request_.id}, {"what", e.what()}});
  } catch (...) {
    log_error("handler threw", {{"pattern", match.pattern}, {"request", request_.id}});
  }
  co_return problem(500, "the server made a mistake", "its log names request " + request_.id);
}

bool Connection::refuse_with(int status, std::string_view detail, std::string_view hint) {
  refusal_ = problem(status, detail, hint);
  return false;
}

Task<Connection::Next> Connection::refuse() {
  if (!refusal_) co_return Next::close;
  transport_.clear_expired();
  if (request_.id.empty()) request_.id = core_->next_request_id();
  Response response = std::move(*refusal_);
  refusal_.reset();
  const Next next = co_await answer(std::move(response), false);
  co_return next == Next::close ? Next::linger : next;
}

// The peer may still be sending what was refused; closing at once would reset the connection and
// take the answer with it. What comes is thrown away: a lingering connection holds its read buffer.
Task<void> Connection::linger() {
  // What is no body, a head that trickles for instance, has no claim to more than the patience.
  const Duration end = steady_now() + (body_pending_ ? kLingerTime : kLingerPatience);
  transport_.set_deadline(kLingerPatience);
  co_await transport_.shutdown_send();
  read_begin_ = read_end_ = 0;
  size_t seen = 0;
  size_t seen_at_renewal = 0;
  while (seen < kLingerBytesMax && !core_->draining) {
    const auto [ec, size] = co_await transport_.discard_some(buffer_.data(), buffer_.size());
    if (ec || transport_.expired()) co_return;
    seen += size;
    // Bytes that trickle do not extend it.
    if (seen - seen_at_renewal < kLingerProgressBytes) continue;
    seen_at_renewal = seen;
    const Duration left = end - steady_now();
    if (left <= Duration::zero()) co_return;
    transport_.set_deadline(std::min(left, kLingerPatience));
  }
}

void Connection::count(int status, Duration took) {
  core_->metrics.count(pattern_, request_.method, status, took);
  if (log_enabled(LogLevel::debug)) {
    log_debug("request", {{"method", request_.method},
                          {"path", request_.path},
                          {"status", status},
                          {"us", took.count()},
                          {"request", request_.id}});
  }
}

Task<bool> Connection::discard_sized(size_t bytes_max) {
  if (body_left_ > bytes_max) co_return false;
  transport_.set_deadline(core_->options.body_timeout);
  for (;;) {
    const size_t here = std::min<uint64_t>(body_left_, buffered().size());
    consume(here);
    body_left_ -= here;
    if (body_left_ == 0) break;
    if (!co_await fill(kBufferBytes)) co_return false;
  }
  transport_.clear_deadline();
  co_return true;
}

Task<bool> Connection::discard_rest(size_t bytes_max) {
  if (state_->parser->content_length()) co_return co_await discard_sized(bytes_max);
  std::string thrown;
  state_->parser->sink(&thrown, bytes_max);
  transport_.set_deadline(core_->options.body_timeout);
  while (!state_->parser->is_done()) {
    boost::beast::error_code ec;
    consume(state_->parser->feed(buffered(), ec));
    thrown.clear();
    if (ec) co_return false;
    if (state_->parser->is_done()) break;
    if (!co_await fill(kBufferBytes)) co_return false;
  }
  transport_.clear_deadline();
  co_return true;
}

Task<Connection::Next> Connection::answer(Response response, bool keep) {
  // A body nobody read: skipped when little is left and the client is really sending it.
  if (body_pending_ && keep) {
    keep = !continue_pending_ && co_await discard_rest(kDiscardBytesMax);
    body_pending_ = !keep;
  }
  keep = keep && !core_->draining;
  if (const auto connection = response.headers.find("Connection")) {
    keep = keep && !equal_ignoring_case(*connection, "close");
    response.headers.remove("Connection");
  }
  const Next after = keep ? Next::keep : body_pending_ ? Next::linger : Next::close;
  const bool head_only = request_.method == "HEAD";
  const Duration took = steady_now() - head_done_;
  const int status = response.status;
  if (response.stream) {
    const bool chunked =
        !response.stream_bytes && state_->parser && state_->parser->http_minor() == 1;
    if (!chunked && !response.stream_bytes) keep = false;
    format_head(response, keep, response.stream_bytes);
    count(status, took);
    bool whole = true;
    if (head_only) {
      whole = !co_await transport_.write(out_);
    } else {
      whole = co_await send_stream(response, out_);
    }
    co_return whole&& keep ? Next::keep : Next::close;
  }
  const bool bodiless = head_only || status == 204 || status == 304 || status < 200;
  if (response.file) {
    format_head(response, keep, response.file->size);
    count(status, took);
    const bool sent = bodiless ? !co_await transport_.write(out_)
                               : co_await send_file(core_->loop, transport_, out_, *response.file);
    co_return sent ? after : Next::close;
  }
  format_head(response, keep, response.body.size());
  count(status, took);
  const std::string_view body = bodiless ? std::string_view() : response.body;
  if (co_await transport_.write(out_, body)) co_return Next::close;
  co_return after;
}

}  // namespace nimbus::net
