// What every role that answers people and jobs stands on: the relational database, the credentials
// in it, and what each org may use. One per process, whichever roles it hosts.
//
// Threads: made before the loop runs (blocking); the rest the loop's.
#pragma once

#include <memory>
#include <string>

#include "access/authenticator.h"
#include "access/job_token.h"
#include "access/session_book.h"
#include "access/token_book.h"
#include "base/metrics.h"
#include "cli/config.h"
#include "control/org_store.h"
#include "db/database.h"

namespace nimbus::cli {

struct AccessPartsOptions {
  const Config& config;
  std::string database_url;
  Secret admin_token;
  Secret job_token_key;
};

class AccessParts {
 public:
  // Opens the database and brings it up to date.
  static Result<std::unique_ptr<AccessParts>> open(Metrics& metrics,
                                                   const AccessPartsOptions& options);

  std::unique_ptr<db::Database> database;
  access::TokenBook tokens;
  access::SessionBook sessions;
  access::JobTokens job_tokens;
  access::EndedLeases ended_leases;
  access::Authenticator authenticator;
  control::OrgStore orgs;

 private:
  AccessParts(Metrics& metrics, std::unique_ptr<db::Database> opened, const Config& config,
              const std::vector<Secret>& job_token_keys);
};

}  // namespace nimbus::cli
