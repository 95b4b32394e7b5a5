// Where the bucket's credentials come from, in this order:
//
//  1. Nimbus's own configuration
//  2. the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
//  3. the profile AWS_PROFILE (or `default`) of AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials),
//  then
//     of AWS_CONFIG_FILE (~/.aws/config); read again each minute, so that rotated keys need no
//     restart
//  4. the container's credential endpoint, when the environment names one
//  5. the instance metadata service of EC2
//
// What 4 and 5 lend is renewed minutes before it expires, while it is still used.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/task.h"
#include "net/loop.h"

namespace nimbus::blob {

struct AwsCredentials {
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;  // empty: none
};

// The section of a credentials file (INI: `[section]`, `key = value`). not_found: it has no such
// section, or no complete key pair in it.
Result<AwsCredentials> parse_aws_credentials(std::string_view text, std::string_view section);

using ReadEnvironment = std::function<const char*(const std::string& name)>;

class AwsMetadata;

class AwsCredentialChain {
 public:
  // `configured` wins when it has an access key.
  AwsCredentialChain(net::Loop& loop, AwsCredentials configured, ReadEnvironment environment,
                     const Clock& clock);
  ~AwsCredentialChain();

  // unauthenticated: nobody has credentials; the hint says where they were looked for. unavailable:
  // whoever lends them does not answer.
  Task<Result<AwsCredentials>> current();
  // The bucket refused them. Whether they were lent, so that the next call looks for new ones.
  bool distrust();

 private:
  struct Found {
    AwsCredentials credentials;
    bool lent = false;
    Duration fresh_until{0};           // steady; renewed after it
    std::optional<Time> expires_at{};  // not used after it
  };
  static Task<void> look(AwsCredentialChain* chain);
  Task<Result<Found>> find();
  Task<Result<Found>> find_lent(std::string nowhere_else);
  Result<AwsCredentials> read_files() const;  // blocking
  Result<Found> lent(AwsCredentials credentials, std::optional<Time> expires_at) const;
  std::string variable(const std::string& name) const;
  std::string home_file(const std::string& name, const std::string& usual) const;

  net::Loop& loop_;
  AwsCredentials configured_;
  ReadEnvironment environment_;
  const Clock& clock_;
  std::unique_ptr<AwsMetadata> metadata_;
  std::optional<Found> found_;
  std::optional<Error> failure_;  // of the last look
  Duration failed_until_{0};
  std::optional<Duration> distrusted_at_;
  bool looking_ = false;
  net::Notifier looked_;
};

}  // namespace nimbus::blob
