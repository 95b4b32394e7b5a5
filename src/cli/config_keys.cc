#include <charconv>
#include <limits>

#include "base/text.h"
#include "cli/config.h"

namespace nimbus::cli {
namespace {

Result<int64_t> parse_integer(std::string_view text, int64_t min, int64_t max) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
    return fail(Code::bad_request, "'" + std::string(text) + "' is not a whole number from " +
                                       std::to_string(min) + " to " + std::to_string(max));
  }
  return value;
}

// `member` takes a Config and gives the field: one lambda serves reading and writing.
template <typename Member>
ConfigKey integer(std::string_view section, std::string_view name, std::string_view meaning,
                  Member member, int64_t min, int64_t max) {
  return {section,
          name,
          KeyKind::integer,
          meaning,
          [=](Config& config, std::string_view text) -> Result<void> {
            member(config) = TRY(parse_integer(text, min, max));
            return {};
          },
          [=](const Config& config) { return std::to_string(member(config)); }};
}

template <typename Member>
ConfigKey text(std::string_view section, std::string_view name, std::string_view meaning,
               Member member, const std::vector<std::string_view>& choices = {}) {
  return {section,
          name,
          KeyKind::text,
          meaning,
          [=](Config& config, std::string_view value) -> Result<void> {
            bool known = choices.empty();
            std::string list;
            for (const auto choice : choices) {
              known = known || choice == value;
              list += (list.empty() ? "" : ", ") + std::string(choice);
            }
            if (!known)
              return fail(Code::bad_request, "'" + std::string(value) + "' is none of " + list);
            member(config) = std::string(value);
            return {};
          },
          [=](const Config& config) { return member(config); }};
}

template <typename Member>
ConfigKey secret(std::string_view section, std::string_view name, std::string_view meaning,
                 Member member) {
  return {section,
          name,
          KeyKind::secret,
          meaning,
          [=](Config& config, std::string_view value) -> Result<void> {
            member(config) = Secret(std::string(trim(value)));
            return {};
          },
          [=](const Config& config) { return std::string(member(config).empty() ? "" : "***"); }};
}

constexpr int64_t kMany = std::numeric_limits<int64_t>::max();

// A path of members, which no parentheses can go around. NOLINTNEXTLINE(bugprone-macro-parentheses)
#define FIELD(path) [](auto& config) -> auto& { return config.path; }

