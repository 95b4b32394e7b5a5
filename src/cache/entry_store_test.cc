#include "cache/entry_store.h"

#include <doctest/doctest.h>

#include "base/random.h"
#include "base/text.h"
#include "cache/block_list.h"
#include "cache/cache_fixture.h"

using namespace nimbus;
using namespace nimbus::cache;

namespace {

struct Entries : CacheFixture {
  Place place{"acme", "app", Kind::actions, "refs/heads/main", "v"};

  int64_t add(const std::string& key) {
    return in<int64_t>([&](db::Transaction& tx) {
      return insert_entry_in(tx, {place, key, {blob::digest_of("x"), 1}, {}}, clock.now());
    });
  }
  std::string newest(const std::string& prefix) {
    const auto found = in<std::optional<Entry>>(
        [&](db::Transaction& tx) { return find_newest_in(tx, place, prefix); });
    return found ? found->key : "";
  }
  template <typename T>
  T in(std::function<Result<T>(db::Transaction&)> work) {
    return must(database->write<T>(std::move(work)));
  }
};

}  // namespace

TEST_CASE_FIXTURE(Entries, "the newest with a prefix is found among many, rare or common") {
  SeededRandom dice(11);
  std::map<std::string, std::string> expected;  // by prefix
  for (int i = 0; i < 3'000; ++i) {
    const std::string prefix = i % 500 == 0 ? "rare-" : i % 3 == 0 ? "some-" : "many-";
    const std::string key = prefix + std::to_string(dice.below(1'000'000'000));
    add(key);
    expected[prefix] = key;
    expected[key] = key;
  }
  for (const auto& [prefix, key] : expected) {
    if (prefix.ends_with('-')) CHECK_EQ(newest(prefix), key);
  }
  CHECK_EQ(newest("none-"), "");
  CHECK_EQ(newest("zzz"), "");
  add("zzz");
  for (int i = 0; i < 300; ++i) add("many-again-" + std::to_string(i));
  CHECK_EQ(newest("zz"), "zzz");  // one old match behind many newer entries
}

TEST_CASE_FIXTURE(Entries, "a prefix ends where its bytes end") {
  add("caf\xc3\xa9-1");
  add("cafe-1");
  CHECK_EQ(newest("caf\xc3\xa9"), "caf\xc3\xa9-1");
  CHECK_EQ(newest("cafe"), "cafe-1");
  add("caf\xf0\x9f\x98\x80");
  CHECK_EQ(newest("caf"), "caf\xf0\x9f\x98\x80");
}

TEST_CASE("block lists are read strictly") {
  const auto blocks = parse_block_list(
      "<?xml version=\"1.0\"?>\n<BlockList>\n <Latest>YQ==</Latest><Uncommitted>Yg==</Uncommitted>"
      "\n</BlockList>\n");
  REQUIRE(blocks);
  CHECK_EQ(*blocks, std::vector<std::string>{"YQ==", "Yg=="});
  CHECK(parse_block_list("<BlockList></BlockList>")->empty());
  for (const char* bad :
       {"", "<BlockList>", "<BlockList><Latest>a</Latest>",
        "<BlockList><Other>a</Other></BlockList>", "<BlockList><Latest></Latest></BlockList>",
        "<BlockList><Latest>a</BlockList>", "<BlockList></BlockList>x", "<?xml",
        "<BlockList><Latest>a</Committed></BlockList>"}) {
    CHECK_FALSE(parse_block_list(bad).has_value());
  }
}
