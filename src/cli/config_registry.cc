#include "cli/config_registry.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "cli/toml_text.h"
#include "net/url.h"
#include "os/atomic_file.h"

namespace nimbus::cli {
namespace {

using registry::MirrorOptions;
using registry::RetentionRule;

constexpr int64_t kDaysMax = 36'500;
constexpr size_t kPasswordBytesMax = 64 * 1024;

Result<std::string> text(const toml::node& node) {
  auto value = node.value_exact<std::string>();
  if (!value) return fail(Code::bad_request, "must be a string in quotes");
  return std::move(*value);
}

Result<int64_t> number(const toml::node& node, int64_t min, int64_t max) {
  const auto value = node.value_exact<int64_t>();
  if (!value || *value < min || *value > max) {
    return fail(Code::bad_request, "must be a whole number from " + std::to_string(min) + " to " +
                                       std::to_string(max));
  }
  return *value;
}

tl::unexpected<Error> unknown_key(std::string_view name, std::string_view kind) {
  std::vector<std::string_view> known;
  for (const RegistryTableKey& key : registry_table_keys()) {
    if (key.table == kind) known.push_back(key.name);
  }
  const std::string_view guess = nearest(name, known);
  return fail(Code::bad_request, "no such key",
              guess.empty() ? "`nimbus config reference` lists the keys"
                            : "did you mean '" + std::string(guess) + "'?");
}

Result<void> set(RetentionRule& rule, std::string_view key, const toml::node& node) {
  if (key == "repositories") {
    rule.repositories = TRY(text(node));
  } else if (key == "keep_newest") {
    rule.keep_newest = TRY(number(node, 0, 1'000'000));
  } else if (key == "unused_days") {
    rule.unused_days = TRY(number(node, 0, kDaysMax));
  } else if (key == "untagged_days") {
    rule.untagged_days = TRY(number(node, 0, kDaysMax));
  } else if (key == "keep_tags") {
    rule.keep_tags = TRY(text(node));
  } else {
    return unknown_key(key, "retention");
  }
  return {};
}

Result<void> set(MirrorOptions& mirror, std::string_view key, const toml::node& node) {
  if (key == "upstream") {
    mirror.upstream = TRY(text(node));
    TRY(net::parse_url(mirror.upstream));
  } else if (key == "namespace") {
    mirror.ns = TRY(text(node));
  } else if (key == "username") {
    mirror.username = TRY(text(node));
  } else if (key == "password_file") {
    const std::string file = TRY(text(node));
    mirror.password = Secret(std::string(trim(TRY(os::read_file(file, kPasswordBytesMax)))));
  } else if (key == "tag_ttl_s") {
    mirror.tag_ttl = std::chrono::seconds(TRY(number(node, 0, 86'400 * 365)));
  } else {
    return unknown_key(key, "mirrors");
  }
  return {};
}

template <typename T>
Result<void> read_table(T& into, const toml::table& table, const std::string& where) {
  for (const auto& [key, node] : table) {
    TRY_IN(where + "." + std::string(key.str()), set(into, key.str(), node));
  }
  return {};
}

bool is_mirror_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

}  // namespace

std::span<const RegistryTableKey> registry_table_keys() {
  static constexpr std::array<RegistryTableKey, 10> kKeys = {{
      {"retention", "repositories",
       "Which repositories the rule is for, `*` standing for any characters (default `*`); the "
       "first rule by name that fits counts"},
      {"retention", "keep_newest", "Tags that stay whatever their age, newest first (default 0)"},
      {"retention", "unused_days",
       "Days after which a tag goes that was neither pushed nor pulled; 0: never (default 0)"},
      {"retention", "untagged_days", "The same for manifests that nothing points to (default 14)"},
      {"retention", "keep_tags", "Pattern of tags that never go, like `v*`"},
      {"mirrors", "upstream", "URL of the registry that is mirrored"},
      {"mirrors", "namespace",
       "Its host as image names have it, which clients send as `?ns=`, like `hub.example`"},
      {"mirrors", "username", "User for the upstream; empty: none"},
      {"mirrors", "password_file", "File with that user's password or token"},
      {"mirrors", "tag_ttl_s",
       "Seconds that a tag is believed before the upstream is asked again (default 60)"},
  }};
  return kKeys;
}

Result<void> read_registry_tables(Config& config, std::string_view name, const toml::table& tables,
                                  std::string_view file) {
  for (const auto& [key, node] : tables) {
    const std::string where = std::string(file) + ":" + std::to_string(node.source().begin.line) +
                              ": registry." + std::string(name) + "." + std::string(key.str());
    const auto* table = node.as_table();
    if (table == nullptr) return fail(Code::bad_request, where + " must be a table");
    if (name == "retention") {
      RetentionRule rule;
      TRY(read_table(rule, *table, where));
      config.registry.retention.push_back(std::move(rule));
      continue;
    }
    MirrorOptions mirror;
    mirror.name = key.str();
    if (!is_mirror_name(mirror.name)) {
      return fail(Code::bad_request,
                  where + ": the name must be lower-case letters, digits, - or .");
    }
    TRY(read_table(mirror, *table, where));
    if (mirror.upstream.empty() || mirror.ns.empty()) {
      return fail(Code::bad_request, where + " needs upstream and namespace");
    }
    config.registry.mirrors.push_back(std::move(mirror));
  }
  return {};
}

std::string registry_tables_toml(const Config& config) {
  std::string out;
  // Rules are tried in the order of their names; as many digits for each keep it.
  size_t number = 10'000;
  for (const RetentionRule& rule : config.registry.retention) {
    out += "\n[registry.retention.rule-" + std::to_string(++number).substr(1) +
           "]\nrepositories = " + toml_string(rule.repositories) +
           "\nkeep_newest = " + std::to_string(rule.keep_newest) +
           "\nunused_days = " + std::to_string(rule.unused_days) +
           "\nuntagged_days = " + std::to_string(rule.untagged_days) +
           "\nkeep_tags = " + toml_string(rule.keep_tags) + "\n";
  }
  for (const MirrorOptions& mirror : config.registry.mirrors) {
    const auto ttl = std::chrono::duration_cast<std::chrono::seconds>(mirror.tag_ttl).count();
    out += "\n[registry.mirrors." + toml_name(mirror.name) +
           "]\nupstream = " + toml_string(mirror.upstream) +
           "\nnamespace = " + toml_string(mirror.ns) +
           "\nusername = " + toml_string(mirror.username) + "\ntag_ttl_s = " + std::to_string(ttl) +
           "\n";
  }
  return out;
}

}  // namespace nimbus::cli
