#include "base/protobuf.h"

#include <doctest/doctest.h>

#include <limits>

using namespace nimbus;

namespace {

// "number:value" of each field, "!" after a fault.
std::string fields_of(std::string_view bytes) {
  std::string text;
  ProtobufReader message(bytes);
  for (ProtobufField field; message.next(field);) {
    text += std::to_string(field.number) + ":";
    text += field.is_bytes() ? std::string(field.bytes) : std::to_string(field.value);
    text += ' ';
  }
  return message.broken() ? text + "!" : text;
}

}  // namespace

TEST_CASE("the encoding guide's examples are read") {
  CHECK(fields_of(std::string_view("\x08\x96\x01", 3)) == "1:150 ");
  CHECK(fields_of(std::string_view("\x12\x07testing", 9)) == "2:testing ");
  CHECK(fields_of(std::string_view("\x0d\x01\x00\x00\x00\x11\x02\x00\x00\x00\x00\x00\x00\x00",
                                   14)) == "1:1 2:2 ");
}

TEST_CASE("what is written is read again, without the default values") {
  ProtobufWriter writer;
  writer.text(1, "key").text(2, "").integer(3, 300).integer(4, 0).boolean(5, true).boolean(6,
                                                                                           false);
  const std::string bytes = writer.integer(20, std::numeric_limits<int64_t>::max()).finish();
  CHECK(fields_of(bytes) == "1:key 3:300 5:1 20:9223372036854775807 ");
  CHECK(ProtobufWriter().integer(1, -1).finish().size() == 11);  // as int64 is: ten bytes
}

TEST_CASE("a message that breaks off, has groups or a field 0 is broken") {
  for (const std::string_view bytes :
       {std::string_view("\x08", 1), std::string_view("\x12\x05zz", 4), std::string_view("\x0b", 1),
        std::string_view("\x00\x01", 2), std::string_view("\x0d\x01\x02", 3),
        std::string_view("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13)}) {
    CHECK(fields_of(bytes).ends_with("!"));
  }
}
