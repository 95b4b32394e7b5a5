// The registry's door: every path below /v2/, its authentication, and the token endpoint.
//
// A credential comes as Basic (any user name, a token as the password), as a Bearer token of
// /v2/token, or as a raw Bearer token (what a slot's gateway adds). Without one the answer is 401
// with both challenges. A repository of another org does not exist: whatever is asked of it, and
// whether it is there or not, the answer is the same.
//
// Threads: the loop's.
#pragma once

#include "net/router.h"
#include "registry/blob_requests.h"
#include "registry/core.h"
#include "registry/listing_requests.h"
#include "registry/manifest_requests.h"
#include "registry/mirror.h"
#include "registry/upload_requests.h"
#include "registry/visit.h"

namespace nimbus::registry {

class Front {
 public:
  Front(Core& core, UploadRequests& uploads, ManifestRequests& manifests, Mirror& mirror)
      : core_(core),
        blobs_(core),
        uploads_(uploads),
        manifests_(manifests),
        listings_(core),
        mirror_(mirror) {}

  void add_to(net::Router& router);

 private:
  Task<net::Response> serve(net::Request& request);
  Task<net::Response> let_in(net::Request& request);
  Task<net::Response> act(Visit& visit);
  Task<net::Response> act_on_upload(Visit& visit);
  Task<net::Response> give_token(net::Request& request);
  Task<Result<Visitor>> authenticate(const net::Request& request);
  net::Response refuse(const Visit& visit, Action action) const;

  Core& core_;
  BlobRequests blobs_;
  UploadRequests& uploads_;
  ManifestRequests& manifests_;
  ListingRequests listings_;
  Mirror& mirror_;
};

}  // namespace nimbus::registry
