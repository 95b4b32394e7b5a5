#include "cache/twirp.h"

#include <boost/json.hpp>
#include <charconv>

#include "base/encoding.h"
#include "base/json.h"
#include "base/text.h"

namespace nimbus::cache {
namespace {

namespace json = boost::json;

constexpr size_t kDepthMax = 8;
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kProtobuf = "application/protobuf";

struct TwirpCode {
  std::string_view name;
  int status;
};

TwirpCode code_of(Code code) {
  switch (code) {
    case Code::bad_request: return {"invalid_argument", 400};
    case Code::unauthenticated: return {"unauthenticated", 401};
    case Code::forbidden: return {"permission_denied", 403};
    case Code::not_found: return {"not_found", 404};
    case Code::conflict: return {"already_exists", 409};
    // Twirp's status for it, 429, means "again, later" to clients; a quota does not grow by
    // waiting.
    case Code::too_large:
    case Code::insufficient_storage: return {"resource_exhausted", 413};
    case Code::too_many_requests: return {"resource_exhausted", 429};
    case Code::unavailable: return {"unavailable", 503};
    case Code::corrupt:
    case Code::internal: break;
  }
  return {"internal", 500};
}

std::string camel_case(std::string_view field) {
  std::string out;
  bool upper = false;
  for (const char c : field) {
    if (c == '_') {
      upper = true;
      continue;
    }
    out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return out;
}

const json::value* find_value(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(field);
  if (value == nullptr) value = object.if_contains(camel_case(field));
  return value == nullptr || value->is_null() ? nullptr : value;
}

tl::unexpected<Error> wrong(std::string_view field, std::string_view what) {
  return fail(Code::bad_request, "field '" + std::string(field) + "' must be " + std::string(what));
}

bool has_type(const net::Request& request, std::string_view type) {
  const std::string_view given = request.headers.find("Content-Type").value_or("");
  return to_lower(trim(given.substr(0, given.find(';')))) == type;
}

bool fits(const ProtobufField& part, TwirpKind kind) {
  const bool number = kind == TwirpKind::integer || kind == TwirpKind::boolean;
  return number ? part.is_varint() : part.is_bytes() && is_utf8(part.bytes);
}

// Of a field that comes twice the last value counts, or all of a list's.
void put_field(json::object& object, const TwirpField& field, const ProtobufField& part) {
  switch (field.kind) {
    case TwirpKind::text: object[field.name] = part.bytes; break;
    case TwirpKind::integer: object[field.name] = static_cast<int64_t>(part.value); break;
    case TwirpKind::boolean: object[field.name] = part.value != 0; break;
    case TwirpKind::texts: {
      json::value& list = object[field.name];
      if (!list.is_array()) list.emplace_array();
      list.get_array().emplace_back(part.bytes);
    }
  }
}

}  // namespace

Result<json::object> parse_twirp_protobuf(std::string_view bytes,
                                          std::span<const TwirpField> fields) {
  json::object object;
  ProtobufReader message(bytes);
  for (ProtobufField part; message.next(part);) {
    for (const TwirpField& field : fields) {
      if (field.number != part.number) continue;
      if (!fits(part, field.kind)) {
        return fail(Code::bad_request, "field " + std::to_string(part.number) + " ('" +
                                           std::string(field.name) + "') has the wrong type");
      }
      put_field(object, field, part);
    }
  }
  if (message.broken()) return fail(Code::bad_request, "the body is not a protobuf message");
  return object;
}

Result<json::object> read_twirp(const net::Request& request, std::span<const TwirpField> fields) {
  if (has_type(request, kJson)) return parse_json_object(request.body, kDepthMax);
  if (fields.empty()) return fail(Code::bad_request, "Content-Type is not application/json");
  if (has_type(request, kProtobuf)) return parse_twirp_protobuf(request.body, fields);
  return fail(Code::bad_request,
              "Content-Type is neither application/json nor application/protobuf");
}

TwirpAnswer::TwirpAnswer(const net::Request& request) : protobuf_(has_type(request, kProtobuf)) {}

TwirpAnswer& TwirpAnswer::boolean(const TwirpField& field, bool value) {
  if (protobuf_) {
    message_.boolean(field.number, value);
  } else {
    json_.boolean(field.name, value);
  }
  return *this;
}

TwirpAnswer& TwirpAnswer::text(const TwirpField& field, std::string_view value) {
  if (protobuf_) {
    message_.text(field.number, value);
  } else {
    json_.text(field.name, value);
  }
  return *this;
}

TwirpAnswer& TwirpAnswer::integer(const TwirpField& field, int64_t value) {
  if (protobuf_) {
    message_.integer(field.number, value);
  } else {
    json_.text(field.name, std::to_string(value));
  }
  return *this;
}

net::Response TwirpAnswer::finish() {
  if (!protobuf_) return net::Response::json(200, json_.finish());
  net::Response response;
  response.headers.set("Content-Type", kProtobuf);
  response.body = message_.finish();
  return response;
}

net::Response twirp_problem(const Error& error) {
  const TwirpCode code = code_of(error.code);
  const std::string message = code.status == 500 ? "the server made a mistake" : error.message;
  net::Response response = net::Response::json(
      code.status, api::JsonText().text("code", code.name).text("msg", message).finish());
  if (code.status == 429 || code.status == 503) response.headers.set("Retry-After", "5");
  return response;
}

Result<std::string> twirp_text(const json::object& object, std::string_view field) {
  const json::value* value = find_value(object, field);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return wrong(field, "a text");
  return std::string(value->get_string());
}

Result<std::vector<std::string>> twirp_texts(const json::object& object, std::string_view field) {
  std::vector<std::string> texts;
  const json::value* value = find_value(object, field);
  if (value == nullptr) return texts;
  if (!value->is_array()) return wrong(field, "a list of texts");
  for (const json::value& item : value->get_array()) {
    if (!item.is_string()) return wrong(field, "a list of texts");
    texts.emplace_back(item.get_string());
  }
  return texts;
}

Result<std::optional<int64_t>> twirp_integer(const json::object& object, std::string_view field) {
  const json::value* value = find_value(object, field);
  if (value == nullptr) return std::nullopt;
  if (value->is_object()) value = find_value(value->get_object(), "value");
  if (value == nullptr) return std::nullopt;
  if (value->is_int64()) return value->get_int64();
  if (!value->is_string()) return wrong(field, "an integer");
  const std::string_view text = value->get_string();
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return wrong(field, "an integer");
  return number;
}

Result<std::optional<std::string>> twirp_wrapped(const json::object& object,
                                                 std::string_view field) {
  const json::value* value = find_value(object, field);
  if (value != nullptr && value->is_object()) value = find_value(value->get_object(), "value");
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return wrong(field, "a text");
  return std::string(value->get_string());
}

}  // namespace nimbus::cache
