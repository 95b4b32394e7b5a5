// Repositories as the operators' API shows them. Private to this folder.
//
// Threads: a database thread, inside a transaction.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/scope.h"
#include "base/result.h"
#include "db/database.h"

namespace nimbus::registry {

struct RepositoryListing {
  std::vector<std::string> names;
  std::vector<std::string> items;  // the schema Repository, as JSON texts
};
// Up to `limit` of the orgs' after `after`, by name.
Result<RepositoryListing> list_repositories(db::Transaction& tx, const access::OrgScope& orgs,
                                            std::string_view after, int64_t limit);
Result<std::optional<std::string>> find_repository_json(db::Transaction& tx, std::string_view name);

}  // namespace nimbus::registry
