// URLs that carry their own permission: the Actions clients send no credential with the bytes they
// move, so the URL they are given must be enough, for one thing, for a while.
//
//   /blobs/KIND/ID?se=EXPIRY&sig=SIGNATURE
//
// The signature is HMAC-SHA256 over kind, id and expiry; it is compared in constant time before
// anything else is read. Other query fields are the client's (`comp`, `blockid`, `timeout`).
//
// Threads: any; a UrlSigner never changes.
#pragma once

#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "net/http.h"

namespace nimbus::cache {

class UrlSigner {
 public:
  // `key`: a secret of the installation's; the signing key is derived from it.
  explicit UrlSigner(const Secret& key);

  // Path and query. `kind` and `id` are of letters, digits and `-`.
  std::string sign(std::string_view kind, std::string_view id, Time expires_at) const;
  // forbidden: the signature is missing or wrong, or the URL has expired.
  Result<void> check(const net::Request& request, std::string_view kind, std::string_view id,
                     Time now) const;

 private:
  std::string signature(std::string_view kind, std::string_view id, int64_t expiry) const;
  HmacKey key_;
};

// "http://host:port", as the client addressed us: what stands before a signed path. Behind a proxy
// or an agent's gateway it is X-Forwarded-Proto and X-Forwarded-Host; whoever sends a wrong one
// gets URLs that lead nowhere, and nobody else does.
std::string origin_of(const net::Request& request);

}  // namespace nimbus::cache
