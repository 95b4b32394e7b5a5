#include <doctest/doctest.h>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/time.h"

using namespace nimbus;

TEST_CASE("GitHub's published signature vector is reproduced") {
  CHECK_EQ(to_hex(hmac_sha256("It's a Secret to Everybody", "Hello, World!")),
           "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
}
