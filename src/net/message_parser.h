// One HTTP/1.1 message being read: Beast's parser with our storage and stricter framing rules.
// Private to this folder: the only header that includes Beast.
//
// Threads: one connection's.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <string>
#include <string_view>

#include "base/text.h"
#include "net/http.h"

namespace nimbus::net {

template <bool kIsRequest>
class MessageParser final : public boost::beast::http::basic_parser<kIsRequest> {
  using Base = boost::beast::http::basic_parser<kIsRequest>;
  using error_code = boost::beast::error_code;
  using text = boost::beast::string_view;

 public:
  explicit MessageParser(Headers& headers) : headers_(headers) {
    this->eager(true);
    this->header_limit(
        UINT32_MAX);                // the head's size is bounded by the buffer before it comes here
    this->body_limit(boost::none);  // decided by the route, see sink
  }

  std::string_view method() const { return method_; }
  std::string_view target() const { return target_; }
  int http_minor() const { return minor_; }
  int status_code() const { return status_; }
  bool refused_encoding() const { return refused_encoding_; }
  bool body_over_limit() const { return over_limit_; }

  // Body bytes are appended to `body`; over `bytes_max` in all, parsing fails.
  void sink(std::string* body, uint64_t bytes_max) {
    body_ = body;
    room_ = bytes_max;
  }

  // How much of `bytes` was consumed; the rest belongs to the next message or is incomplete.
  size_t feed(std::string_view bytes, error_code& ec) {
    // Beast asserts that a last chunk it has begun to read has five bytes when it is asked again;
    // no message ends with fewer after a pause, so waiting for them delays nothing for good.
    if (paused_ && this->chunked() && bytes.size() < kBytesAfterPause) return 0;
    size_t consumed = 0;
    while (!this->is_done() && consumed < bytes.size()) {
      const size_t took = this->put(
          boost::asio::const_buffer(bytes.data() + consumed, bytes.size() - consumed), ec);
      consumed += took;
      if (ec || took == 0) break;
      if (!this->is_header_done() || header_only_) break;
    }
    paused_ = ec == boost::beast::http::error::need_more;
    if (paused_) ec = {};
    return consumed;
  }

  // Parses the head alone; `bytes` must hold all of it.
  void feed_head(std::string_view bytes, error_code& ec) {
    header_only_ = true;
    feed(bytes, ec);
    header_only_ = false;
    if (!ec && !this->is_header_done()) ec = boost::beast::http::error::partial_message;
  }

 private:
  static constexpr size_t kBytesAfterPause = 5;

  void on_request_impl(boost::beast::http::verb, text method, text target, int version,
                       error_code&) override {
    method_ = {method.data(), method.size()};
    target_ = {target.data(), target.size()};
    minor_ = version - 10;
  }
  void on_response_impl(int status, text, int version, error_code&) override {
    status_ = status;
    minor_ = version - 10;
  }
  void on_field_impl(boost::beast::http::field field, text name, text value,
                     error_code& ec) override {
    if (this->is_header_done()) return;  // a trailer: never a header
    if (field == boost::beast::http::field::content_length) {
      if (lengths_++ > 0 ||
          std::string_view(value.data(), value.size()).find(',') != std::string_view::npos) {
        ec = boost::beast::http::error::multiple_content_length;
        return;
      }
    } else if (field == boost::beast::http::field::transfer_encoding) {
      const bool chunked = equal_ignoring_case({value.data(), value.size()}, "chunked") &&
                           value.size() == 7 && minor_ == 1;
      if (!chunked) {
        refused_encoding_ = true;
        ec = boost::beast::http::error::bad_transfer_encoding;
        return;
      }
    }
    headers_.add({name.data(), name.size()}, {value.data(), value.size()});
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(text body, error_code& ec) override { return take(body, ec); }
  void on_chunk_header_impl(std::uint64_t, text, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, text body, error_code& ec) override {
    return take(body, ec);
  }
  void on_finish_impl(error_code&) override {}

  size_t take(text body, error_code& ec) {
    if (body.size() > room_) {
      over_limit_ = true;
      ec = boost::beast::http::error::body_limit;
      return 0;
    }
    room_ -= body.size();
    body_->append(body.data(), body.size());
    return body.size();
  }

  Headers& headers_;
  std::string_view method_;
  std::string_view target_;
  std::string* body_ = nullptr;
  uint64_t room_ = 0;
  int minor_ = 1;
  int status_ = 0;
  int lengths_ = 0;
  bool refused_encoding_ = false;
  bool over_limit_ = false;
  bool header_only_ = false;
  bool paused_ = false;  // the last bytes ended within something that is read whole
};

}  // namespace nimbus::net
