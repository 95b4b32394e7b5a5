#include "cache/blob_routes.h"

#include <charconv>

#include "base/log.h"
#include "cache/artifact_store.h"
#include "cache/block_list.h"
#include "net/file_response.h"

namespace nimbus::cache {
namespace {

// The SDK wants XML, or it reports a syntax error in the place of what went wrong.
net::Response azure_problem(const Error& error) {
  std::string_view code = "InternalError";
  switch (error.code) {
    case Code::bad_request: code = "InvalidInput"; break;
    case Code::forbidden: code = "AuthenticationFailed"; break;
    case Code::not_found: code = "BlobNotFound"; break;
    case Code::conflict: code = "BlobAlreadyExists"; break;
    case Code::too_large: code = "RequestBodyTooLarge"; break;
    case Code::unavailable: code = "ServerBusy"; break;
    case Code::insufficient_storage: code = "InsufficientStorage"; break;
    default: break;
  }
  net::Response response;
  response.status = http_status(error.code);
  std::string message = response.status == 500 ? "the server made a mistake" : error.message;
  for (char& c : message) {
    if (c == '<' || c == '>' || c == '&') c = ' ';
  }
  response.body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>" + std::string(code) +
                  "</Code><Message>" + message + "</Message></Error>";
  response.headers.set("Content-Type", "application/xml");
  response.headers.set("x-ms-error-code", code);
  return response;
}

std::optional<int64_t> parse_id(std::string_view text) {
  int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

Task<Result<std::string>> read_all(net::BodyReader& body, size_t bytes_max) {
  std::string all;
  for (;;) {
    CO_TRY_ASSIGN(const std::string piece, co_await body.read());
    if (piece.empty()) co_return all;
    if (all.size() + piece.size() > bytes_max) {
      co_return fail(Code::too_large, "the body is over " + std::to_string(bytes_max) + " bytes");
    }
    all += piece;
  }
}

// A name that any HTTP client can make a file of (RFC 6266).
std::string disposition(const std::string& name) {
  return "attachment; filename*=UTF-8''" + net::percent_encode(name);
}

}  // namespace

std::optional<int64_t> content_length(const net::Request& request) {
  const auto text = request.headers.find("Content-Length");
  if (!text) return std::nullopt;
  return parse_id(*text);
}

Task<Result<net::Response>> send_blob(Core& core, Traffic& traffic, const net::Request& request,
                                      blob::Digest digest, net::FileAnswer answer) {
  answer.etag = "\"" + digest.hex + "\"";
  CO_TRY_ASSIGN(const std::shared_ptr<const blob::OpenBlob> open,
                co_await core.parts.store.open(std::move(digest)));
  const auto size = static_cast<uint64_t>(open->info().size);
  if (request.method != "HEAD") {
    const net::RangeChoice choice = net::choose_range(request, size, answer.etag);
    const bool bytes = choice.status == 200 || choice.status == 206;
    if (bytes) traffic.read_bytes.add(static_cast<double>(choice.size));
  }
  co_return open->respond(request, answer);
}

Task<void> drop_entry(Core& core, Entry entry) {
  log_warn("a cache entry's bytes are gone; the entry is dropped",
           {{"entry", entry.id}, {"org", entry.place.org}});
  std::function<Result<bool>(db::Transaction&)> work =
      [entry, now = core.now()](db::Transaction& tx) -> Result<bool> {
    TRY(remove_entry_in(tx, entry, now));
    return true;
  };
  const auto done = co_await core.parts.database.write<bool>(std::move(work));
  if (!done) log_error("dropping a cache entry", done.error());
}

void BlobRoutes::add_to(net::Router& router) {
  const net::RouteOptions large{
      .body_bytes_max = static_cast<size_t>(core_.options.entry_bytes_max), .stream_body = true};
  router.put("/blobs/upload/{id}", [this](net::Request& r) { return upload(r); }, large);
  router.get("/blobs/entry/{id}", [this](net::Request& r) { return download_entry(r); });
  router.get("/blobs/artifact/{id}", [this](net::Request& r) { return download_artifact(r); });
}

Task<net::Response> BlobRoutes::upload(net::Request& request) {
  const std::string& text = request.parameter("id");
  const auto allowed = core_.signer.check(request, "upload", text, core_.now());
  if (!allowed) co_return azure_problem(allowed.error());
  const auto id = parse_id(text);
  const auto session = id ? uploads_.find(*id) : nullptr;
  if (session == nullptr) co_return azure_problem({Code::not_found, "no such upload"});
  const auto taken = co_await take(*session, request);
  if (!taken) co_return azure_problem(taken.error());
  net::Response created = net::Response::empty(201);
  created.headers.set("x-ms-request-server-encrypted", "false");
  co_return created;
}

Task<Result<void>> BlobRoutes::take(UploadSession& session, net::Request& request) {
  const std::string_view operation = request.find_query("comp").value_or("");
  const auto length = content_length(request);
  if (operation.empty()) co_return co_await session.put(*request.reader, length);
  if (operation == "block") {
    if (!length) co_return fail(Code::bad_request, "a block needs a Content-Length");
    std::string block(request.find_query("blockid").value_or(""));
    co_return co_await session.put_block(std::move(block), *request.reader, *length);
  }
  if (operation == "blocklist") {
    CO_TRY_ASSIGN(const std::string xml, co_await read_all(*request.reader, kBlockListBytesMax));
    CO_TRY_ASSIGN(std::vector<std::string> blocks, parse_block_list(xml));
    co_return co_await session.put_block_list(std::move(blocks));
  }
  co_return fail(Code::bad_request, "comp is neither block nor blocklist");
}

Task<net::Response> BlobRoutes::download_entry(net::Request& request) {
  const std::string& text = request.parameter("id");
  const auto allowed = core_.signer.check(request, "entry", text, core_.now());
  if (!allowed) co_return azure_problem(allowed.error());
  std::function<Result<std::optional<Entry>>(db::Transaction&)> work =
      [id = parse_id(text).value_or(0)](db::Transaction& tx) { return read_entry_in(tx, id); };
  auto found = co_await core_.parts.database.read<std::optional<Entry>>(std::move(work));
  if (!found) co_return azure_problem(found.error());
  if (!*found) co_return azure_problem({Code::not_found, "the entry is gone"});
  const Entry& entry = **found;
  core_.uses.note(entry.id, core_.now());
  if (const auto range = request.headers.find("x-ms-range")) {
    const std::string wanted(*range);
    request.headers.set("Range", wanted);
  }
  blob::Digest digest = entry.blob.digest;
  net::FileAnswer plain;
  auto answer =
      co_await send_blob(core_, core_.actions, request, std::move(digest), std::move(plain));
  if (answer) co_return std::move(*answer);
  if (answer.error().code == Code::not_found) co_await drop_entry(core_, std::move(**found));
  co_return azure_problem(answer.error());
}

Task<net::Response> BlobRoutes::download_artifact(net::Request& request) {
  const std::string& text = request.parameter("id");
  const auto allowed = core_.signer.check(request, "artifact", text, core_.now());
  if (!allowed) co_return azure_problem(allowed.error());
  std::function<Result<std::optional<Artifact>>(db::Transaction&)> work =
      [id = parse_id(text).value_or(0)](db::Transaction& tx) { return read_artifact_in(tx, id); };
  const auto found = co_await core_.parts.database.read<std::optional<Artifact>>(std::move(work));
  if (!found) co_return azure_problem(found.error());
  if (!*found) co_return azure_problem({Code::not_found, "the artifact is gone"});
  const Artifact& artifact = **found;
  net::FileAnswer answer;
  answer.content_type = artifact.content_type;
  answer.headers.set("Content-Disposition", disposition(artifact.name));
  // Jobs choose the content type; no browser is to run it in the dashboard's origin.
  answer.headers.set("X-Content-Type-Options", "nosniff");
  answer.headers.set("Content-Security-Policy", "sandbox");
  auto sent =
      co_await send_blob(core_, core_.artifacts, request, artifact.blob.digest, std::move(answer));
  if (sent) co_return std::move(*sent);
  co_return azure_problem(sent.error());
}

}  // namespace nimbus::cache
