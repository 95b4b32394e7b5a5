// ClickHouse's RowBinary format: what batches are sent as and answers are read from. Values stand
// one after another without names; writer and reader must agree on the columns.
//
// The reader takes bytes from outside: it never reads past the end, and once a read has failed
// every later one gives zero values and `ok` stays false.
//
// Threads: values.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace nimbus::telemetry {

class RowWriter {
 public:
  void u8(uint8_t value) { bytes_ += static_cast<char>(value); }
  void u32(uint32_t value) { fixed(value); }
  void i64(int64_t value) { fixed(value); }
  void u64(uint64_t value) { fixed(value); }
  void f64(double value) { fixed(value); }
  void size(uint64_t value) {  // LEB128: lengths of texts, arrays and maps
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  void text(std::string_view value) {
    size(value.size());
    bytes_ += value;
  }
  void null_mark(bool is_null) { u8(is_null ? 1 : 0); }

  const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }
  bool empty() const { return bytes_.empty(); }

 private:
  template <typename T>
  void fixed(T value) {  // little-endian, as every machine Nimbus runs on
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes_.append(raw, sizeof(T));
  }
  std::string bytes_;
};

class RowReader {
 public:
  explicit RowReader(std::string_view bytes) : rest_(bytes) {}
  bool at_end() const { return rest_.empty() || !ok_; }
  bool ok() const { return ok_; }
  size_t remaining() const { return rest_.size(); }

  uint8_t u8() { return fixed<uint8_t>(); }
  uint32_t u32() { return fixed<uint32_t>(); }
  int64_t i64() { return fixed<int64_t>(); }
  uint64_t u64() { return fixed<uint64_t>(); }
  double f64() { return fixed<double>(); }
  uint64_t size() {
    uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      const uint8_t byte = u8();
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return ok_ ? value : 0;
    }
    ok_ = false;
    return 0;
  }
  std::string_view text() {  // borrowed from the bytes
    const uint64_t length = size();
    if (length > rest_.size()) ok_ = false;
    if (!ok_) return {};
    const std::string_view value = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return value;
  }

 private:
  template <typename T>
  T fixed() {
    T value{};
    if (rest_.size() < sizeof(T)) ok_ = false;
    if (!ok_) return value;
    rest_.copy(reinterpret_cast<char*>(&value), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return value;
  }
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace nimbus::telemetry
