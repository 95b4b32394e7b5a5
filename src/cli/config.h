// Nimbus's configuration: one TOML file, every key also as NIMBUS_SECTION_KEY in the environment,
// every secret also as …_FILE. Flags beat the environment, the environment beats the file, the file
// beats the defaults. Unknown sections and keys are refused with the nearest known name.
//
// One table (config_keys) says each key's name, default and meaning; loading, `nimbus config show`,
// `nimbus config reference` and the nimbus.toml that `nimbus up` writes all come from it.
//
// Threads: values; loading is for start-up (it reads files).
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "registry/options.h"

namespace nimbus::cli {

struct ProfileConfig {
  std::string image = "nimbus/base";
  std::vector<std::string> entry;
  int64_t cpus = 2;
  int64_t memory_mb = 2048;
  int64_t disk_mb = 10240;
  int64_t timeout_s = 3600;
};

struct Config {
  struct {
    std::string listen = "127.0.0.1:8080";
    std::string tls_certificate, tls_key;
    std::string log_level = "info";
    std::string log_format = "text";
  } server;
  struct {
    std::string mode = "github";
    int64_t timestamp_tolerance_s = 300;
    std::string secrets_file;
    std::string relay_secrets_file;
    int64_t deliveries_per_minute_max = 0;
  } webhook;
  struct {
    std::string database;
    int64_t lease_ttl_s = 60;
    int64_t max_tries = 3;
  } control;
  struct {
    int64_t jobs_per_minute = 600;
    int64_t concurrent_jobs = 100;
    int64_t cache_bytes_max = int64_t{50} << 30;
    int64_t registry_bytes_max = int64_t{100} << 30;
    int64_t cache_repo_bytes_max = 0;
    int64_t registry_repo_bytes_max = 0;
  } limits;
  struct {
    std::string store;
    int64_t free_bytes_min = int64_t{1} << 30;
    int64_t quota_high_percent = 95;
    int64_t quota_low_percent = 85;
    int64_t disk_high_percent = 92;
    int64_t disk_low_percent = 88;
    int64_t garbage_grace_s = 3600;
    int64_t upload_idle_s = 86'400;
    int64_t scrub_bytes_per_s = int64_t{16} << 20;
    int64_t near_cache_bytes_max = int64_t{20} << 30;
    std::string s3_access_key_id;
    Secret s3_secret_access_key;
    std::string s3_ca_file;
  } blob;
  struct {
    int64_t slots = 2;
    int64_t warm = 0;
    std::string server;
    std::string name;
    Secret enrollment_token;
    std::string ca_file;
    std::string vmm = "auto";
    std::string kernel, initramfs;
    std::string image_archives;
    int64_t spool_bytes_max = int64_t{1} << 30;
  } agent;
  struct {
    std::string token_file;
  } metrics;
  struct {
    std::string clickhouse = "embedded:";
    std::string database = "nimbus";
    std::string user;
    Secret password;
    std::string libchdb;
    int64_t spool_bytes_max = int64_t{1} << 30;
    int64_t log_retention_days = 30;
  } telemetry;
  struct {
    int64_t idle_days = 7;
    int64_t reservation_ttl_s = 600;
    int64_t artifact_days = 90;
    int64_t entry_bytes_max = int64_t{10} << 30;
  } cache;
  struct {
    std::string runner_org = "nimbus";
    int64_t org_uploads_max = 256;
    int64_t upload_ttl_h = 24;
    int64_t blob_grace_s = 3600;
    int64_t sweep_interval_s = 300;
    std::vector<nimbus::registry::RetentionRule> retention;
    std::vector<nimbus::registry::MirrorOptions> mirrors;
  } registry;
  std::map<std::string, ProfileConfig> profiles;
};

enum class KeyKind { text, integer, secret };

struct ConfigKey {
  std::string_view section;
  std::string_view name;
  KeyKind kind;
  std::string_view meaning;  // one line, with the unit
  std::function<Result<void>(Config&, std::string_view)> set;
  std::function<std::string(const Config&)> get;  // a secret's is "***" or empty
  std::string name_in_environment() const;        // NIMBUS_SECTION_KEY
};

std::span<const ConfigKey> config_keys();
struct ProfileKey {
  std::string_view name;
  std::string_view meaning;
};
std::span<const ProfileKey> profile_keys();

// Keys of [registry.retention.NAME] and [registry.mirrors.NAME].
struct RegistryTableKey {
  std::string_view table;
  std::string_view name;
  std::string_view meaning;
};
std::span<const RegistryTableKey> registry_table_keys();

using Environment = std::function<const char*(const std::string&)>;  // getenv's shape

// Defaults, then the file (when `path` is not empty), then the environment. bad_request names the
// file, line and key, what was wrong and what is right.
Result<Config> load_config(const std::string& path, const Environment& environment);
Result<Config> parse_config(std::string_view toml, std::string_view file_name,
                            const Environment& environment);

std::string config_toml(const Config& config);          // what is in force; secrets as ***
boost::json::object config_json(const Config& config);  // the same, by section
std::string config_reference();  // the Markdown table of docs/configuration.md
// [{"key", "kind", "default", "environment", "meaning"}]; no default in a table's keys.
boost::json::array config_reference_json();
std::string config_template();  // the commented nimbus.toml of a new data directory

}  // namespace nimbus::cli
