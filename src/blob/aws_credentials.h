// Where the bucket's credentials come from, in this order: Nimbus's own configuration, the
// environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), the profile
// AWS_PROFILE (or `default`) of the file AWS_SHARED_CREDENTIALS_FILE (or ~/.aws/credentials). The
// file is read again when it changes, so that rotated keys need no restart.
//
// Threads: the loop's; reading the small local file is the one thing that may block, at most once a
// minute.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

namespace nimbus::blob {

struct AwsCredentials {
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;  // empty: none
};

// The profile of a credentials file (INI: `[profile]`, `key = value`). not_found: it has no such
// profile, or no complete key pair in it.
Result<AwsCredentials> parse_aws_credentials(std::string_view text, std::string_view profile);

using ReadEnvironment = std::function<const char*(const std::string& name)>;

class AwsCredentialChain {
 public:
  // `configured` wins when it has an access key.
  AwsCredentialChain(AwsCredentials configured, ReadEnvironment environment, const Clock& clock)
      : configured_(std::move(configured)), environment_(std::move(environment)), clock_(clock) {}

  // unauthenticated: nobody has credentials; the hint says where they were looked for.
  Result<AwsCredentials> current();

 private:
  std::string variable(const std::string& name) const;

  AwsCredentials configured_;
  ReadEnvironment environment_;
  const Clock& clock_;
  std::optional<AwsCredentials> from_file_;
  Duration read_at_{0};
};

}  // namespace nimbus::blob
