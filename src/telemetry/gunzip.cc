#include "telemetry/gunzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>

namespace nimbus::telemetry {
namespace {

constexpr int kGzipWindow = 15 + 16;

struct Inflater {
  z_stream stream{};
  bool good = inflateInit2(&stream, kGzipWindow) == Z_OK;
  Inflater() = default;
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() {
    if (good) inflateEnd(&stream);
  }
};

}  // namespace

Result<std::string> gunzip(std::string_view bytes, size_t bytes_max) {
  Inflater inflater;
  if (!inflater.good) return fail(Code::internal, "zlib cannot start");
  z_stream& stream = inflater.stream;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  std::array<char, 32 * 1024> buffer;
  while (true) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    const int status = inflate(&stream, Z_NO_FLUSH);
    const size_t made = buffer.size() - stream.avail_out;
    if (out.size() + made > bytes_max) {
      return fail(Code::too_large,
                  "the body is over " + std::to_string(bytes_max) + " bytes when decompressed");
    }
    out.append(buffer.data(), made);
    if (status == Z_STREAM_END) {
      if (stream.avail_in == 0) return out;
      if (inflateReset(&stream) != Z_OK) break;
      continue;
    }
    const bool stuck = made == 0 && stream.avail_in == 0;
    if (status != Z_OK || stuck) break;
  }
  return fail(Code::bad_request, "the body is not whole gzip data");
}

}  // namespace nimbus::telemetry
