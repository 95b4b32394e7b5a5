#include "base/protobuf.h"

#include <cstring>

namespace nimbus {

bool ProtobufReader::next(ProtobufField& field) {
  if (rest_.empty() || broken_) return false;
  const uint64_t key = varint();
  field = {};
  field.number = static_cast<uint32_t>(key >> 3);
  field.wire = static_cast<uint32_t>(key & 7);
  if (field.number == 0 || key > UINT32_MAX) broken_ = true;
  switch (field.wire) {
    case 0: field.value = varint(); break;
    case 1: field.value = fixed(8); break;
    case 2: field.bytes = take(varint()); break;
    case 5: field.value = fixed(4); break;
    default: broken_ = true;
  }
  return !broken_;
}

uint64_t ProtobufReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (rest_.empty()) break;
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  broken_ = true;
  return 0;
}

uint64_t ProtobufReader::fixed(size_t size) {
  const std::string_view raw = take(size);
  uint64_t value = 0;
  if (raw.size() == size) std::memcpy(&value, raw.data(), size);
  return value;
}

std::string_view ProtobufReader::take(uint64_t size) {
  if (size > rest_.size()) broken_ = true;
  if (broken_) return {};
  const std::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

ProtobufWriter& ProtobufWriter::text(uint32_t number, std::string_view value) {
  if (value.empty()) return *this;
  varint(uint64_t{number} << 3 | 2);
  varint(value.size());
  bytes_ += value;
  return *this;
}

ProtobufWriter& ProtobufWriter::integer(uint32_t number, int64_t value) {
  if (value == 0) return *this;
  varint(uint64_t{number} << 3);
  varint(static_cast<uint64_t>(value));
  return *this;
}

void ProtobufWriter::varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
  bytes_ += static_cast<char>(value);
}

}  // namespace nimbus
