#include "registry/names.h"

#include <doctest/doctest.h>

using namespace nimbus::registry;

TEST_CASE("a repository is ORG/NAME in lower case") {
  for (const char* good : {"acme/app", "acme/app/web", "a/b", "acme/a.b_c__d--e-f", "0/1"}) {
    CHECK_MESSAGE(check_repository(good).has_value(), good);
  }
}

TEST_CASE("a repository's name that the grammar does not have is refused") {
  for (const char* bad :
       {"", "acme", "Acme/app", "acme/", "/app", "acme//app", "acme/app.", "acme/-app", "acme/a..b",
        "acme/a___b", "acme/a.-b", "acme/ä", "acme/a:b", "acme/..", "acme/a\\b"}) {
    CHECK_MESSAGE(!check_repository(bad).has_value(), bad);
  }
  CHECK(!check_repository("acme/" + std::string(300, 'a')).has_value());
}

TEST_CASE("a tag has at most 128 characters and starts with a word character") {
  CHECK(is_tag("latest"));
  CHECK(is_tag("_v1.2-RC"));
  CHECK(is_tag(std::string(128, 'a')));
  for (const char* bad : {"", ".a", "-a", "a/b", "a:b", "a b", "sha256:00"}) CHECK(!is_tag(bad));
  CHECK(!is_tag(std::string(129, 'a')));
}

TEST_CASE("paths are taken apart from their end") {
  const auto blob = parse_place("acme/blobs/manifests/blobs/sha256:00");
  REQUIRE(blob);
  CHECK(blob->resource == Resource::blob);
  CHECK_EQ(blob->repository, "acme/blobs/manifests");
  CHECK_EQ(blob->reference, "sha256:00");
  CHECK(parse_place("")->resource == Resource::base);
  CHECK(parse_place("acme/app/manifests/v1")->resource == Resource::manifest);
  CHECK(parse_place("acme/app/tags/list")->resource == Resource::tags);
  CHECK(parse_place("acme/app/referrers/sha256:00")->resource == Resource::referrers);
  CHECK(parse_place("acme/app/blobs/uploads/")->resource == Resource::upload_start);
  CHECK(parse_place("acme/app/blobs/uploads")->resource == Resource::upload_start);
  CHECK(parse_place("acme/app/blobs/uploads/17")->resource == Resource::upload);
  for (const char* none : {"acme", "acme/app", "acme/app/tags/other", "acme/app/manifests/",
                           "/blobs/uploads/17", "/blobs/sha256:00", "blobs/uploads/17"}) {
    CHECK_MESSAGE(!parse_place(none), none);
  }
}

TEST_CASE("a chunk's range is inclusive and has no unit") {
  const auto chunk = parse_chunk_range("10-19");
  REQUIRE(chunk);
  CHECK_EQ(chunk->first, 10);
  CHECK_EQ(chunk->size(), 10);
  CHECK_EQ(parse_chunk_range("bytes 0-0/10")->size(), 1);
  for (const char* bad : {"", "-", "5", "5-4", "a-b", "-5", "5-", "0-99999999999999999999",
                          "0-9223372036854775807"}) {
    CHECK_MESSAGE(!parse_chunk_range(bad), bad);
  }
}
