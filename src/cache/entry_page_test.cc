#include "cache/entry_page.h"

#include <doctest/doctest.h>

#include "cache/cache_fixture.h"

using namespace nimbus;
using namespace nimbus::cache;

namespace {

using Keys = std::vector<std::string>;

struct Pages : CacheFixture {
  std::string viewer = token(access::Role::viewer, "acme");

  void put(const std::string& target, size_t bytes, const std::string& bearer) {
    CHECK_EQ(call("PUT", "/cache/" + target, bearer, std::string(bytes, 'x')).status, 201);
    clock.advance(std::chrono::seconds(1));
  }
  void put(const std::string& key, size_t bytes) { put(key, bytes, job()); }
  // Rows without a way through the protocols, which would take long for so many.
  void add_many(const std::string& prefix, int count) {
    const auto add = [&](db::Transaction& tx) -> Result<void> {
      const Place place{"acme", "app", Kind::plain, "refs/heads/main", ""};
      for (int i = 0; i < count; ++i) {
        TRY(insert_entry_in(tx, {place, prefix + std::to_string(i), {blob::digest_of("x"), 1}, {}},
                            clock.now()));
      }
      return {};
    };
    REQUIRE(database->write_now(add).has_value());
  }
  // The keys of all pages, and how many pages those were.
  std::pair<Keys, int> all(const std::string& query, const std::string& bearer) {
    std::pair<Keys, int> found;
    std::string cursor;
    do {
      const Reply page = call("GET", "/api/v1/caches?" + query + cursor, bearer);
      REQUIRE_EQ(page.status, 200);
      const boost::json::object body = page.json();
      for (const auto& entry : body.at("items").as_array()) {
        found.first.emplace_back(entry.at("key").as_string());
      }
      found.second += 1;
      const auto next = body.at("next_cursor");
      cursor = next.is_null() ? "" : "&cursor=" + std::string(next.as_string());
    } while (!cursor.empty());
    return found;
  }
  Keys keys(const std::string& query) { return all(query, viewer).first; }
};

}  // namespace

TEST_CASE_FIXTURE(Pages, "entries come in the order asked for, page by page") {
  put("a", 30);
  put("b", 10);
  put("c", 20);
  put("d", 10);
  CHECK_EQ(call("GET", "/cache/a", job()).status, 200);
  sweep();  // writes the last uses
  const std::map<std::string, Keys> expected = {
      {"newest", {"d", "c", "b", "a"}},  {"oldest", {"a", "b", "c", "d"}},
      {"used", {"a", "d", "c", "b"}},    {"unused", {"b", "c", "d", "a"}},
      {"largest", {"a", "c", "d", "b"}}, {"smallest", {"b", "d", "c", "a"}}};
  const std::string everywhere = token(access::Role::viewer, "*");
  for (const auto& [sort, order] : expected) {
    for (const std::string within : {"", "&repo=app", "&repo=app&kind=plain"}) {
      CHECK_EQ(keys("sort=" + sort + "&limit=3" + within), order);
      CHECK_EQ(keys("sort=" + sort + "&limit=1" + within), order);
      CHECK_EQ(all("sort=" + sort + "&limit=2" + within, everywhere).first, order);
    }
  }
  CHECK_EQ(keys(""), expected.at("newest"));
}

TEST_CASE_FIXTURE(Pages, "filters hold in every order") {
  Standing branch;
  branch.ref = "refs/heads/faster";
  Standing other;
  other.repo = "other";
  put("npm-1", 3);
  put("npm-2", 2, job(branch));
  put("npm-3", 1, job(other));
  put("pip-1", 4);
  CHECK_EQ(keys("key=npm-&sort=largest"), Keys{"npm-1", "npm-2", "npm-3"});
  CHECK_EQ(keys("key=npm-&sort=largest&repo=App"), Keys{"npm-1", "npm-2"});
  CHECK_EQ(keys("sort=smallest&ref=refs/heads/faster"), Keys{"npm-2"});
  CHECK_EQ(keys("sort=smallest&repo=other"), Keys{"npm-3"});
  const std::string everywhere = token(access::Role::viewer, "*");
  CHECK_EQ(all("repo=other&sort=used", everywhere).first, Keys{"npm-3"});
  CHECK_EQ(keys("kind=actions"), Keys{});
}

TEST_CASE_FIXTURE(Pages, "a page looks at so many rows and no more, and says where to go on") {
  add_many("rare-", 2);
  add_many("many-", kLookedAtMax + 10);
  const auto [found, pages] = all("key=rare-&limit=10", viewer);
  CHECK_EQ(found, Keys{"rare-1", "rare-0"});
  CHECK_EQ(pages, 2);
}

TEST_CASE_FIXTURE(Pages, "an order or a cursor that is none is refused") {
  CHECK_EQ(call("GET", "/api/v1/caches?sort=best", viewer).status, 400);
  for (const char* cursor : {"x", "1", "1:", ":1", "1:1x", "1:2:3"}) {
    CHECK_EQ(call("GET", "/api/v1/caches?cursor=" + std::string(cursor), viewer).status, 400);
  }
}

TEST_CASE_FIXTURE(Pages, "an org's usage stands beside its quota") {
  limits = {1'000, 0};
  put("a", 30);
  const auto item = [&](const std::string& query) {
    const Reply reply = call("GET", "/api/v1/caches/org-usage" + query, viewer);
    return reply.json().at("items").as_array().at(0).as_object();
  };
  CHECK_EQ(item("").at("size_bytes"), 30);
  CHECK_EQ(item("").at("size_bytes_max"), 1'000);
  CHECK(item("?org=acme").at("repo_size_bytes_max").is_null());
}

TEST_CASE_FIXTURE(Pages, "what repositories use comes in pages") {
  for (const char* repo : {"a", "b", "c"}) {
    Standing standing;
    standing.repo = repo;
    put("key", 5, job(standing));
  }
  put("shared?org=acme", 7, token(access::Role::operator_, "acme"));
  Keys seen;
  std::string cursor;
  for (int i = 0; i < 4; ++i) {
    const Reply page = call("GET", "/api/v1/caches/usage?limit=1" + cursor, viewer);
    const auto row = page.json().at("items").as_array().at(0).as_object();
    seen.push_back(std::string(row.at("repo").as_string()));
    CHECK_EQ(row.at("entries"), 1);
    const auto next = page.json().at("next_cursor");
    CHECK_EQ(next.is_null(), i == 3);
    if (!next.is_null()) cursor = "&cursor=" + std::string(next.as_string());
  }
  CHECK_EQ(seen, Keys{"", "a", "b", "c"});
  CHECK_EQ(call("GET", "/api/v1/caches/usage?cursor=x", viewer).status, 400);
}
