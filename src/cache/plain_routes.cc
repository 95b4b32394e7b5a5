#include "cache/plain_routes.h"

#include <array>
#include <ctime>

#include "cache/blob_routes.h"
#include "cache/body_pieces.h"
#include "cache/entry_store.h"
#include "net/file_response.h"

namespace nimbus::cache {
namespace {

constexpr int64_t kUnsizedStepBytes = 8 << 20;  // reserved at a time
constexpr size_t kHashDigits = 64;

// The digest that the key promises, as Bazel's content-addressed keys do.
std::optional<blob::Digest> promised_digest(std::string_view key) {
  constexpr std::string_view kCas = "cas/";
  if (key.size() < kCas.size() + kHashDigits) return std::nullopt;
  const std::string_view tail = key.substr(key.size() - kHashDigits - kCas.size());
  const bool whole = tail.size() == key.size() || key[key.size() - tail.size() - 1] == '/';
  if (!whole || !tail.starts_with(kCas)) return std::nullopt;
  auto digest = blob::parse_digest("sha256:" + std::string(tail.substr(kCas.size())));
  if (!digest) return std::nullopt;
  return std::move(*digest);
}

net::Response answer_problem(const Error& error) {
  return error.code == Code::unauthenticated ? access::refusal(error) : net::problem(error);
}

Error no_entry() { return {Code::not_found, "no such cache entry"}; }

std::string escape_xml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      default: out += c;
    }
  }
  return out;
}

net::Response multistatus(const std::string& path, const std::string& properties) {
  net::Response response;
  response.status = 207;
  response.headers.set("Content-Type", "application/xml; charset=utf-8");
  response.body =
      "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:multistatus xmlns:D=\"DAV:\"><D:response>"
      "<D:href>" +
      escape_xml(path) + "</D:href><D:propstat><D:prop>" + properties +
      "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>";
  return response;
}

// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string http_date(Time time) {
  const std::time_t seconds = to_seconds(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 40> text{};
  const size_t size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), size};
}

}  // namespace

void PlainRoutes::add_to(net::Router& router) {
  using Call = Task<net::Response> (PlainRoutes::*)(net::Request&, std::string);
  const net::RouteOptions small;
  const net::RouteOptions large{
      .body_bytes_max = static_cast<size_t>(core_.options.entry_bytes_max), .stream_body = true};
  const auto add = [&](std::string_view method, Call call, const net::RouteOptions& options) {
    router.add(
        method, "/cache/{key...}",
        [this, call](net::Request& r) { return (this->*call)(r, r.parameter("key")); }, options);
  };
  const auto add_bazel = [&](std::string_view method, Call call, const net::RouteOptions& options) {
    for (const std::string folder : {"ac", "cas"}) {
      router.add(
          method, "/" + folder + "/{hash}",
          [this, call, folder](net::Request& r) {
            return (this->*call)(r, folder + "/" + r.parameter("hash"));
          },
          options);
    }
  };
  add("GET", &PlainRoutes::get, small);
  add("PUT", &PlainRoutes::put, large);
  add("DELETE", &PlainRoutes::remove, small);
  add("PROPFIND", &PlainRoutes::describe, small);
  add("MKCOL", &PlainRoutes::make_collection, small);
  add_bazel("GET", &PlainRoutes::get, small);
  add_bazel("PUT", &PlainRoutes::put, large);
}

Task<Result<Reach>> PlainRoutes::admit(const net::Request& request, access::Role least) {
  const auto caller = co_await core_.parts.authenticator.authenticate(request, true);
  if (!caller) co_return fail(caller.error());
  if (caller->is_operator()) co_return reach_of_operator(*caller, request, least);
  if (caller->kind == access::CallerKind::job && caller->job->has_scope(access::kScopeCache)) {
    co_return reach_of_job(*caller);
  }
  co_return fail(Code::forbidden, "this credential does not open the cache",
                 "show a job's token, or an operator's");
}

Task<Result<std::optional<Entry>>> PlainRoutes::find(const Reach& reach, std::string key) {
  CO_TRY(check_plain_key(key));
  std::function<Result<std::optional<Entry>>(db::Transaction&)> work =
      [places = reach.plain_places(), key](db::Transaction& tx) -> Result<std::optional<Entry>> {
    for (const Place& place : places) {
      if (auto found = TRY(find_entry_in(tx, place, key))) return found;
    }
    return std::nullopt;
  };
  co_return co_await core_.parts.database.read<std::optional<Entry>>(std::move(work));
}

Task<net::Response> PlainRoutes::get(net::Request& request, std::string key) {
  const auto reach = co_await admit(request, access::Role::viewer);
  if (!reach) co_return answer_problem(reach.error());
  auto found = co_await find(*reach, std::move(key));
  if (!found) co_return answer_problem(found.error());
  if (!*found) {
    core_.plain.misses.add();
    co_return answer_problem(no_entry());
  }
  const Entry& entry = **found;
  net::FileAnswer answer;
  answer.headers.set("Last-Modified", http_date(entry.created_at));
  answer.headers.set("X-Content-Type-Options", "nosniff");
  blob::Digest digest = entry.blob.digest;
  auto sent = co_await send_blob(core_, core_.plain, request, std::move(digest), std::move(answer));
  if (sent) {
    core_.plain.hits.add();
    core_.uses.note(entry.id, core_.now());
    co_return std::move(*sent);
  }
  if (sent.error().code != Code::not_found) co_return answer_problem(sent.error());
  core_.plain.misses.add();
  co_await drop_entry(core_, std::move(**found));
  co_return answer_problem(no_entry());
}

