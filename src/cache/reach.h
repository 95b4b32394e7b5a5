// What one caller may read and write of the cache: the rules that keep a fork's pull request from
// planting what the default branch restores. They follow from the credential alone, never from the
// request.
//
//   a job        reads, in this order, the scopes of its token: its own ref, its base, the default
//                branch; writes the one that the token makes writable. Plain keys are also read
//                from what operators put there for the repository or the whole org.
//   an operator  reads and writes plain keys of its org, in the repository and scope it names;
//                without a scope, those that every job of the repository (of the org) can read.
//
// Threads: values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "access/caller.h"
#include "cache/entry.h"
#include "net/http.h"

namespace nimbus::cache {

// Where operators put what every job of a repository, or of an org, may read.
constexpr std::string_view kSharedScope = "refs/nimbus/shared";

struct Reach {
  std::string org;                    // in lower case
  std::string repo;                   // in lower case
  std::vector<std::string> readable;  // scopes, in the order they are searched
  std::optional<std::string> writable;
  Writer writer;
  // Of a job: its execution.
  model::JobId job = {};
  model::Fence fence = {};

  // Where an entry of this caller's goes; forbidden: it may read only.
  Result<Place> write_place(Kind kind, std::string version) const;
  // Where plain keys are looked for.
  std::vector<Place> plain_places() const;
};

// Of a job's token. The caller must be a job (Authenticator::require_job).
Reach reach_of_job(const access::Caller& job);

// Of an operator on the plain keys: `org`, `repo` and `ref` of the request's query narrow it.
// bad_request: a token of every org must name one. not_found: the org is another's. forbidden: the
// role does not reach.
Result<Reach> reach_of_operator(const access::Caller& caller, const net::Request& request,
                                access::Role least);

}  // namespace nimbus::cache
