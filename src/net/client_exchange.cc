#include "net/client_exchange.h"

#include <array>
#include <charconv>

#include "base/text.h"
#include "net/head_scan.h"
#include "net/message_parser.h"
#include "net/send_file.h"

namespace nimbus::net {
namespace {

constexpr size_t kAnswerHeadBytesMax = size_t{64} * 1024;
constexpr size_t kReadBytes = size_t{64} * 1024;
constexpr int kInterimAnswersMax = 8;

bool sane_token(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (c <= ' ' || c == 0x7f || c == ':' || c == '"' || static_cast<unsigned char>(c) >= 0x80) {
      return false;
    }
  }
  return true;
}

bool wants_length(const ClientRequest& request) {
  return request.file || !request.body.empty() || request.method == "POST" ||
         request.method == "PUT" || request.method == "PATCH";
}

auto broke_off(const ClientConnection& connection, const Url& url, std::string_view why) {
  const std::string reason = connection.timed_out ? "timed out" : std::string(why);
  return fail(Code::unavailable, "talking to " + url.origin() + ": " + reason);
}

}  // namespace

Result<std::string> format_request(const ClientRequest& request, const Url& url) {
  if (!sane_token(request.method)) return fail(Code::bad_request, "the method is not a token");
  std::string head = request.method + ' ' + url.target + " HTTP/1.1\r\n";
  auto field = [&head](std::string_view name, std::string_view value) {
    head += name;
    head += ": ";
    head += value;
    head += "\r\n";
  };
  if (!request.headers.find("Host")) field("Host", url.host_header);
  if (!request.headers.find("User-Agent")) field("User-Agent", "nimbus");
  if (!request.headers.find("Accept")) field("Accept", "*/*");
  for (const auto& [name, value] : request.headers) {
    if (!sane_token(name) || value.find_first_of(std::string_view("\r\n\0", 3)) != value.npos) {
      return fail(Code::bad_request, "the header field " + std::string(name) + " is malformed");
    }
    if (equal_ignoring_case(name, "Content-Length")) continue;
    if (equal_ignoring_case(name, "Transfer-Encoding")) continue;
    field(name, value);
  }
  if (request.body_source != nullptr) {
    if (request.body_source_bytes) {
      field("Content-Length", std::to_string(*request.body_source_bytes));
    } else {
      field("Transfer-Encoding", "chunked");
    }
  } else if (wants_length(request)) {
    field("Content-Length",
          std::to_string(request.file ? request.file->size : request.body.size()));
  }
  head += "\r\n";
  return head;
}