std::vector<ConfigKey> make_keys() {
  return {
      text("server", "listen", "Address and port that the HTTP server listens on",
           FIELD(server.listen)),
      text("server", "tls_certificate", "PEM file of the certificate chain; empty: plain HTTP",
           FIELD(server.tls_certificate)),
      text("server", "tls_key", "PEM file of the certificate's key", FIELD(server.tls_key)),
      text("server", "log_level", "Least severe log line written: debug, info, warn or error",
           FIELD(server.log_level), {"debug", "info", "warn", "error"}),
      text("server", "log_format", "Log lines as `text` for people or `json` for machines",
           FIELD(server.log_format), {"text", "json"}),
      text("webhook", "mode",
           "`github`: GitHub delivers here; `relay`: a trusted relay signs timestamp and body",
           FIELD(webhook.mode), {"github", "relay"}),
      integer("webhook", "timestamp_tolerance_s",
              "How far a signature timestamp may be from now, in seconds",
              FIELD(webhook.timestamp_tolerance_s), 1, 86'400),
      text("webhook", "secrets_file",
           "File with the webhook secrets, one a line, all valid at once; empty: webhook.secret of "
           "the "
           "data directory",
           FIELD(webhook.secrets_file)),
      text("webhook", "relay_secrets_file",
           "File with the relay's secrets, one a line (mode `relay`)",
           FIELD(webhook.relay_secrets_file)),
      integer("webhook", "deliveries_per_minute_max",
              "Deliveries a minute from one address past which they get 429; 0: no bound",
              FIELD(webhook.deliveries_per_minute_max), 0, kMany),
      text("control", "database",
           "Relational store: sqlite:PATH; empty: nimbus.db of the data directory",
           FIELD(control.database)),
      integer("control", "lease_ttl_s",
              "How long an agent's lease on a job lasts unless renewed, in seconds",
              FIELD(control.lease_ttl_s), 3, 3'600),
      integer("control", "max_tries", "Executions of a native job before it is `lost`",
              FIELD(control.max_tries), 1, 100),
      integer("limits", "jobs_per_minute", "Jobs an org may start a minute, unless set for the org",
              FIELD(limits.jobs_per_minute), 1, 1'000'000),
      integer("limits", "concurrent_jobs", "Jobs an org may run at once, unless set for the org",
              FIELD(limits.concurrent_jobs), 1, 1'000'000),
      integer("limits", "cache_bytes_max",
              "Bytes of caches and artifacts an org may keep, unless set for the org; 0: no bound",
              FIELD(limits.cache_bytes_max), 0, kMany),
      integer("limits", "registry_bytes_max",
              "Bytes of images an org may keep, unless set for the org; 0: no bound",
              FIELD(limits.registry_bytes_max), 0, kMany),
      integer("limits", "cache_repo_bytes_max",
              "Bytes of caches and artifacts one repo may keep; 0: no bound but the org's",
              FIELD(limits.cache_repo_bytes_max), 0, kMany),
      integer("limits", "registry_repo_bytes_max",
              "Bytes of images one repository may keep; 0: no bound but the org's",
              FIELD(limits.registry_repo_bytes_max), 0, kMany),
      text("blob", "store",
           "Where caches and images lie: file:DIRECTORY, or "
           "s3://BUCKET/PREFIX?endpoint=URL&region=R; empty: blobs in the data directory",
           FIELD(blob.store)),
      integer("blob", "free_bytes_min",
              "Free bytes of the disk below which nothing more is stored (507); 0: no guard",
              FIELD(blob.free_bytes_min), 0, kMany),
      integer("blob", "quota_high_percent",
              "Part of an org's quota above which its least recently used entries go, in percent",
              FIELD(blob.quota_high_percent), 1, 100),
      integer("blob", "quota_low_percent", "Part of the quota at which that ends, in percent",
              FIELD(blob.quota_low_percent), 1, 100),
      integer("blob", "disk_high_percent",
              "Part of the disk in use above which every org gives up entries, in percent",
              FIELD(blob.disk_high_percent), 1, 100),
      integer("blob", "disk_low_percent", "Part of the disk at which that ends, in percent",
              FIELD(blob.disk_low_percent), 1, 100),
      integer("blob", "garbage_grace_s",
              "How long bytes that nobody needs any more stay, in seconds",
              FIELD(blob.garbage_grace_s), 0, 2'592'000),
      integer("blob", "upload_idle_s",
              "How long an unfinished upload waits to be resumed, in seconds",
              FIELD(blob.upload_idle_s), 60, 2'592'000),
      integer("blob", "scrub_bytes_per_s",
              "How fast stored bytes are read again to find rotten ones, a second; 0: never",
              FIELD(blob.scrub_bytes_per_s), 0, kMany),
      integer("blob", "near_cache_bytes_max", "Local disk for copies of what lies in S3, in bytes",
              FIELD(blob.near_cache_bytes_max), 1 << 20, kMany),
      text("blob", "s3_access_key_id",
           "Access key of the bucket; empty: the usual AWS chain (docs/caching.md)",
           FIELD(blob.s3_access_key_id)),
      secret("blob", "s3_secret_access_key", "Secret of that access key",
             FIELD(blob.s3_secret_access_key)),
      text("blob", "s3_ca_file",
           "PEM file of authorities to trust for the bucket, besides the system's",
           FIELD(blob.s3_ca_file)),
      integer("agent", "slots", "MicroVMs that run at once on this host", FIELD(agent.slots), 1,
              1'024),
      integer("agent", "warm", "MicroVMs kept booted ahead, waiting for a job of profile `nimbus`",
              FIELD(agent.warm), 0, 1'024),
      text("agent", "server", "URL of the control plane; empty: this process", FIELD(agent.server)),
      text("agent", "name", "The agent's name in lists; empty: the host's name", FIELD(agent.name)),
      secret("agent", "enrollment_token", "One-time token from `nimbus agent enroll`",
             FIELD(agent.enrollment_token)),
      text("agent", "ca_file",
           "PEM file of an authority to trust beside the system's for `agent.server`",
           FIELD(agent.ca_file)),
      text("agent", "vmm", "Virtual machine monitor: auto, qemu or firecracker", FIELD(agent.vmm),
           {"auto", "qemu", "firecracker"}),
      text("agent", "kernel", "Guest kernel; empty: guest/vmlinuz beside the program",
           FIELD(agent.kernel)),
      text("agent", "initramfs",
           "Guest initramfs; empty: guest/initramfs.cpio.lz4 beside the program",
           FIELD(agent.initramfs)),
      text("agent", "image_archives",
           "Folders with NAME.oci.tar image archives, separated by `:`; empty: images beside the "
           "program",
           FIELD(agent.image_archives)),
      integer("agent", "spool_bytes_max",
              "Disk for logs and traces while telemetry is away, in bytes",
              FIELD(agent.spool_bytes_max), 1 << 20, kMany),
      text("metrics", "token_file",
           "File with the bearer token for /metrics; without a token only this host itself may "
           "read them, no proxy's clients",
           FIELD(metrics.token_file)),
      text("telemetry", "clickhouse", "`embedded:` or the http(s):// URL of a ClickHouse server",
           FIELD(telemetry.clickhouse)),
      text("telemetry", "database", "Database of a ClickHouse server, made when absent",
           FIELD(telemetry.database)),
      text("telemetry", "user", "User of a ClickHouse server; empty: its default user",
           FIELD(telemetry.user)),
      secret("telemetry", "password", "Password of that user", FIELD(telemetry.password)),
      text("telemetry", "libchdb", "Path of libchdb.so; empty: searched beside the program",
           FIELD(telemetry.libchdb)),
      integer("telemetry", "spool_bytes_max", "Disk for lines while ClickHouse is away, in bytes",
              FIELD(telemetry.spool_bytes_max), 1 << 20, kMany),
      integer("telemetry", "log_retention_days", "Days that job logs and traces are kept",
              FIELD(telemetry.log_retention_days), 1, 36'500),
      integer("cache", "idle_days", "Days after which a cache entry goes that nobody read",
              FIELD(cache.idle_days), 1, 3'650),
      integer("cache", "reservation_ttl_s",
              "Seconds after which an upload that nobody continues is given up",
              FIELD(cache.reservation_ttl_s), 10, 86'400),
      integer("cache", "artifact_days", "Days that artifacts are kept, unless a job asks for less",
              FIELD(cache.artifact_days), 1, 3'650),
      integer("cache", "entry_bytes_max", "Largest cache entry or artifact, in bytes",
              FIELD(cache.entry_bytes_max), 1 << 20, int64_t{1} << 42),
      text("registry", "runner_org",
           "Org whose images every job may pull, for Nimbus's own runner images; empty: none",
           FIELD(registry.runner_org)),
      integer("registry", "org_uploads_max", "Upload sessions an org may have open at once",
              FIELD(registry.org_uploads_max), 1, 1'000'000),
      integer("registry", "upload_ttl_h", "Hours after which an upload left alone ends",
              FIELD(registry.upload_ttl_h), 1, 8'760),
      integer("registry", "blob_grace_s", "Seconds that a blob stays which no manifest refers to",
              FIELD(registry.blob_grace_s), 1, 31'536'000),
      integer("registry", "sweep_interval_s",
              "Seconds between two rounds of retention and garbage collection",
              FIELD(registry.sweep_interval_s), 1, 86'400),
  };
}

#undef FIELD

}  // namespace

std::string ConfigKey::name_in_environment() const {
  std::string out = "NIMBUS_" + std::string(section) + "_" + std::string(name);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

std::span<const ConfigKey> config_keys() {
  static const std::vector<ConfigKey> keys = make_keys();
  return keys;
}

std::span<const ProfileKey> profile_keys() {
  static const std::vector<ProfileKey> keys = {
      {"image", "Image the job's VM runs (default nimbus/base)"},
      {"entry", "Command a GitHub job runs in the VM, as a list of words"},
      {"cpus", "Virtual CPUs (default 2)"},
      {"memory_mb", "Memory, in MiB (default 2048)"},
      {"disk_mb", "Scratch disk, in MiB (default 10240)"},
      {"timeout_s", "Time limit of the job, in seconds (default 3600)"},
  };
  return keys;
}

}  // namespace nimbus::cli
