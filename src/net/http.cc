#include "net/http.h"

#include <algorithm>
#include <boost/beast/http/status.hpp>

#include "base/check.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/text.h"

namespace nimbus::net {
namespace {

constexpr std::string_view kHex = "0123456789ABCDEF";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

std::string_view code_of(int status) {
  switch (status) {
    case 400: return "bad-request";
    case 401: return "unauthenticated";
    case 403: return "forbidden";
    case 404: return "not-found";
    case 405: return "method-not-allowed";
    case 408: return "timeout";
    case 409: return "conflict";
    case 413: return "too-large";
    case 414: return "target-too-long";
    case 415: return "unsupported-media-type";
    case 422: return "unprocessable";
    case 429: return "too-many-requests";
    case 431: return "headers-too-large";
    case 501: return "not-implemented";
    case 503: return "unavailable";
    case 507: return "storage-full";
    default: return status < 500 ? "bad-request" : "internal";
  }
}

// Detail and hint may quote a piece of what was sent, cut in the middle of a character.
Response make_problem(int status, std::string_view detail, std::string_view hint,
                      std::string_view code) {
  const std::string_view title = boost::beast::http::obsolete_reason(
      boost::beast::http::int_to_status(static_cast<unsigned>(status)));
  std::string body = "{\"type\":\"about:blank\",\"title\":" + json_quote(title) +
                     ",\"status\":" + std::to_string(status) +
                     ",\"detail\":" + json_quote(to_utf8_lossy(detail));
  if (!hint.empty()) body += ",\"hint\":" + json_quote(to_utf8_lossy(hint));
  body += ",\"code\":" + json_quote(code) + "}\n";
  Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers.add("Content-Type", "application/problem+json");
  if (status == 429 || status == 503) response.headers.add("Retry-After", "1");
  if (status == 401) response.headers.add("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace

Headers::Headers(std::initializer_list<Field> fields) {
  for (const auto& [name, value] : fields) add(name, value);
}

Headers::Field Headers::at(size_t index) const {
  const Span& span = spans_[index];
  const std::string_view text = text_;
  return {text.substr(span.begin, span.name_size),
          text.substr(span.begin + span.name_size, span.value_size)};
}

// Seen for every field of every look-up: most are told apart by their length.
bool Headers::is_named(const Span& span, std::string_view name) const {
  return span.name_size == name.size() &&
         equal_ignoring_case({text_.data() + span.begin, span.name_size}, name);
}

void Headers::add(std::string_view name, std::string_view value) {
  spans_.push_back({static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(name.size()),
                    static_cast<uint32_t>(value.size())});
  text_ += name;
  text_ += value;
}

void Headers::set(std::string_view name, std::string_view value) {
  // Either may be a view into this very list.
  const std::string own_name(name);
  const std::string own_value(value);
  remove(own_name);
  add(own_name, own_value);
}

void Headers::remove(std::string_view name) {
  // Removed text stays in the buffer; a message's list is short-lived.
  std::erase_if(spans_, [&](const Span& span) { return is_named(span, name); });
}

void Headers::clear() {
  text_.clear();
  spans_.clear();
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const Span& span : spans_) {
    if (is_named(span, name)) {
      return std::string_view(text_).substr(span.begin + span.name_size, span.value_size);
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> Headers::find_single(std::string_view name) const {
  const Span* found = nullptr;
  for (const Span& span : spans_) {
    if (!is_named(span, name)) continue;
    if (found != nullptr) return std::nullopt;
    found = &span;
  }
  if (found == nullptr) return std::nullopt;
  return std::string_view(text_).substr(found->begin + found->name_size, found->value_size);
}

size_t Headers::count(std::string_view name) const {
  return static_cast<size_t>(
      std::ranges::count_if(spans_, [&](const Span& span) { return is_named(span, name); }));
}

std::optional<std::string_view> Request::find_query(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

const std::string& Request::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  check_failed(__FILE__, __LINE__, "the route's pattern has this parameter");
}

std::optional<std::string_view> Request::bearer() const {
  const auto value = headers.find("Authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (!value || value->size() <= kScheme.size()) return std::nullopt;
  if (!equal_ignoring_case(value->substr(0, kScheme.size()), kScheme)) return std::nullopt;
  return trim(value->substr(kScheme.size()));
}

std::optional<std::string_view> Request::cookie(std::string_view name) const {
  for (const auto& [field, value] : headers) {
    if (!equal_ignoring_case(field, "Cookie")) continue;
    for (const std::string_view pair : split(value, ';')) {
      const size_t equals = pair.find('=');
      if (equals == std::string_view::npos || trim(pair.substr(0, equals)) != name) continue;
      return trim(pair.substr(equals + 1));
    }
  }
  return std::nullopt;
}

Response Response::json(int status, std::string body) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers.add("Content-Type", "application/json");
  return response;
}

Response Response::text(int status, std::string body) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  return response;
}

Response Response::empty(int status) {
  Response response;
  response.status = status;
  return response;
}

Response Response::streamed(std::string_view content_type, BodyStream stream) {
  Response response;
  response.stream = std::move(stream);
  response.headers.add("Content-Type", content_type);
  response.headers.add("Cache-Control", "no-store");
  return response;
}

Response problem(const Error& error, std::string_view code_name) {
  const int status = http_status(error.code);
  return make_problem(status, error.message, error.hint,
                      code_name.empty() ? code_of(status) : code_name);
}

Response problem(int status, std::string_view detail, std::string_view hint) {
  return make_problem(status, detail, hint, code_of(status));
}

std::string sse_event(std::string_view event, std::string_view data, std::string_view id) {
  std::string text;
  text.reserve(event.size() + data.size() + id.size() + 32);
  auto field = [&text](std::string_view name, std::string_view value) {
    text += name;
    text += ": ";
    text += value;
    text += '\n';
  };
  if (!event.empty()) field("event", event);
  if (!id.empty()) field("id", id);
  // A carriage return ends a line for the reader too.
  while (true) {
    const size_t end = data.find_first_of("\r\n");
    field("data", data.substr(0, end));
    if (end == std::string_view::npos) break;
    data.remove_prefix(end + (data.substr(end, 2) == "\r\n" ? 2 : 1));
  }
  text += '\n';
  return text;
}

std::string percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += plus_is_space && text[i] == '+' ? ' ' : text[i];
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (unreserved(c)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

}  // namespace nimbus::net