namespace {

// Reads heads until a final one; `buffer` then holds what came after it.
Task<Result<void>> read_answer_head(ClientConnection& connection, Exchange& exchange,
                                    std::optional<MessageParser<false>>& parser,
                                    std::string& buffer) {
  HeadScan scan;
  int interim = 0;
  for (;;) {
    const HeadScan::State state = scan.feed(buffer);
    if (state == HeadScan::State::bad) {
      co_return broke_off(connection, exchange.url, "the answer is not HTTP/1.1");
    }
    if (state == HeadScan::State::complete) {
      exchange.response.headers.clear();
      parser.emplace(exchange.response.headers);
      if (exchange.request.method == "HEAD") parser->skip(true);
      boost::beast::error_code ec;
      parser->feed_head(std::string_view(buffer).substr(0, scan.end()), ec);
      buffer.erase(0, scan.end());
      if (ec) co_return broke_off(connection, exchange.url, "malformed answer: " + ec.message());
      exchange.response.status = parser->status_code();
      if (exchange.response.status >= 200 || exchange.response.status == 101) break;
      if (++interim > kInterimAnswersMax) {
        co_return broke_off(connection, exchange.url, "too many interim answers");
      }
      scan = {};
      continue;
    }
    if (buffer.size() >= kAnswerHeadBytesMax) {
      co_return fail(Code::too_large, "the answer's head is over 64 KiB");
    }
    const size_t have = buffer.size();
    buffer.resize(have + 16 * 1024);
    const auto [ec, size] =
        co_await connection.transport.read_some(buffer.data() + have, buffer.size() - have);
    buffer.resize(have + size);
    if (size > 0) exchange.answer_begun = true;
    if (ec) co_return broke_off(connection, exchange.url, ec.message());
  }
  co_return Result<void>();
}

Task<Result<void>> read_answer_body(ClientConnection& connection, Exchange& exchange,
                                    MessageParser<false>& parser, std::string& buffer) {
  std::string piece;
  parser.sink(&piece, exchange.request.answer_bytes_max);
  boost::beast::error_code ec;
  while (!parser.is_done()) {
    const size_t consumed = parser.feed(buffer, ec);
    buffer.erase(0, consumed);
    if (parser.body_over_limit()) {
      co_return fail(
          Code::too_large,
          "the answer is over " + std::to_string(exchange.request.answer_bytes_max) + " bytes");
    }
    if (ec) co_return broke_off(connection, exchange.url, "malformed answer: " + ec.message());
    if (!piece.empty()) {
      const bool wanted = co_await exchange.on_bytes(piece);
      piece.clear();
      if (!wanted) co_return Result<void>();
      continue;
    }
    if (parser.is_done()) break;
    if (buffer.size() > kReadBytes) {
      co_return broke_off(connection, exchange.url, "a chunk's head is too long");
    }
    const size_t have = buffer.size();
    buffer.resize(have + kReadBytes);
    if (exchange.waiting) exchange.waiting(true);
    const auto [failed, size] =
        co_await connection.transport.read_some(buffer.data() + have, buffer.size() - have);
    if (exchange.waiting) exchange.waiting(false);
    buffer.resize(have + size);
    if (failed == boost::asio::error::eof) {
      parser.put_eof(ec);
      if (ec) co_return broke_off(connection, exchange.url, "the answer broke off");
      break;
    }
    if (failed) co_return broke_off(connection, exchange.url, failed.message());
  }
  exchange.keep = parser.keep_alive() && buffer.empty();
  co_return Result<void>();
}

Task<boost::system::error_code> send_request(ClientConnection& connection, Exchange& exchange,
                                             std::string_view head) {
  const ClientRequest& request = exchange.request;
  if (!request.file) co_return co_await connection.transport.write(head, request.body);
  const bool sent = co_await send_file(exchange.loop, connection.transport, head, *request.file);
  co_return sent ? boost::system::error_code() : boost::asio::error::broken_pipe;
}

// Sends what the source gives; the error of the socket, which the caller may survive. Fails when
// the source does: the peer must then not take what came for the whole.
Task<Result<boost::system::error_code>> send_source(ClientConnection& connection,
                                                    const ClientRequest& request) {
  const bool chunked = !request.body_source_bytes.has_value();
  std::array<char, 20> size_line{};
  for (;;) {
    auto piece = co_await request.body_source->read();
    if (!piece) co_return fail(std::move(piece).error());
    if (piece->empty()) break;
    std::string_view head;
    if (chunked) {
      char* end = std::to_chars(size_line.data(), size_line.data() + 16, piece->size(), 16).ptr;
      *end++ = '\r';
      *end++ = '\n';
      head = {size_line.data(), static_cast<size_t>(end - size_line.data())};
    }
    const std::string_view tail = chunked ? "\r\n" : "";
    const auto failed = co_await connection.transport.write(head, *piece, tail);
    if (failed) co_return failed;
  }
  if (!chunked) co_return boost::system::error_code();
  co_return co_await connection.transport.write("0\r\n\r\n");
}

}  // namespace

Task<Result<void>> run_exchange(ClientConnection& connection, Exchange& exchange) {
  CO_TRY_ASSIGN(const std::string head, format_request(exchange.request, exchange.url));
  auto sent = co_await send_request(connection, exchange, head);
  if (!sent && exchange.request.body_source != nullptr) {
    CO_TRY_ASSIGN(sent, co_await send_source(connection, exchange.request));
  }
  std::optional<MessageParser<false>> parser;
  std::string buffer;
  // A server that refuses a body may close before it has read it all; its answer still counts.
  auto got = co_await read_answer_head(connection, exchange, parser, buffer);
  if (!got) {
    if (sent && !exchange.answer_begun) {
      co_return broke_off(connection, exchange.url, sent.message());
    }
    co_return got;
  }
  if (exchange.head_came) exchange.head_came();
  if (exchange.on_head) exchange.on_head(exchange.response);
  auto read = co_await read_answer_body(connection, exchange, *parser, buffer);
  if (sent) exchange.keep = false;
  co_return read;
}

}  // namespace nimbus::net
