#include "blob/digest.h"

#include <doctest/doctest.h>

namespace nimbus::blob {

TEST_CASE("a digest is read and written in its one form") {
  const std::string text = "sha256:" + std::string(64, 'a');
  const auto digest = parse_digest(text);
  REQUIRE(digest);
  CHECK(to_string(*digest) == text);
  CHECK(parse_digest("sha512:" + std::string(128, '0')));
}

TEST_CASE("digests of other algorithms, lengths, cases and shapes are refused") {
  for (const std::string& text :
       {std::string(), std::string("sha256"), std::string("sha256:"), std::string(64, 'a'),
        "md5:" + std::string(32, 'a'), "sha256:" + std::string(63, 'a'),
        "sha256:" + std::string(65, 'a'), "sha256:" + std::string(64, 'A'),
        "sha256:" + std::string(63, 'a') + "/", "sha512:" + std::string(64, 'a'),
        "SHA256:" + std::string(64, 'a')}) {
    const auto digest = parse_digest(text);
    REQUIRE_FALSE(digest);
    CHECK(digest.error().code == Code::bad_request);
  }
}

TEST_CASE("a hasher over pieces gives the digest of the whole") {
  Hasher hasher;
  hasher.update("ab");
  hasher.update("c");
  CHECK(to_string(hasher.finish()) ==
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest_of("abc", Algorithm::sha512).hex.starts_with("ddaf35a193617aba"));
}

}  // namespace nimbus::blob
