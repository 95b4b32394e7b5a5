// Messages of the Actions cache's clients in protobuf. What is accepted is an object of the known
// fields alone, with texts that can be written as JSON.
#include <array>
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/encoding.h"
#include "cache/twirp.h"

using namespace nimbus;
using namespace nimbus::cache;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr std::array kFields{
      TwirpField{2, "key", TwirpKind::text}, TwirpField{3, "restore_keys", TwirpKind::texts},
      TwirpField{4, "size_bytes", TwirpKind::integer}, TwirpField{5, "ok", TwirpKind::boolean}};
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto object = parse_twirp_protobuf(bytes, kFields);
  if (!object) return 0;
  if (object->size() > kFields.size()) std::abort();
  const auto key = twirp_text(*object, "key");
  const auto more = twirp_texts(*object, "restore_keys");
  const auto number = twirp_integer(*object, "size_bytes");
  if (!key || !more || !number || !is_utf8(*key)) std::abort();
  if (more->size() > size) std::abort();
  if (!is_utf8(boost::json::serialize(*object))) std::abort();
  return 0;
}
