#include "cli/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "cli/config_registry.h"
#include "cli/toml_text.h"
#include "model/image_reference.h"

namespace nimbus::cli {

namespace json = boost::json;

namespace {

// Where a value stands, for error messages: "nimbus.toml:12".
std::string place(std::string_view file, const toml::node& node) {
  return std::string(file) + ":" + std::to_string(node.source().begin.line);
}

tl::unexpected<Error> unknown(const std::string& where, std::string_view what,
                              std::string_view name, std::span<const std::string_view> known) {
  const std::string_view guess = nearest(name, known);
  return fail(Code::bad_request,
              where + ": unknown " + std::string(what) + " '" + std::string(name) + "'",
              guess.empty() ? "`nimbus config reference` lists the keys"
                            : "did you mean '" + std::string(guess) + "'?");
}

Result<std::string> scalar_text(const toml::node& node, const ConfigKey& key) {
  if (key.kind == KeyKind::integer) {
    if (const auto number = node.value_exact<int64_t>()) return std::to_string(*number);
    return fail(Code::bad_request, "must be a whole number");
  }
  if (auto value = node.value_exact<std::string>()) return std::move(*value);
  return fail(Code::bad_request, "must be a string in quotes");
}

Result<std::vector<std::string>> words(const toml::node& node) {
  const auto* array = node.as_array();
  if (array == nullptr)
    return fail(Code::bad_request, "must be a list of strings, like [\"sh\", \"-c\", \"…\"]");
  std::vector<std::string> out;
  for (const auto& item : *array) {
    auto word = item.value_exact<std::string>();
    if (!word)
      return fail(Code::bad_request, "must be a list of strings, like [\"sh\", \"-c\", \"…\"]");
    out.push_back(std::move(*word));
  }
  return out;
}

Result<void> read_profile_key(ProfileConfig& profile, std::string_view key,
                              const toml::node& node) {
  const auto number = [&](int64_t& into, int64_t min, int64_t max) -> Result<void> {
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < min || *value > max) {
      return fail(Code::bad_request, "must be a whole number from " + std::to_string(min) + " to " +
                                         std::to_string(max));
    }
    into = *value;
    return {};
  };
  if (key == "cpus") return number(profile.cpus, 1, 256);
  if (key == "memory_mb") return number(profile.memory_mb, 128, int64_t{1} << 22);
  if (key == "disk_mb") return number(profile.disk_mb, 64, int64_t{1} << 26);
  if (key == "timeout_s") return number(profile.timeout_s, 1, 5 * 86'400);
  if (key == "image") {
    auto image = node.value_exact<std::string>();
    if (!image || image->empty()) return fail(Code::bad_request, "must be an image name in quotes");
    TRY(model::parse_image_reference(*image));
    profile.image = std::move(*image);
    return {};
  }
  profile.entry = TRY(words(node));
  return {};
}

Result<void> read_profiles(Config& config, const toml::table& profiles, std::string_view file) {
  std::vector<std::string_view> known;
  for (const auto& key : profile_keys()) known.push_back(key.name);
  for (const auto& [name, node] : profiles) {
    const auto* table = node.as_table();
    if (table == nullptr) {
      return fail(Code::bad_request, place(file, node) + ": profiles." + std::string(name.str()) +
                                         " must be a table: [profiles." + std::string(name.str()) +
                                         "]");
    }
    ProfileConfig profile;
    for (const auto& [key, value] : *table) {
      const std::string where = place(file, value);
      if (std::find(known.begin(), known.end(), key.str()) == known.end()) {
        return unknown(where, "key in a profile", key.str(), known);
      }
      TRY_IN(where + ": profiles." + std::string(name.str()) + "." + std::string(key.str()),
             read_profile_key(profile, key.str(), value));
    }
    config.profiles[to_lower(name.str())] = std::move(profile);
  }
  return {};
}

const ConfigKey* find_key(std::string_view section, std::string_view name) {
  for (const ConfigKey& key : config_keys()) {
    if (key.section == section && key.name == name) return &key;
  }
  return nullptr;
}

constexpr std::string_view kFileSuffix = "_file";

// The secret that `NAME_file` names a file for.
const ConfigKey* find_secret_of_file(std::string_view section, std::string_view name) {
  if (!name.ends_with(kFileSuffix)) return nullptr;
  const ConfigKey* key = find_key(section, name.substr(0, name.size() - kFileSuffix.size()));
  return key != nullptr && key->kind == KeyKind::secret ? key : nullptr;
}

std::vector<std::string_view> key_names(std::string_view section) {
  std::vector<std::string_view> names;
  for (const ConfigKey& key : config_keys()) {
    if (key.section == section) names.push_back(key.name);
  }
  return names;
}

std::vector<std::string_view> section_names() {
  std::vector<std::string_view> names = {"profiles"};
  for (const ConfigKey& key : config_keys()) {
    if (names.back() != key.section) names.push_back(key.section);
  }
  return names;
}

Result<std::string> read_secret_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return fail(Code::bad_request, "cannot read " + path);
  return text.str();
}

Result<void> read_section(Config& config, std::string_view section, const toml::table& table,
                          std::string_view file) {
  for (const auto& [name, node] : table) {
    const bool tables = section == "registry" && (name == "retention" || name == "mirrors");
    if (tables && node.is_table()) {
      TRY(read_registry_tables(config, name.str(), *node.as_table(), file));
      continue;
    }
    const ConfigKey* key = find_key(section, name.str());
    const ConfigKey* secret = key == nullptr ? find_secret_of_file(section, name.str()) : nullptr;
    if (key == nullptr && secret == nullptr) {
      return unknown(place(file, node), "key in [" + std::string(section) + "]:", name.str(),
                     key_names(section));
    }
    const std::string where =
        place(file, node) + ": " + std::string(section) + "." + std::string(name.str());
    if (secret != nullptr) {
      const auto path = node.value_exact<std::string>();
      if (!path) return fail(Code::bad_request, where + ": must be a file's path in quotes");
      TRY_IN(where, secret->set(config, TRY_IN(where, read_secret_file(*path))));
      continue;
    }
    const std::string value = TRY_IN(where, scalar_text(node, *key));
    TRY_IN(where, key->set(config, value));
  }
  return {};
}

Result<void> read_environment(Config& config, const Environment& environment) {
  for (const ConfigKey& key : config_keys()) {
    const std::string name = key.name_in_environment();
    if (const char* value = environment(name)) TRY_IN(name, key.set(config, value));
    if (key.kind != KeyKind::secret) continue;
    if (const char* path = environment(name + "_FILE")) {
      TRY_IN(name + "_FILE", key.set(config, TRY_IN(name + "_FILE", read_secret_file(path))));
    }
  }
  return {};
}

Result<void> check_marks(const Config& config) {
  const auto& blob = config.blob;
  if (blob.quota_low_percent > blob.quota_high_percent ||
      blob.disk_low_percent > blob.disk_high_percent) {
    return fail(Code::bad_request, "a low mark of [blob] is above its high mark",
                "quota_low_percent ≤ quota_high_percent, disk_low_percent ≤ disk_high_percent");
  }
  return {};
}

Result<void> check_whole(const Config& config) {
  if (config.server.tls_certificate.empty() != config.server.tls_key.empty()) {
    return fail(Code::bad_request, "server.tls_certificate and server.tls_key go together",
                "set both, or neither for plain HTTP");
  }
  if (config.webhook.mode == "relay" && config.webhook.relay_secrets_file.empty()) {
    return fail(Code::bad_request, "webhook.mode is relay but webhook.relay_secrets_file is empty",
                "name the file with the relay's secret");
  }
  if (config.agent.warm > config.agent.slots) {
    return fail(Code::bad_request,
                "agent.warm (" + std::to_string(config.agent.warm) +
                    ") is more than agent.slots (" + std::to_string(config.agent.slots) + ")",
                "a waiting VM takes a slot: raise agent.slots or lower agent.warm");
  }
  const std::string& clickhouse = config.telemetry.clickhouse;
  if (clickhouse != "embedded:" && !clickhouse.starts_with("http://") &&
      !clickhouse.starts_with("https://")) {
    return fail(Code::bad_request, "telemetry.clickhouse '" + clickhouse +
                                       "' is neither embedded: nor an http(s) URL");
  }
  TRY(check_marks(config));
  return {};
}

std::string toml_value(const ConfigKey& key, const Config& config) {
  return key.kind == KeyKind::integer ? key.get(config) : toml_string(key.get(config));
}

std::string entry_list(const std::vector<std::string>& entry) {
  std::string out = "[";
  for (const auto& word : entry) out += (out.size() > 1 ? ", " : "") + toml_string(word);
  return out + "]";
}

}  // namespace

