// Credentials that AWS lends to a process for some hours: from a container's credential endpoint
// (ECS, EKS: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI) or from the instance's metadata
// service (EC2, version 2 alone: with a session token). Private to this folder.
//
// Source: AWS SDKs and Tools Reference Guide, "Container credential provider" and "IMDS credential
// provider".
//
// Threads: the loop's.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"
#include "blob/aws_credentials.h"
#include "net/client.h"
#include "net/loop.h"

namespace nimbus::blob {

struct LentCredentials {
  AwsCredentials credentials;
  std::optional<Time> expires_at;
};

class AwsMetadata {
 public:
  AwsMetadata(net::Loop& loop, ReadEnvironment environment)
      : loop_(loop), environment_(std::move(environment)), client_(loop) {}

  // The container endpoint's URL; "" when the environment names none. bad_request: one that
  // credentials are not asked for (plain HTTP beyond this host and the addresses that AWS set aside
  // for it).
  Result<std::string> container_url() const;
  // unavailable: the endpoint does not answer, or not with credentials.
  Task<Result<LentCredentials>> from_container(std::string url);
  // not_found: AWS_EC2_METADATA_DISABLED. unavailable: as above; also where there is no such
  // service, after a few seconds.
  Task<Result<LentCredentials>> from_instance();

 private:
  std::string variable(const std::string& name) const;
  Task<Result<net::ClientResponse>> ask(net::ClientRequest request, std::string what);
  Task<Result<std::string>> container_authorization();

  net::Loop& loop_;
  ReadEnvironment environment_;
  net::Client client_;
};

}  // namespace nimbus::blob
