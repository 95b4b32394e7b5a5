// The protobuf wire format (protobuf.dev/programming-guides/encoding), read and written field by
// field: four shapes, so this is shorter than generated code, and its reader allocates nothing.
//
//   ProtobufReader message(bytes);
//   for (ProtobufField field; message.next(field);) { … }
//   if (message.broken()) …          // what came before the fault has been seen already
//
// Ownership: views into the bytes that the reader was given. Errors: `broken`; bytes of any kind
// may be given, and what nests is bounded by the caller's recursion. Groups, which proto3 does not
// have, are a fault. Threads: values.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace nimbus {

struct ProtobufField {
  uint32_t number = 0;
  uint32_t wire = 0;
  uint64_t value = 0;      // varint, fixed64, fixed32
  std::string_view bytes;  // length-delimited: a text, bytes, a message, packed numbers

  bool is_varint() const { return wire == 0; }
  bool is_bytes() const { return wire == 2; }
  double real() const { return std::bit_cast<double>(value); }
};

// The fields of one message in order. After the end, or at the first fault, `next` is false.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view bytes) : rest_(bytes) {}

  bool next(ProtobufField& field);
  bool broken() const { return broken_; }

  // Packed numbers stand in one field.
  uint64_t varint();
  uint64_t fixed(size_t size);

 private:
  std::string_view take(uint64_t size);

  std::string_view rest_;
  bool broken_ = false;
};

// Appends fields to a message. Values that are proto3's defaults are left out, as its encoders do.
class ProtobufWriter {
 public:
  ProtobufWriter& text(uint32_t number, std::string_view value);
  ProtobufWriter& integer(uint32_t number, int64_t value);
  ProtobufWriter& boolean(uint32_t number, bool value) { return integer(number, value ? 1 : 0); }

  std::string finish() { return std::move(bytes_); }  // this is spent afterwards

 private:
  void varint(uint64_t value);

  std::string bytes_;
};

}  // namespace nimbus