Result<Config> parse_config(std::string_view text, std::string_view file,
                            const Environment& environment) {
  Config config;
  config.profiles["nimbus"] = ProfileConfig{};
  toml::table root;
  try {
    root = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    return fail(Code::bad_request, std::string(file) + ":" +
                                       std::to_string(error.source().begin.line) + ": " +
                                       std::string(error.description()));
  }
  const std::vector<std::string_view> sections = section_names();
  for (const auto& [name, node] : root) {
    const auto* table = node.as_table();
    const bool known = std::find(sections.begin(), sections.end(), name.str()) != sections.end();
    if (!known) return unknown(place(file, node), "section", name.str(), sections);
    if (table == nullptr) {
      return fail(Code::bad_request,
                  place(file, node) + ": '" + std::string(name.str()) + "' must be a section");
    }
    if (name.str() == "profiles") {
      TRY(read_profiles(config, *table, file));
    } else {
      TRY(read_section(config, name.str(), *table, file));
    }
  }
  TRY(read_environment(config, environment));
  TRY(check_whole(config));
  return config;
}

Result<Config> load_config(const std::string& path, const Environment& environment) {
  if (path.empty()) return parse_config("", "", environment);
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return fail(Code::bad_request, "cannot read the configuration " + path);
  return parse_config(text.str(), path, environment);
}

