#include "guest/accounts.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.h"

namespace nimbus::guest {
namespace {

constexpr size_t kGroupsMax = 256;

std::optional<uint32_t> find_id(std::string_view text) {
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

}  // namespace

Account find_account(std::string_view passwd, std::string_view group, std::string_view name) {
  Account account;
  account.name = name;
  account.home = "/home/" + std::string(name);
  for (const std::string_view line : split(passwd, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 7 || fields[0] != name) continue;
    const auto uid = find_id(fields[2]), gid = find_id(fields[3]);
    if (!uid || !gid) continue;
    account.uid = *uid;
    account.gid = *gid;
    if (fields[5].starts_with('/')) account.home = fields[5];
    account.known = true;
    break;
  }
  account.groups.push_back(account.gid);
  for (const std::string_view line : split(group, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 4 || account.groups.size() == kGroupsMax) continue;
    const auto members = split(fields[3], ',');
    const auto gid = find_id(fields[2]);
    if (!gid || *gid == account.gid) continue;
    if (std::find(members.begin(), members.end(), name) != members.end()) {
      account.groups.push_back(*gid);
    }
  }
  return account;
}

}  // namespace nimbus::guest
