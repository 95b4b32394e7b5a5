#include "cache/actions_entries.h"

namespace nimbus::cache {
namespace {

constexpr int kListedMax = 100;

// The name of an upload; what is in it says what it will become.
std::string upload_name(const Place& place, std::string_view key) {
  return "entry\n" + place.scope + "\n" + place.version + "\n" + std::string(key);
}

struct NamedEntry {
  std::string scope;
  std::string version;
  std::string key;
};

std::optional<NamedEntry> parse_upload_name(std::string_view name) {
  constexpr std::string_view kStart = "entry\n";
  if (!name.starts_with(kStart)) return std::nullopt;
  name.remove_prefix(kStart.size());
  const size_t scope_end = name.find('\n');
  const size_t version_end = name.find('\n', scope_end + 1);
  if (scope_end == std::string_view::npos || version_end == std::string_view::npos) {
    return std::nullopt;
  }
  return NamedEntry{std::string(name.substr(0, scope_end)),
                    std::string(name.substr(scope_end + 1, version_end - scope_end - 1)),
                    std::string(name.substr(version_end + 1))};
}

Result<void> check_keys(const std::vector<std::string>& keys) {
  if (keys.empty() || keys.size() > kKeysMax) {
    return fail(Code::bad_request, "a lookup takes 1 to 10 keys");
  }
  for (const std::string& key : keys) TRY(check_actions_key(key));
  return {};
}

}  // namespace

Task<Result<std::optional<Entry>>> ActionsEntries::find(const Reach& reach,
                                                        std::vector<std::string> keys,
                                                        std::string version) {
  CO_TRY(check_keys(keys));
  CO_TRY(check_version(version));
  const Lookup lookup{reach.org, reach.repo, reach.readable, std::move(version), std::move(keys)};
  std::function<Result<std::optional<Entry>>(db::Transaction&)> work =
      [lookup](db::Transaction& tx) { return find_match_in(tx, lookup); };
  CO_TRY_ASSIGN(auto found,
                co_await core_.parts.database.read<std::optional<Entry>>(std::move(work)));
  if (found) {
    core_.uses.note(found->id, core_.now());
    core_.actions.hits.add();
  } else {
    core_.actions.misses.add();
  }
  co_return found;
}

Task<Result<std::optional<Entry>>> ActionsEntries::find_own(const Place& place,
                                                            const std::string& key) {
  std::function<Result<std::optional<Entry>>(db::Transaction&)> work =
      [place, key](db::Transaction& tx) { return find_entry_in(tx, place, key); };
  co_return co_await core_.parts.database.read<std::optional<Entry>>(std::move(work));
}

Task<Result<std::shared_ptr<UploadSession>>> ActionsEntries::reserve(const Reach& reach,
                                                                     std::string key,
                                                                     std::string version,
                                                                     std::optional<int64_t> size) {
  CO_TRY(check_actions_key(key));
  CO_TRY(check_version(version));
  if (size && *size < 0) co_return fail(Code::bad_request, "the size is negative");
  CO_TRY_ASSIGN(const Place place, reach.write_place(Kind::actions, std::move(version)));
  CO_TRY_ASSIGN(const auto taken, co_await find_own(place, key));
  if (taken) co_return fail(Code::conflict, "there is an entry with this key already");
  UploadTarget target{reach.org,       reach.repo, upload_name(place, key),
                      reach.writer.by, reach.job,  reach.fence};
  co_return co_await uploads_.open(std::move(target), size);
}

std::shared_ptr<UploadSession> ActionsEntries::find_upload(const Reach& reach,
                                                           const std::string& key,
                                                           const std::string& version) const {
  if (!reach.writable) return nullptr;
  const Place place{reach.org, reach.repo, Kind::actions, *reach.writable, version};
  auto session = uploads_.find(UploadTarget{reach.org, reach.repo, upload_name(place, key), ""});
  return session;
}

std::shared_ptr<UploadSession> ActionsEntries::find_upload(const Reach& reach, int64_t id) const {
  const auto session = uploads_.find(id);
  if (session == nullptr || !reach.writable) return nullptr;
  const UploadTarget& target = session->target();
  const auto named = parse_upload_name(target.name);
  const bool own = target.org == reach.org && target.repo == reach.repo && named &&
                   named->scope == *reach.writable;
  return own ? session : nullptr;
}

Task<Result<int64_t>> ActionsEntries::enter(const Reach& reach, std::string key,
                                            std::string version, int64_t size) {
  CO_TRY_ASSIGN(const Place place, reach.write_place(Kind::actions, version));
  auto session = find_upload(reach, key, version);
  if (session != nullptr) co_return co_await enter(reach, std::move(session), size);
  // The answer to the first time may have been lost on its way.
  CO_TRY_ASSIGN(const auto entered, co_await find_own(place, key));
  const bool same = entered && entered->blob.size == size && entered->writer.by == reach.writer.by;
  if (!same) co_return fail(Code::not_found, "no upload of this key is open");
  co_return entered->id;
}

Task<Result<int64_t>> ActionsEntries::enter(const Reach& reach,
                                            std::shared_ptr<UploadSession> session, int64_t size) {
  if (!session->content()) co_return fail(Code::bad_request, "the upload is not complete");
  if (session->content()->size != size) {
    co_return fail(Code::bad_request, std::to_string(session->content()->size) +
                                          " bytes were uploaded, not " + std::to_string(size));
  }
  const auto named = parse_upload_name(session->target().name);
  if (!named) co_return fail(Code::not_found, "no upload of this key is open");
  const NewEntry entry{{reach.org, reach.repo, Kind::actions, named->scope, named->version},
                       named->key,
                       *session->content(),
                       reach.writer};
  std::function<Result<int64_t>(db::Transaction&)> work =
      [entry, now = core_.now()](db::Transaction& tx) { return insert_entry_in(tx, entry, now); };
  auto entered = co_await core_.parts.database.write<int64_t>(std::move(work));
  if (!entered && entered.error().code == Code::conflict) {
    // Another request of the same client's entered it, or another process's client was faster.
    CO_TRY_ASSIGN(const auto there, co_await find_own(entry.place, entry.key));
    const bool own =
        there && there->writer.by == entry.writer.by && there->blob.digest == entry.blob.digest;
    if (own) entered = there->id;
  }
  if (entered || entered.error().code == Code::conflict) uploads_.close(*session);
  co_return entered;
}

std::string ActionsEntries::upload_url(const net::Request& request,
                                       const UploadSession& session) const {
  const std::string id = std::to_string(session.id());
  return origin_of(request) + core_.signer.sign("upload", id, core_.now() + kUploadUrlLife);
}

std::string ActionsEntries::download_url(const net::Request& request, const Entry& entry) const {
  const std::string id = std::to_string(entry.id);
  return origin_of(request) + core_.signer.sign("entry", id, core_.now() + kDownloadUrlLife);
}

Task<Result<std::vector<Entry>>> list_visible(Core& core, const Reach& reach, std::string key) {
  EntryFilter filter;
  filter.orgs = access::OrgScope::one(reach.org);
  filter.repo = reach.repo;
  filter.kind = Kind::actions;
  if (!key.empty()) filter.key_prefix = std::move(key);
  filter.limit = kListedMax;
  std::function<Result<std::vector<Entry>>(db::Transaction&)> work =
      [filter, scopes = reach.readable](db::Transaction& tx) -> Result<std::vector<Entry>> {
    std::vector<Entry> visible;
    for (const std::string& scope : scopes) {
      EntryFilter one = filter;
      one.scope = scope;
      for (Entry& entry : TRY(list_entries_in(tx, one))) visible.push_back(std::move(entry));
    }
    return visible;
  };
  co_return co_await core.parts.database.read<std::vector<Entry>>(std::move(work));
}

}  // namespace nimbus::cache
