#include "model/image_reference.h"

#include <doctest/doctest.h>

using namespace nimbus;
using namespace nimbus::model;

namespace {
const std::string kDigest = "sha256:" + std::string(64, 'a');
}

TEST_CASE("an image reference is a name with an optional tag and digest") {
  const auto whole = parse_image_reference("localhost:5000/acme/tool_x:v1.2-rc_3@" + kDigest);
  REQUIRE(whole);
  CHECK_EQ(whole->name, "localhost:5000/acme/tool_x");
  CHECK_EQ(whole->tag, "v1.2-rc_3");
  CHECK_EQ(whole->digest, kDigest);
  CHECK_EQ(parse_image_reference(kDigest)->digest, kDigest);
  for (const std::string& right :
       {std::string("nimbus/base"), std::string("a"), std::string("a:1"),
        std::string("GHCR.io/acme/tool"), std::string("[::1]:5000/a"), std::string("a__b/c--d.e"),
        std::string(kImageNameBytesMax, 'a'), "a:" + std::string(kImageTagBytesMax, 'T')}) {
    CHECK_MESSAGE(parse_image_reference(right), right);
  }
}

TEST_CASE("a malformed image reference is refused, with the part that is wrong") {
  const auto message = [](const std::string& text) {
    const auto parsed = parse_image_reference(text);
    return parsed ? "taken: " + text : parsed.error().message;
  };
  for (const std::string& wrong :
       {std::string(""), std::string("/"), std::string("a/"), std::string("/a"),
        std::string("a//b"), std::string("Acme/tool"), std::string("a b"), std::string("a\nb"),
        std::string("a/../b"), std::string("-a"), std::string("a_"), std::string("a___b"),
        std::string("a..b"), std::string("\xff"), std::string(kImageNameBytesMax + 1, 'a')}) {
    CHECK_MESSAGE(message(wrong).starts_with("the image's name"), message(wrong));
  }
  for (const std::string& wrong : {std::string("a:"), std::string("a:.x"), std::string("a:b:c d"),
                                   "a:" + std::string(kImageTagBytesMax + 1, 't')}) {
    CHECK_MESSAGE(message(wrong).starts_with("the image's tag"), message(wrong));
  }
  for (const std::string& wrong : {std::string("a@"), std::string("a@sha256:1"),
                                   "a@sha256:" + std::string(64, 'G'), std::string("sha256:")}) {
    CHECK_MESSAGE(message(wrong).starts_with("the image's digest"), message(wrong));
  }
  CHECK(message("x:port/a").starts_with("the image's registry"));
  CHECK(message("-x.io/a").starts_with("the image's registry"));
  CHECK(message("../etc").starts_with("the image's registry"));
}
