#include "dashboard/static_files.h"

#include <array>
#include <memory>
#include <utility>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/text.h"

namespace nimbus::dashboard {
namespace {

using net::Request;
using net::Response;

// First path segments that belong to protocols: an unknown path there is a client's mistake, which
// a page would only hide.
constexpr std::array<std::string_view, 7> kApiSegments = {"api",   "v1",    "v2",   "webhooks",
                                                          "_apis", "twirp", "blobs"};

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kSecurityHeaders = {{
    {"Content-Security-Policy",
     "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
     "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
}};

constexpr std::string_view kNotBuilt =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Nimbus</title>\n"
    "<h1>The dashboard is not in this program</h1>\n"
    "<p>It was built before <code>web/dist</code> existed. In the source folder: "
    "<code>make build</code>, which builds the dashboard first.</p>\n"
    "<p>The API and the <code>nimbus</code> command work without it.</p>\n";

std::string_view content_type(std::string_view path) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kTypes = {{
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".svg", "image/svg+xml"},
      {".json", "application/json"},
      {".txt", "text/plain; charset=utf-8"},
      {".png", "image/png"},
      {".ico", "image/x-icon"},
      {".woff2", "font/woff2"},
  }};
  for (const auto& [ending, type] : kTypes) {
    if (path.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

// Whether the client takes this content coding (RFC 9110 12.5.3); "*" is not taken as a yes.
bool accepts(std::string_view accept_encoding, std::string_view coding) {
  for (const std::string_view item : split(accept_encoding, ',')) {
    const std::vector<std::string_view> parts = split(item, ';');
    if (!equal_ignoring_case(trim(parts.front()), coding)) continue;
    if (parts.size() < 2) return true;
    const std::string_view quality = trim(parts[1]);
    // q=0, q=0.0, q=0.000: refused.
    return quality.find_first_of("123456789", 2) != std::string_view::npos;
  }
  return false;
}

// If-None-Match compares weakly (RFC 9110 13.1.2).
bool names_etag(std::string_view if_none_match, std::string_view etag) {
  for (const std::string_view item : split(if_none_match, ',')) {
    std::string_view tag = trim(item);
    if (tag == "*") return true;
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag) return true;
  }
  return false;
}

// Browsers name HTML; curl and its like take anything. Who asks for JSON alone has a wrong path.
bool takes_page(const Request& request) {
  const auto accept = request.headers.find("Accept");
  if (!accept || trim(*accept).empty()) return true;
  for (const std::string_view item : split(*accept, ',')) {
    const std::string_view type = trim(item.substr(0, item.find(';')));
    for (const std::string_view page : {"text/html", "text/*", "*/*"}) {
      if (equal_ignoring_case(type, page)) return true;
    }
  }
  return false;
}

bool is_api_path(std::string_view path) {
  const std::string_view rest = path.substr(path.empty() ? 0 : 1);
  const std::string_view segment = rest.substr(0, rest.find('/'));
  for (const std::string_view api : kApiSegments) {
    if (segment == api) return true;
  }
  return false;
}

Response not_found() {
  return net::problem(404, "there is nothing at this path", "GET /openapi.json lists the API");
}

}  // namespace

StaticFiles::StaticFiles(std::span<const EmbeddedFile> files) {
  for (const EmbeddedFile& file : files) {
    entries_.emplace(std::string(file.path),
                     Entry{&file, to_hex(sha256(file.bytes)).substr(0, 32)});
  }
}

Response StaticFiles::answer(const Request& request) const {
  if (request.method != "GET" && request.method != "HEAD") return not_found();
  const auto known = entries_.find(request.path);
  if (known != entries_.end()) return serve(known->second, request);
  const bool wants_page = request.path == "/" || takes_page(request);
  if (!wants_page || is_api_path(request.path) || request.path.starts_with("/assets/")) {
    return not_found();
  }
  const auto page = entries_.find("/index.html");
  if (page != entries_.end()) return serve(page->second, request);
  Response response = Response::text(503, std::string(kNotBuilt));
  response.headers.set("Content-Type", "text/html; charset=utf-8");
  for (const auto& [name, value] : kSecurityHeaders) response.headers.set(name, value);
  return response;
}

Response StaticFiles::serve(const Entry& entry, const Request& request) const {
  const EmbeddedFile& file = *entry.file;
  const std::string_view codings = request.headers.find("Accept-Encoding").value_or("");
  std::string_view bytes = file.bytes;
  std::string_view coding;
  if (!file.brotli.empty() && accepts(codings, "br")) {
    bytes = file.brotli;
    coding = "br";
  } else if (!file.gzip.empty() && accepts(codings, "gzip")) {
    bytes = file.gzip;
    coding = "gzip";
  }
  std::string etag = "\"" + entry.hash;
  if (!coding.empty()) etag.append("-").append(coding);
  etag += '"';

  const auto known = request.headers.find("If-None-Match");
  const bool unchanged = known && names_etag(*known, etag);
  Response response = Response::empty(unchanged ? 304 : 200);
  response.headers.set("ETag", etag);
  response.headers.set("Vary", "Accept-Encoding");
  response.headers.set("Cache-Control", file.path.starts_with("/assets/")
                                            ? "public, max-age=31536000, immutable"
                                            : "no-cache");
  for (const auto& [name, value] : kSecurityHeaders) response.headers.set(name, value);
  if (unchanged) return response;
  response.headers.set("Content-Type", content_type(file.path));
  if (!coding.empty()) response.headers.set("Content-Encoding", coding);
  response.body = bytes;
  return response;
}

void add_dashboard_routes(net::Router& router) {
  auto files = std::make_shared<const StaticFiles>(embedded_files());
  router.fallback(
      [files](Request& request) -> Task<Response> { co_return files->answer(request); });
}

}  // namespace nimbus::dashboard
