// One request that was let in: who, where, and the request itself. Private to this folder.
// Threads: the loop's.
#pragma once

#include <functional>
#include <string>

#include "net/http.h"
#include "registry/grant.h"
#include "registry/names.h"

namespace nimbus::registry {

struct Visit {
  net::Request& request;
  Place place;
  Visitor visitor;
};

// Copies of what a transaction needs, for its lambda.
template <typename T>
using Work = std::function<Result<T>(db::Transaction&)>;

inline std::string blob_path(std::string_view repository, std::string_view digest) {
  return "/v2/" + std::string(repository) + "/blobs/" + std::string(digest);
}

}  // namespace nimbus::registry
