#include "cache/twirp.h"

#include <doctest/doctest.h>

#include <array>
#include <boost/json.hpp>

using namespace nimbus;
using namespace nimbus::cache;

namespace {

constexpr std::array kFields{
    TwirpField{2, "key", TwirpKind::text}, TwirpField{3, "restore_keys", TwirpKind::texts},
    TwirpField{4, "size_bytes", TwirpKind::integer}, TwirpField{5, "ok", TwirpKind::boolean}};

net::Request typed(std::string_view type, std::string body = "") {
  net::Request request;
  request.headers.set("Content-Type", type);
  request.body = std::move(body);
  return request;
}

std::string refusal_of(std::string_view bytes) {
  const auto object = parse_twirp_protobuf(bytes, kFields);
  return object ? "" : object.error().message;
}

}  // namespace

TEST_CASE("a protobuf message is read as its JSON form would be") {
  const std::string bytes = ProtobufWriter()
                                .text(1, "something newer")
                                .text(2, "old")
                                .text(2, "key")
                                .text(3, "a")
                                .text(3, "b")
                                .integer(4, -5)
                                .boolean(5, true)
                                .integer(99, 1)
                                .finish();
  const auto object = parse_twirp_protobuf(bytes, kFields);
  REQUIRE(object.has_value());
  CHECK(twirp_text(*object, "key").value() == "key");
  CHECK(twirp_texts(*object, "restore_keys").value() == std::vector<std::string>{"a", "b"});
  CHECK(twirp_integer(*object, "size_bytes").value() == -5);
  CHECK(object->at("ok").as_bool());
  CHECK(parse_twirp_protobuf("", kFields).value().empty());
}

TEST_CASE("a protobuf field of another type, or a text that is none, is refused by its name") {
  CHECK(refusal_of(ProtobufWriter().integer(2, 1).finish()) ==
        "field 2 ('key') has the wrong type");
  CHECK(refusal_of(ProtobufWriter().text(4, "1").finish()) ==
        "field 4 ('size_bytes') has the wrong type");
  CHECK(refusal_of(ProtobufWriter().text(3, "\xff").finish()) ==
        "field 3 ('restore_keys') has the wrong type");
  CHECK(refusal_of("\x12\x50key") == "the body is not a protobuf message");
}

TEST_CASE("the media type says which encoding it is, and the answer comes in the same") {
  const std::string bytes = ProtobufWriter().text(2, "k").finish();
  CHECK(read_twirp(typed("application/protobuf", bytes), kFields)->at("key") == "k");
  CHECK(
      read_twirp(typed("Application/JSON; charset=utf-8", R"({"key":"k"})"), kFields)->at("key") ==
      "k");
  CHECK_FALSE(read_twirp(typed("application/protobuf", bytes)).has_value());
  CHECK_FALSE(read_twirp(typed("text/plain", R"({"key":"k"})"), kFields).has_value());
  CHECK_FALSE(read_twirp(typed("application/jsonish", R"({"key":"k"})"), kFields).has_value());

  const auto answer = [](std::string_view type) {
    return TwirpAnswer(typed(type)).boolean(kFields[3], true).integer(kFields[2], 7).finish();
  };
  CHECK(answer("application/json").body == R"({"ok":true,"size_bytes":"7"})");
  const net::Response binary = answer("application/protobuf");
  CHECK(binary.headers.find("Content-Type") == "application/protobuf");
  CHECK(binary.body == std::string("\x28\x01\x20\x07", 4));
}