std::string config_toml(const Config& config) {
  std::string out;
  std::string_view section;
  for (const ConfigKey& key : config_keys()) {
    if (key.section != section) {
      section = key.section;
      out += (out.empty() ? "[" : "\n[") + std::string(section) + "]\n";
    }
    out += std::string(key.name) + " = " + toml_value(key, config) + "\n";
  }
  out += registry_tables_toml(config);
  for (const auto& [name, profile] : config.profiles) {
    out += "\n[profiles." + toml_name(name) + "]\nimage = " + toml_string(profile.image) +
           "\nentry = " + entry_list(profile.entry) + "\ncpus = " + std::to_string(profile.cpus) +
           "\nmemory_mb = " + std::to_string(profile.memory_mb) +
           "\ndisk_mb = " + std::to_string(profile.disk_mb) +
           "\ntimeout_s = " + std::to_string(profile.timeout_s) + "\n";
  }
  return out;
}

std::string config_reference() {
  const Config defaults;
  std::string out = "| key | default | environment | meaning |\n|---|---|---|---|\n";
  for (const ConfigKey& key : config_keys()) {
    const std::string value = key.get(defaults);
    const std::string name = key.name_in_environment();
    const std::string full = std::string(key.section) + "." + std::string(key.name);
    const bool is_secret = key.kind == KeyKind::secret;
    out.append("| `").append(full).append("`");
    if (is_secret) out.append(", `").append(full).append("_file`");
    out += " | ";
    if (!value.empty()) out.append("`").append(value).append("`");
    out.append(" | `").append(name).append("`");
    if (is_secret) out.append(", `").append(name).append("_FILE`");
    out.append(" | ").append(key.meaning).append(" |\n");
  }
  for (const RegistryTableKey& key : registry_table_keys()) {
    out += "| `registry." + std::string(key.table) + ".NAME." + std::string(key.name) + "` | | | " +
           std::string(key.meaning) + " |\n";
  }
  for (const ProfileKey& key : profile_keys()) {
    out.append("| `profiles.NAME.").append(key.name).append("` | | | ").append(key.meaning);
    out += " |\n";
  }
  return out;
}

namespace {

std::string_view to_string(KeyKind kind) {
  if (kind == KeyKind::integer) return "integer";
  return kind == KeyKind::secret ? "secret" : "text";
}

json::object table_key(const std::string& name, std::string_view meaning) {
  return {{"key", name},
          {"kind", nullptr},
          {"default", nullptr},
          {"environment", nullptr},
          {"meaning", meaning}};
}

}  // namespace

json::object config_json(const Config& config) {
  std::ostringstream text;
  text << toml::json_formatter{toml::parse(config_toml(config))};
  return json::parse(text.str()).as_object();
}

json::array config_reference_json() {
  const Config defaults;
  json::array keys;
  for (const ConfigKey& key : config_keys()) {
    json::object entry =
        table_key(std::string(key.section) + "." + std::string(key.name), key.meaning);
    entry["kind"] = to_string(key.kind);
    entry["default"] = key.get(defaults);
    entry["environment"] = key.name_in_environment();
    keys.push_back(std::move(entry));
  }
  for (const RegistryTableKey& key : registry_table_keys()) {
    keys.push_back(table_key(
        "registry." + std::string(key.table) + ".NAME." + std::string(key.name), key.meaning));
  }
  for (const ProfileKey& key : profile_keys()) {
    keys.push_back(table_key("profiles.NAME." + std::string(key.name), key.meaning));
  }
  return keys;
}

std::string config_template() {
  const Config defaults;
  std::string out =
      "# Nimbus's configuration. Every line that starts with `#` shows a default.\n"
      "# `nimbus config check` reads it, `nimbus config show` prints what is in force.\n";
  std::string_view section;
  for (const ConfigKey& key : config_keys()) {
    if (key.section != section) {
      section = key.section;
      out += "\n[" + std::string(section) + "]\n";
    }
    out += "# " + std::string(key.meaning) + "\n";
    out += "# " + std::string(key.name) + " = " + toml_value(key, defaults) + "\n";
  }
  out +=
      "\n# A profile is what a label stands for: `runs-on: nimbus` runs the profile `nimbus`.\n"
      "# The entry is the command that a GitHub job runs in its microVM.\n"
      "[profiles.nimbus]\n"
      "image = \"nimbus/base\"\n"
      "# entry = [\"/usr/local/bin/run-job\"]\n"
      "cpus = 2\n"
      "memory_mb = 2048\n"
      "disk_mb = 10240\n"
      "timeout_s = 3600\n";
  return out;
}

}  // namespace nimbus::cli
