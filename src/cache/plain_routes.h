// Plain keys over HTTP: GET, HEAD, PUT and DELETE of /cache/{key}, for scripts, sccache (WebDAV)
// and ccache; /ac/{hash} and /cas/{hash} are the same keys at the place where Bazel looks. The
// token may come as Bearer or as the password of Basic.
//
// A PUT replaces what its writer's own scope held. A key that ends in cas/<SHA-256> must hold bytes
// of that hash.
//
// Threads: the loop's.
#pragma once

#include "cache/core.h"
#include "cache/reach.h"
#include "net/router.h"

namespace nimbus::cache {

class PlainRoutes {
 public:
  explicit PlainRoutes(Core& core) : core_(core) {}
  void add_to(net::Router& router);

 private:
  Task<net::Response> get(net::Request& request, std::string key);
  Task<net::Response> put(net::Request& request, std::string key);
  Task<net::Response> remove(net::Request& request, std::string key);
  // WebDAV, as far as sccache asks for it: is it there, and may I make a folder for it.
  Task<net::Response> describe(net::Request& request, std::string key);
  Task<net::Response> make_collection(net::Request& request, std::string key);

  Task<Result<Reach>> admit(const net::Request& request, access::Role least);
  Task<Result<std::optional<Entry>>> find(const Reach& reach, std::string key);
  Task<Result<blob::BlobInfo>> receive(const Reach& reach, const std::string& key,
                                       net::Request& request, std::unique_ptr<blob::Upload>& upload,
                                       blob::Reservation& room);
  Task<Result<bool>> enter(NewEntry entry, bool only_new);

  Core& core_;
};

}  // namespace nimbus::cache