Task<Result<blob::BlobInfo>> PlainRoutes::receive(const Reach& reach, const std::string& key,
                                                  net::Request& request,
                                                  std::unique_ptr<blob::Upload>& upload,
                                                  blob::Reservation& room) {
  const auto length = content_length(request);
  blob::SpaceRequest space{reach.org, reach.repo, blob::Use::cache,
                           length.value_or(kUnsizedStepBytes)};
  blob::SpaceRequest first = space;
  CO_TRY_ASSIGN(room, co_await core_.parts.quota.reserve(std::move(first)));
  CO_TRY_ASSIGN(upload, co_await core_.parts.store.begin({}));
  BodyPieces pieces(*request.reader);
  for (;;) {
    CO_TRY_ASSIGN(std::string piece, co_await pieces.next());
    if (piece.empty()) break;
    const int64_t all = upload->size() + static_cast<int64_t>(piece.size());
    if (all > room.bytes()) {
      space.bytes = all + kUnsizedStepBytes;
      blob::SpaceRequest more = space;
      CO_TRY(co_await core_.parts.quota.grow(room, std::move(more)));
    }
    CO_TRY(co_await upload->write(std::move(piece)));
  }
  core_.plain.written_bytes.add(static_cast<double>(upload->size()));
  std::optional<blob::Digest> want = promised_digest(key);
  co_return co_await upload->commit(std::move(want));
}

Task<Result<bool>> PlainRoutes::enter(NewEntry entry, bool only_new) {
  std::function<Result<bool>(db::Transaction&)> work =
      [entry = std::move(entry), only_new, now = core_.now()](db::Transaction& tx) -> Result<bool> {
    if (!only_new) return replace_entry_in(tx, entry, now);
    TRY(insert_entry_in(tx, entry, now));
    return false;
  };
  co_return co_await core_.parts.database.write<bool>(std::move(work));
}

Task<net::Response> PlainRoutes::put(net::Request& request, std::string key) {
  const auto reach = co_await admit(request, access::Role::operator_);
  if (!reach) co_return answer_problem(reach.error());
  if (const auto good = check_plain_key(key); !good) co_return answer_problem(good.error());
  auto place = reach->write_place(Kind::plain, "");
  if (!place) co_return answer_problem(place.error());
  std::unique_ptr<blob::Upload> upload;
  blob::Reservation room;
  auto blob = co_await receive(*reach, key, request, upload, room);
  if (!blob) co_return answer_problem(blob.error());
  const bool only_new = request.headers.find("If-None-Match").value_or("") == "*";
  NewEntry entry{std::move(*place), std::move(key), std::move(*blob), reach->writer};
  const auto replaced = co_await enter(std::move(entry), only_new);
  if (replaced) co_return net::Response::empty(*replaced ? 204 : 201);
  if (only_new && replaced.error().code == Code::conflict) {
    co_return net::problem(412, "there is an entry with this key already");
  }
  co_return answer_problem(replaced.error());
}

Task<net::Response> PlainRoutes::remove(net::Request& request, std::string key) {
  const auto reach = co_await admit(request, access::Role::operator_);
  if (!reach) co_return answer_problem(reach.error());
  const auto place = reach->write_place(Kind::plain, "");
  if (!place) co_return answer_problem(place.error());
  std::function<Result<bool>(db::Transaction&)> work =
      [place = *place, key, now = core_.now()](db::Transaction& tx) -> Result<bool> {
    const auto entry = TRY(find_entry_in(tx, place, key));
    if (entry) TRY(remove_entry_in(tx, *entry, now));
    return entry.has_value();
  };
  const auto removed = co_await core_.parts.database.write<bool>(std::move(work));
  if (!removed) co_return answer_problem(removed.error());
  if (!*removed) co_return answer_problem(no_entry());
  co_return net::Response::empty(204);
}

Task<net::Response> PlainRoutes::describe(net::Request& request, std::string key) {
  const auto reach = co_await admit(request, access::Role::viewer);
  if (!reach) co_return answer_problem(reach.error());
  if (key.empty() || key.ends_with('/')) {
    // Every folder is there; sccache writes into none that has no time.
    co_return multistatus(request.path,
                          "<D:resourcetype><D:collection/></D:resourcetype><D:getlastmodified>" +
                              http_date(core_.now()) + "</D:getlastmodified>");
  }
  const auto found = co_await find(*reach, std::move(key));
  if (!found) co_return answer_problem(found.error());
  if (!*found) co_return answer_problem(no_entry());
  const Entry& entry = **found;
  co_return multistatus(request.path, "<D:resourcetype/><D:getcontentlength>" +
                                          std::to_string(entry.blob.size) +
                                          "</D:getcontentlength><D:getlastmodified>" +
                                          http_date(entry.created_at) + "</D:getlastmodified>");
}

Task<net::Response> PlainRoutes::make_collection(net::Request& request, std::string) {
  const auto reach = co_await admit(request, access::Role::operator_);
  if (!reach) co_return answer_problem(reach.error());
  // Folders are not things here; every one is there.
  co_return net::Response::empty(201);
}

}  // namespace nimbus::cache
