#include "control/job_request.h"

#include <algorithm>
#include <boost/json.hpp>

#include "access/scope.h"
#include "api/json_text.h"
#include "base/json.h"
#include "base/text.h"
#include "model/image_reference.h"

namespace nimbus::control {
namespace {

namespace json = boost::json;

constexpr size_t kRefBytesMax = 255;

tl::unexpected<Error> wrong(std::string_view field, std::string_view what) {
  return fail(Code::bad_request, "field '" + std::string(field) + "' " + std::string(what));
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

bool has_nul(std::string_view text) { return text.find('\0') != text.npos; }

// Absent stays absent; an empty text is refused.
Result<std::optional<std::string>> find_line(const json::object& body, std::string_view field,
                                             size_t most) {
  auto text = TRY(find_text(body, field));
  if (text && (text->empty() || text->size() > most || has_control(*text))) {
    return wrong(field,
                 "must be 1 to " + std::to_string(most) + " bytes without control characters");
  }
  return text;
}

Result<std::optional<std::string>> find_image(const json::object& body) {
  auto image = TRY(find_text(body, "image"));
  if (image) TRY_IN("field 'image'", model::parse_image_reference(*image));
  return image;
}

Result<std::string> read_command(const json::object& body) {
  const auto words = TRY(find_texts(body, "command"));
  size_t bytes = 0;
  for (const std::string& word : words) {
    if (has_nul(word)) return wrong("command", "may not hold a NUL character");
    bytes += word.size();
  }
  if (words.empty() || words.front().empty()) return wrong("command", "must name a program");
  if (words.size() > kCommandWordsMax || bytes > kCommandBytesMax) {
    return wrong("command", "must be at most " + std::to_string(kCommandWordsMax) + " words and " +
                                std::to_string(kCommandBytesMax) + " bytes");
  }
  return api::json_texts(words);
}

Result<std::string> read_env(const json::object& body) {
  const auto env = TRY(find_text_map(body, "env"));
  size_t bytes = 0;
  api::JsonText text;
  for (const auto& [name, value] : env) {
    if (!is_env_name(name)) {
      return wrong("env", "has the name '" + name.substr(0, 64) +
                              "'; names are letters, digits and '_', not starting with a digit");
    }
    if (name.starts_with(kReservedEnvPrefix)) {
      return wrong("env", "has the name '" + name.substr(0, 64) + "'; names that begin with " +
                              std::string(kReservedEnvPrefix) + " are Nimbus's own");
    }
    if (has_nul(value)) return wrong("env", "may not hold a NUL character");
    bytes += name.size() + value.size();
    text.text(name, value);
  }
  if (env.size() > kEnvMax || bytes > kEnvBytesMax) {
    return wrong("env", "must be at most " + std::to_string(kEnvMax) + " variables and " +
                            std::to_string(kEnvBytesMax) + " bytes");
  }
  return text.finish();
}

Result<std::string> read_labels(const json::object& body) {
  const auto labels = TRY(find_texts(body, "labels"));
  if (labels.size() > kLabelsMax) {
    return wrong("labels", "must be at most " + std::to_string(kLabelsMax));
  }
  for (const std::string& label : labels) {
    if (label.empty() || label.size() > kLabelBytesMax || has_control(label)) {
      return wrong("labels", "must be texts of 1 to " + std::to_string(kLabelBytesMax) + " bytes");
    }
  }
  return api::json_texts(labels);
}

Result<std::string> read_metadata(const json::object& body) {
  const auto metadata = TRY(find_text_map(body, "metadata"));
  if (metadata.size() > kMetadataMax) {
    return wrong("metadata", "must be at most " + std::to_string(kMetadataMax) + " keys");
  }
  api::JsonText text;
  for (const auto& [key, value] : metadata) {
    if (!is_metadata_key(key)) {
      return wrong("metadata", "has the key '" + key.substr(0, 64) +
                                   "'; keys are 1 to 64 letters, digits, '_', '-' and '.'");
    }
    if (value.size() > kMetadataValueBytesMax || has_control(value)) {
      return wrong("metadata", "must have values of at most " +
                                   std::to_string(kMetadataValueBytesMax) +
                                   " bytes without control characters");
    }
    text.text(key, value);
  }
  return text.finish();
}

Result<model::Resources> read_resources(const json::object& body, model::Resources resources) {
  const json::object* object = TRY(find_object(body, "resources"));
  if (object == nullptr) return resources;
  TRY_IN("field 'resources'", refuse_unknown_fields(*object, {"cpus", "memory_mb", "disk_mb"}));
  const auto read = [object](std::string_view field, int64_t min, int64_t max,
                             int& into) -> Result<void> {
    const auto value = TRY_IN("field 'resources'", find_int(*object, field, min, max));
    if (value) into = static_cast<int>(*value);
    return {};
  };
  TRY(read("cpus", 1, kCpusMax, resources.cpus));
  TRY(read("memory_mb", 128, kMemoryMbMax, resources.memory_mb));
  TRY(read("disk_mb", 64, kDiskMbMax, resources.disk_mb));
  return resources;
}

Result<std::optional<std::string>> find_sha(const json::object& body) {
  auto sha = TRY(find_text(body, "sha"));
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (sha &&
      ((sha->size() != 40 && sha->size() != 64) || !std::all_of(sha->begin(), sha->end(), hex))) {
    return wrong("sha", "must be 40 or 64 lower-case hexadecimal digits");
  }
  return sha;
}

}  // namespace

bool is_env_name(std::string_view name) {
  const auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= 256 && !(name[0] >= '0' && name[0] <= '9') &&
         std::all_of(name.begin(), name.end(), word);
}

JobDefaults job_defaults(const std::vector<Profile>& profiles, int64_t tries_max) {
  JobDefaults defaults;
  defaults.tries_max = tries_max;
  for (const Profile& profile : profiles) {
    if (!equal_ignoring_case(profile.name, kDefaultProfile)) continue;
    defaults.image = profile.image;
    defaults.resources = profile.resources;
    defaults.timeout_s = profile.timeout_s;
  }
  return defaults;
}

Result<Job> parse_job_request(std::string_view text, const JobDefaults& defaults, Time now) {
  const json::object body = TRY(parse_json_object(text));
  TRY(refuse_unknown_fields(body, {"org", "repo", "ref", "sha", "image", "command", "env",
                                   "timeout_s", "resources", "labels", "metadata", "retries"}));
  Job job;
  job.org = TRY(read_text(body, "org"));
  job.repo = TRY(read_text(body, "repo"));
  TRY_IN("field 'org'", access::check_org_name(job.org));
  TRY_IN("field 'repo'", access::check_repo_name(job.repo));
  job.ref = TRY(find_line(body, "ref", kRefBytesMax));
  job.sha = TRY(find_sha(body));
  job.image = TRY(find_image(body)).value_or(defaults.image);
  job.text.command = TRY(read_command(body));
  job.text.env = TRY(read_env(body));
  job.text.labels = TRY(read_labels(body));
  job.text.metadata = TRY(read_metadata(body));
  job.resources = TRY(read_resources(body, defaults.resources));
  job.timeout_s = static_cast<int>(
      TRY(find_int(body, "timeout_s", 1, kTimeoutSecondsMax)).value_or(defaults.timeout_s));
  const auto retries = TRY(find_int(body, "retries", 0, kRetriesMax));
  job.tries_max = retries ? *retries + 1 : defaults.tries_max;
  job.created_at = now;
  job.terms = terms_of(job.text);
  return job;
}

std::vector<std::string> terms_of(const JobText& text) {
  std::vector<std::string> terms;
  const json::value labels = json::parse(text.labels);
  for (const json::value& label : labels.as_array()) {
    terms.push_back(label_term(std::string_view(label.as_string())));
  }
  const json::value metadata = json::parse(text.metadata);
  for (const auto& [key, value] : metadata.as_object()) {
    terms.push_back(metadata_term(key, std::string_view(value.as_string())));
  }
  std::sort(terms.begin(), terms.end());
  terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
  return terms;
}

}  // namespace nimbus::control
