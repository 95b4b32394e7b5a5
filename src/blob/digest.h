// The name of a blob: an algorithm and the hash of its bytes, written `sha256:<64 hex digits>` or
// `sha512:<128 hex digits>` (OCI image specification, descriptor digests). Lower case only, so that
// one blob has one name.
//
// Threads: values; a Hasher belongs to one thread at a time.
#pragma once

#include <compare>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::blob {

enum class Algorithm { sha256, sha512 };
std::string_view to_string(Algorithm algorithm);

struct Digest {
  Algorithm algorithm = Algorithm::sha256;
  std::string hex;
  auto operator<=>(const Digest&) const = default;
};

// bad_request: another algorithm, a wrong length, or digits that are not lower-case hexadecimal.
Result<Digest> parse_digest(std::string_view text);
std::string to_string(const Digest& digest);

// A digest over bytes that arrive in pieces.
class Hasher {
 public:
  explicit Hasher(Algorithm algorithm = Algorithm::sha256);
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void update(std::string_view bytes);
  Digest finish();  // the hasher is spent afterwards

 private:
  struct Context;
  Algorithm algorithm_;
  std::unique_ptr<Context> context_;
};

Digest digest_of(std::string_view bytes, Algorithm algorithm = Algorithm::sha256);

}  // namespace nimbus::blob
