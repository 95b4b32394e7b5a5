#include "blob/aws_credentials.h"

#include "base/text.h"
#include "os/atomic_file.h"

namespace nimbus::blob {
namespace {

constexpr size_t kFileBytesMax = 256 * 1024;
constexpr Duration kReadAgainAfter = std::chrono::minutes(1);

}  // namespace

Result<AwsCredentials> parse_aws_credentials(std::string_view text, std::string_view profile) {
  AwsCredentials credentials;
  bool inside = false;
  for (std::string_view line : split(text, '\n')) {
    line = trim(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[' && line.back() == ']') {
      inside = trim(line.substr(1, line.size() - 2)) == profile;
      continue;
    }
    const size_t equals = line.find('=');
    if (!inside || equals == std::string_view::npos) continue;
    const std::string_view name = trim(line.substr(0, equals));
    std::string value(trim(line.substr(equals + 1)));
    if (name == "aws_access_key_id") credentials.access_key_id = std::move(value);
    if (name == "aws_secret_access_key") credentials.secret_access_key = Secret(std::move(value));
    if (name == "aws_session_token") credentials.session_token = Secret(std::move(value));
  }
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty()) {
    return fail(Code::not_found, "profile " + std::string(profile) + " has no access key");
  }
  return credentials;
}

std::string AwsCredentialChain::variable(const std::string& name) const {
  const char* value = environment_(name);
  return value == nullptr ? std::string() : std::string(value);
}

Result<AwsCredentials> AwsCredentialChain::current() {
  if (!configured_.access_key_id.empty()) return configured_;
  AwsCredentials found{variable("AWS_ACCESS_KEY_ID"), Secret(variable("AWS_SECRET_ACCESS_KEY")),
                       Secret(variable("AWS_SESSION_TOKEN"))};
  if (!found.access_key_id.empty() && !found.secret_access_key.empty()) return found;
  const Duration now = clock_.steady();
  if (from_file_ && now - read_at_ < kReadAgainAfter) return *from_file_;
  std::string path = variable("AWS_SHARED_CREDENTIALS_FILE");
  if (path.empty()) path = variable("HOME") + "/.aws/credentials";
  std::string profile = variable("AWS_PROFILE");
  if (profile.empty()) profile = "default";
  const auto text = os::read_file(path, kFileBytesMax);
  auto parsed = text ? parse_aws_credentials(*text, profile) : fail(text.error());
  if (!parsed && !from_file_) {
    return fail(Code::unauthenticated,
                "there are no credentials for the bucket: " + parsed.error().message,
                "set blob.s3_access_key_id and its secret, AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or " +
                    path);
  }
  // A file that is being replaced at this moment: what was read last still counts.
  if (parsed) from_file_ = std::move(*parsed);
  read_at_ = now;
  return *from_file_;
}

}  // namespace nimbus::blob
