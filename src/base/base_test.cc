#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <set>

#include "base/encoding.h"
#include "base/fake_clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"

using namespace nimbus;

namespace {

Result<int> halve(int number) {
  if (number % 2 != 0) return fail(Code::bad_request, "odd");
  return number / 2;
}

Result<int> quarter(int number) { return TRY_IN("quartering", halve(TRY(halve(number)))); }

}  // namespace

TEST_CASE("TRY passes the value on and TRY_IN says what was being done") {
  CHECK(quarter(8).value() == 2);
  CHECK(quarter(6).error().message == "quartering: odd");
  CHECK(quarter(3).error().message == "odd");
}

TEST_CASE("every error code has one HTTP status") {
  CHECK(http_status(Code::bad_request) == 400);
  CHECK(http_status(Code::not_found) == 404);
  CHECK(http_status(Code::conflict) == 409);
  CHECK(http_status(Code::unavailable) == 503);
}

TEST_CASE("GitHub's published signature vector is reproduced") {
  CHECK(to_hex(hmac_sha256("It's a Secret to Everybody", "Hello, World!")) ==
        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
}

TEST_CASE("a key longer than the hash's block is hashed first (RFC 4231, case 6)") {
  CHECK(to_hex(hmac_sha256(std::string(131, '\xaa'),
                           "Test Using Larger Than Block-Size Key - Hash Key First")) ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("one HmacKey signs many messages, whole or in two parts") {
  const HmacKey key("secret");
  CHECK(key.sign("ab") == key.sign("a", "b"));
  CHECK(key.sign("ab") == hmac_sha256("secret", "ab"));
  CHECK(key.sign("ab") != key.sign("ba"));
}

TEST_CASE("a digest in pieces equals the digest of the whole") {
  Sha256 hash;
  hash.update("a");
  hash.update("bc");
  const std::string digest = hash.finish();
  CHECK(digest == sha256("abc"));
  CHECK(to_hex(digest) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("texts of different length or content are not equal in constant time") {
  CHECK(equal_in_constant_time("same", "same"));
  CHECK_FALSE(equal_in_constant_time("same", "sane"));
  CHECK_FALSE(equal_in_constant_time("same", "sam"));
}

TEST_CASE("base64 follows RFC 4648's vectors both ways") {
  for (const auto& [plain, coded] : std::initializer_list<std::pair<std::string, std::string>>{
           {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}}) {
    CHECK(to_base64(plain) == coded);
    CHECK(parse_base64(coded).value() == plain);
  }
}

TEST_CASE("base64 that is not canonical is refused") {
  CHECK_FALSE(parse_base64("Zg=").has_value());
  CHECK_FALSE(parse_base64("Zh==").has_value());
  CHECK_FALSE(parse_base64("Z!==").has_value());
  CHECK_FALSE(parse_base64url("a+b/").has_value());
}

TEST_CASE("base64url has no padding and another alphabet") {
  CHECK(to_base64url("\xfb\xff") == "-_8");
  CHECK(parse_base64url("-_8").value() == "\xfb\xff");
}

TEST_CASE("hexadecimal is read in either case and refused when odd or foreign") {
  CHECK(parse_hex("00fF").value() == std::string("\x00\xff", 2));
  CHECK_FALSE(parse_hex("abc").has_value());
  CHECK_FALSE(parse_hex("zz").has_value());
}

TEST_CASE("UTF-8 refuses surrogates, overlong forms and truncation") {
  CHECK(is_utf8("gr\xc3\xbc\xc3\x9f \xf0\x9f\x9a\x80"));
  CHECK_FALSE(is_utf8("\xed\xa0\x80"));
  CHECK_FALSE(is_utf8("\xc0\x80"));
  CHECK_FALSE(is_utf8("\xe2\x82"));
}

TEST_CASE("ill-formed bytes become replacement characters and the rest stays") {
  CHECK(to_utf8_lossy("a\xff"
                      "b") ==
        "a\xef\xbf\xbd"
        "b");
}

TEST_CASE("an instant survives its text form") {
  const Time time = from_us(1'795'494'169'226'001);
  CHECK(to_rfc3339(time) == "2026-11-24T04:22:49.226001Z");
  CHECK(parse_rfc3339(to_rfc3339(time)).value() == time);
}

TEST_CASE("RFC 3339 takes offsets and nanoseconds, cut to microseconds") {
  CHECK(to_rfc3339(parse_rfc3339("2026-01-01T01:00:00.123456789+01:00").value()) ==
        "2026-01-01T00:00:00.123456Z");
}

TEST_CASE("texts that are not RFC 3339 are refused") {
  for (const char* text : {"", "2026-01-01", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
                           "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z",
                           "2026-01-01T00:00:00Zjunk", "2026-01-01T00:00:00+1:00"}) {
    CHECK_FALSE(parse_rfc3339(text).has_value());
  }
}

TEST_CASE("a fake clock moves only when told") {
  FakeClock clock;
  const Time before = clock.now();
  clock.advance(std::chrono::seconds(5));
  CHECK(clock.now() - before == std::chrono::seconds(5));
  CHECK(clock.steady() == std::chrono::seconds(5));
}

TEST_CASE("seeded randomness repeats itself and stays below its limit") {
  SeededRandom a(7), b(7);
  for (int i = 0; i < 100; ++i) {
    const uint64_t drawn = a.below(10);
    CHECK(drawn < 10);
    CHECK(drawn == b.below(10));
  }
}

TEST_CASE("system randomness does not repeat") {
  CHECK(system_random().bytes(16) != system_random().bytes(16));
}

TEST_CASE("JSON deeper than the bound is refused") {
  CHECK(parse_json(std::string(32, '[') + std::string(32, ']')).has_value());
  CHECK_FALSE(parse_json(std::string(33, '[') + std::string(33, ']')).has_value());
}

TEST_CASE("JSON with trailing bytes, bad UTF-8 or a lone surrogate is refused") {
  CHECK_FALSE(parse_json("{} x").has_value());
  CHECK_FALSE(parse_json("\"\xff\"").has_value());
  CHECK_FALSE(parse_json(R"("\ud800")").has_value());
  CHECK_FALSE(parse_json("").has_value());
}

TEST_CASE("a JSON object that names a member twice is refused with the name") {
  for (const char* text : {R"({"a":1,"a":2})", R"([{"b":{"a":1,"\u0061":2}}])",
                           R"({"x":"{\"a\":1,\"","a":[],"a":{}})"}) {
    const auto value = parse_json(text);
    REQUIRE_FALSE(value.has_value());
    CHECK_EQ(value.error().message, "field 'a' is there twice");
  }
  CHECK(parse_json(R"({"a":{"a":":"},"b":[{"a":1},{"a":"\":"}]})").has_value());
}

TEST_CASE("reading a field names it when it is missing or of another type") {
  const auto object = parse_json_object(R"({"a":1,"b":"x","c":null})").value();
  CHECK(read_text(object, "b").value() == "x");
  CHECK(read_text(object, "z").error().message == "field 'z' is missing");
  CHECK(read_text(object, "c").error().message == "field 'c' is missing");
  CHECK(read_text(object, "a").error().message == "field 'a' must be a string, not a number");
  CHECK(read_int(object, "a", 2, 9).error().message == "field 'a' must be between 2 and 9");
}

TEST_CASE("a fractional or huge number is no integer") {
  const auto object = parse_json_object(R"({"a":1.5,"b":1e400,"c":99999999999999999999})").value();
  CHECK_FALSE(read_int(object, "a").has_value());
  CHECK_FALSE(read_int(object, "b").has_value());
  CHECK_FALSE(read_int(object, "c").has_value());
}

TEST_CASE("an unknown field is refused with the nearest known one") {
  const auto object = parse_json_object(R"({"comand":[]})").value();
  const auto refused = refuse_unknown_fields(object, {"command", "image"});
  CHECK(refused.error().message == "unknown field 'comand'");
  CHECK(refused.error().hint == "did you mean 'command'?");
}

TEST_CASE("the nearest word is offered only when it is near") {
  const std::vector<std::string_view> words = {"cancel", "list", "show"};
  CHECK(nearest("cancle", words) == "cancel");
  CHECK(nearest("zzzzzzzz", words).empty());
}

TEST_CASE("splitting keeps empty parts and trimming takes white space off") {
  CHECK(split("a,,b", ',').size() == 3);
  CHECK(trim("  x \n") == "x");
  CHECK(trim(" \t").empty());
}

TEST_CASE("a secret prints as stars") { CHECK(to_string(Secret("hush")) == "***"); }

TEST_CASE("metrics are exposed as Prometheus text with their labels") {
  Metrics metrics;
  metrics.counter("nimbus_things_total", "Things.", {{"kind", "a"}}).add();
  metrics.counter("nimbus_things_total", "Things.", {{"kind", "a"}}).add(2);
  metrics.gauge("nimbus_level", "Level.").set(4);
  const std::string text = metrics.expose();
  CHECK(text.find("nimbus_things_total{kind=\"a\"} 3") != std::string::npos);
  CHECK(text.find("nimbus_level 4") != std::string::npos);
}
