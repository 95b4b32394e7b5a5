// The Actions cache, version 2, request by request as @actions/cache sends them.
#include "cache/cache_service.h"

#include <doctest/doctest.h>

#include "base/encoding.h"
#include "base/protobuf.h"
#include "base/text.h"
#include "cache/cache_fixture.h"
#include "cache/upload_book.h"

using namespace nimbus;
using namespace nimbus::cache;

namespace {

// A block's id as the client makes it: 36 characters of a uuid, 12 digits.
std::string block_id(int index) {
  std::string digits = std::to_string(index);
  digits.insert(0, 12 - digits.size(), '0');
  return to_base64("0e3f1c2a-0000-4000-8000-000000000000" + digits);
}

struct V2 : CacheFixture {
  std::string open(std::string_view token, const std::string& key) {
    const Reply created =
        twirp(kV2, "CreateCacheEntry", token, {{"key", key}, {"version", kVersion}});
    REQUIRE_EQ(created.status, 200);
    REQUIRE(created.json().at("ok").as_bool());
    return target_of(created.text("signed_upload_url"));
  }
  int put_block(const std::string& url, int index, const std::string& bytes) {
    return call("PUT", url + "&comp=block&blockid=" + net::percent_encode(block_id(index)), "",
                bytes)
        .status;
  }
  int put_list(const std::string& url, const std::vector<int>& indexes) {
    std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?><BlockList>";
    for (const int index : indexes) xml += "<Latest>" + block_id(index) + "</Latest>";
    return call("PUT", url + "&comp=blocklist", "", xml + "</BlockList>").status;
  }
  std::string said(const Reply& reply) {
    const auto object = reply.json();
    const auto* message = object.if_contains("message");
    return message == nullptr ? "" : std::string(message->as_string());
  }
};

}  // namespace

TEST_CASE_FIXTURE(V2, "what is saved is restored") {
  CHECK(save(job(), "npm-linux-aaa", "hello"));
  CHECK_EQ(restore(job(), "npm-linux-aaa"), "hello");
  CHECK_EQ(matched, "npm-linux-aaa");
  CHECK_EQ(usage("acme"), 5);
}

TEST_CASE_FIXTURE(V2, "a miss is an answer") {
  const Reply found =
      twirp(kV2, "GetCacheEntryDownloadURL", job(), {{"key", "absent"}, {"version", kVersion}});
  CHECK_EQ(found.status, 200);
  CHECK_EQ(found.body, R"({"ok":false})");
}

TEST_CASE_FIXTURE(V2, "restore keys find the newest entry that starts with them, in their order") {
  for (const char* key : {"npm-linux-a", "npm-linux-b", "npm-mac-c"}) CHECK(save(job(), key, key));
  CHECK_EQ(restore(job(), "npm-linux-x", {"npm-linux-"}), "npm-linux-b");
  CHECK_EQ(restore(job(), "npm-linux-x", {"nothing-", "npm-"}), "npm-mac-c");
  CHECK_EQ(restore(job(), "npm-linux-"), "npm-linux-b");  // the primary key is a prefix, too
  CHECK_EQ(restore(job(), "npm-linux-a", {"npm-"}), "npm-linux-a");
}

TEST_CASE_FIXTURE(V2, "no character of a key is a wildcard") {
  CHECK(save(job(), "a%c", "percent"));
  CHECK(save(job(), "abc", "letters"));
  CHECK_EQ(restore(job(), "a_c"), "");
  CHECK_EQ(restore(job(), "a%"), "percent");
  CHECK_EQ(restore(job(), "[a]", {"a?", "a*"}), "");
}

TEST_CASE_FIXTURE(V2, "another version is another entry") {
  CHECK(save(job(), "key", "one"));
  CHECK_EQ(restore(job(), "key", {}, "other"), "");
  CHECK(save(job(), "key", "two", "other"));
  CHECK_EQ(restore(job(), "key", {}, "other"), "two");
}

TEST_CASE_FIXTURE(V2, "an entry never changes") {
  CHECK(save(job(), "key", "one"));
  const Reply again =
      twirp(kV2, "CreateCacheEntry", job(), {{"key", "key"}, {"version", kVersion}});
  CHECK_EQ(again.status, 409);
  CHECK_EQ(again.text("code"), "already_exists");
  CHECK_EQ(restore(job(), "key"), "one");
}

TEST_CASE_FIXTURE(V2, "of two that save the same key the first one wins") {
  const std::string url = open(job(), "key");
  const Reply second =
      twirp(kV2, "CreateCacheEntry", job(), {{"key", "key"}, {"version", kVersion}});
  CHECK_EQ(second.status, 409);
  CHECK_EQ(call("PUT", url, "", "first").status, 201);
  CHECK_EQ(finalize(job(), "key", 5).status, 200);
  CHECK_EQ(restore(job(), "key"), "first");
}

TEST_CASE_FIXTURE(V2, "blocks come in any order and the list makes the content") {
  const std::string url = open(job(), "key");
  CHECK_EQ(put_block(url, 2, "E"), 201);
  CHECK_EQ(put_block(url, 0, "aaaa"), 201);
  CHECK_EQ(put_block(url, 1, "bbbb"), 201);
  CHECK_EQ(put_list(url, {0, 1, 2}), 201);
  CHECK_EQ(put_list(url, {0, 1, 2}), 201);  // its answer was lost
  CHECK_EQ(put_list(url, {0, 1}), 409);
  CHECK_EQ(finalize(job(), "key", 9).status, 200);
  CHECK_EQ(restore(job(), "key"), "aaaabbbbE");
}

TEST_CASE_FIXTURE(V2, "the list decides, whatever the ids say") {
  const std::string url = open(job(), "key");
  CHECK_EQ(put_block(url, 0, "bb"), 201);
  CHECK_EQ(put_block(url, 1, "aa"), 201);
  CHECK_EQ(put_block(url, 5, "never listed"), 201);
  CHECK_EQ(put_list(url, {1, 0}), 201);
  CHECK_EQ(finalize(job(), "key", 4).status, 200);
  CHECK_EQ(restore(job(), "key"), "aabb");
  CHECK_EQ(usage("acme"), 4);
}

TEST_CASE_FIXTURE(V2, "a block that is sent again holds what came last") {
  const std::string url = open(job(), "key");
  CHECK_EQ(put_block(url, 0, "old!"), 201);
  CHECK_EQ(put_block(url, 0, "new!"), 201);
  CHECK_EQ(put_list(url, {0}), 201);
  CHECK_EQ(finalize(job(), "key", 4).status, 200);
  CHECK_EQ(restore(job(), "key"), "new!");
}

TEST_CASE_FIXTURE(V2, "a list that names a block nobody sent is refused") {
  const std::string url = open(job(), "key");
  CHECK_EQ(put_block(url, 0, "aaaa"), 201);
  CHECK_EQ(put_list(url, {0, 1}), 400);
  CHECK_EQ(put_list(url, {0}), 201);
}

TEST_CASE_FIXTURE(V2, "an upload that is not whole becomes no entry") {
  const std::string url = open(job(), "key");
  CHECK_EQ(finalize(job(), "key", 0).status, 400);  // nothing was sent
  CHECK_EQ(put_block(url, 0, "aaaa"), 201);
  CHECK_EQ(finalize(job(), "key", 4).status, 400);  // no list
  CHECK_EQ(put_list(url, {0}), 201);
  CHECK_EQ(finalize(job(), "key", 5).status, 400);  // another size
  CHECK_EQ(restore(job(), "key"), "");
  CHECK_EQ(usage("acme"), 0);
}

TEST_CASE_FIXTURE(V2, "a finish whose answer was lost can be repeated") {
  const std::string url = open(job(), "key");
  CHECK_EQ(call("PUT", url, "", "bytes").status, 201);
  const std::string id = finalize(job(), "key", 5).text("entry_id");
  CHECK_EQ(finalize(job(), "key", 5).text("entry_id"), id);
  Standing other;
  other.job = 99;
  CHECK_EQ(finalize(job(other), "key", 5).status, 404);
}

TEST_CASE_FIXTURE(V2, "an upload that broke off makes way for another of the same key") {
  const std::string url = open(job(), "key");
  body_breaks = true;
  CHECK_EQ(call("PUT", url, "", "half").status, 400);
  const std::string again = open(job(), "key");
  CHECK_EQ(call("PUT", url, "", "old").status, 404);
  CHECK_EQ(call("PUT", again, "", "whole").status, 201);
  CHECK_EQ(finalize(job(), "key", 5).status, 200);
  CHECK_EQ(restore(job(), "key"), "whole");
}

TEST_CASE_FIXTURE(V2, "a client may send again what broke off") {
  const std::string url = open(job(), "key");
  body_breaks = true;
  CHECK_EQ(call("PUT", url, "", "half").status, 400);
  CHECK_EQ(call("PUT", url, "", "whole").status, 201);
  CHECK_EQ(finalize(job(), "key", 5).status, 200);
  CHECK_EQ(restore(job(), "key"), "whole");
}

TEST_CASE_FIXTURE(V2, "a reservation that nobody continues expires") {
  const std::string url = open(job(), "key");
  pass(std::chrono::minutes(9));
  sweep();
  CHECK_EQ(cache->status().open_uploads, 1);
  pass(std::chrono::minutes(2));
  sweep();
  CHECK_EQ(cache->status().open_uploads, 0);
  CHECK_EQ(call("PUT", url, "", "late").status, 404);
  CHECK(save(job(), "key", "other"));
}

TEST_CASE_FIXTURE(V2, "the reservation of a job whose lease has ended is given up") {
  const std::string url = open(job(), "key");
  Standing next;
  next.job = 13;
  CHECK_FALSE(save(job(next), "key", "other"));
  REQUIRE(database
              ->write_now([&](db::Transaction& tx) {
                const Time until = clock.now() + std::chrono::seconds(60);
                return access::end_lease_in(tx, {12}, {1}, until, clock.now());
              })
              .has_value());
  pass(std::chrono::seconds(1));
  sweep();
  CHECK_EQ(call("PUT", url, "", "late").status, 404);
  CHECK(save(job(next), "key", "other"));
}

TEST_CASE_FIXTURE(V2, "one org's open uploads are bounded and keep no other org from its own") {
  Standing standing;
  const auto reserve = [&](int i) {
    standing.repo = "r" + std::to_string(i % 4);
    return twirp(kV2, "CreateCacheEntry", job(standing),
                 {{"key", "key-" + std::to_string(i)}, {"version", kVersion}})
        .status;
  };
  for (int i = 0; i < kOpenUploadsPerOrgMax; ++i) CHECK_EQ(reserve(i), 200);
  CHECK_EQ(reserve(kOpenUploadsPerOrgMax), 429);
  standing.org = "other";
  CHECK_EQ(reserve(kOpenUploadsPerOrgMax), 200);
}

TEST_CASE_FIXTURE(V2, "an entry that nobody reads for a week is removed; one that is read stays") {
  CHECK(save(job(), "idle", "idle"));
  CHECK(save(job(), "used", "used"));
  pass(std::chrono::hours(24 * 4));
  CHECK_EQ(restore(job(), "used"), "used");
  sweep();
  pass(std::chrono::hours(24 * 4));
  sweep();
  CHECK_EQ(restore(job(), "idle"), "");
  CHECK_EQ(restore(job(), "used"), "used");
  CHECK_EQ(usage("acme"), 4);
}

TEST_CASE_FIXTURE(V2, "where the quota has no room the least recently used of the org goes") {
  limits.org_bytes_max = 100;
  Standing other;
  other.org = "other";
  CHECK(save(job(other), "theirs", std::string(10, 'o')));
  for (int i = 0; i < 9; ++i) {
    CHECK(save(job(), "entry-" + std::to_string(i), std::string(10, 'a') + std::to_string(i)));
    pass(std::chrono::seconds(1));
  }
  CHECK_EQ(restore(job(), "entry-0").size(), 11);
  pass(std::chrono::seconds(1));
  CHECK(save(job(), "new", std::string(10, 'n')));
  CHECK_EQ(restore(job(), "entry-1"), "");
  CHECK_EQ(restore(job(), "entry-0").size(), 11);
  CHECK_EQ(restore(job(), "entry-8").size(), 11);
  CHECK_EQ(restore(job(), "new").size(), 10);
  CHECK_EQ(restore(job(other), "theirs").size(), 10);
  CHECK(usage("acme") <= 100);
}

TEST_CASE_FIXTURE(V2, "what is larger than the quota is refused before its bytes are read") {
  limits.org_bytes_max = 25;
  const std::string url = open(job(), "large");
  const Reply refused = call("PUT", url, "", std::string(26, 'x'));
  CHECK_EQ(refused.status, 413);
  CHECK_EQ(refused.headers.find("Content-Type"), "application/xml");
  CHECK_EQ(usage("acme"), 0);
  CHECK(save(job(), "small", "fits"));
}

TEST_CASE_FIXTURE(V2, "a key that is none is refused with what is wrong") {
  for (const std::string& key :
       {std::string(), std::string("a,b"), std::string(513, 'k'), std::string("a\nb")}) {
    const Reply created =
        twirp(kV2, "CreateCacheEntry", job(), {{"key", key}, {"version", kVersion}});
    CHECK_EQ(created.status, 400);
    CHECK_EQ(created.text("code"), "invalid_argument");
  }
  CHECK(save(job(), std::string(512, 'k'), "long"));
  std::vector<std::string> many(10, "key");
  const Reply found =
      twirp(kV2, "GetCacheEntryDownloadURL", job(),
            {{"key", "k"}, {"version", kVersion}, {"restore_keys", boost::json::value_from(many)}});
  CHECK_EQ(found.status, 400);
}

TEST_CASE_FIXTURE(V2, "ranges are served as the SDK asks for them") {
  CHECK(save(job(), "key", "0123456789"));
  const Reply found =
      twirp(kV2, "GetCacheEntryDownloadURL", job(), {{"key", "key"}, {"version", kVersion}});
  const std::string url = target_of(found.text("signed_download_url"));
  const Reply part = call("GET", url + "&timeout=30", "", "", {{"x-ms-range", "bytes=2-4"}});
  CHECK_EQ(part.status, 206);
  CHECK_EQ(part.body, "234");
  CHECK_EQ(call("GET", url, "", "", {{"Range", "bytes=8-"}}).body, "89");
  CHECK_EQ(call("GET", url, "", "", {{"Range", "bytes=99-"}}).status, 416);
  CHECK_EQ(call("HEAD", url, "").status, 200);
}

TEST_CASE_FIXTURE(V2, "protobuf and JSON clients see each other's entries") {
  const auto method = [&](const std::string& name, ProtobufWriter message) {
    const Reply reply = call("POST", std::string(kV2) + name, job(), message.finish(),
                             {{"Content-Type", "application/protobuf"}});
    CHECK_EQ(reply.status, 200);
    CHECK_EQ(reply.headers.find("Content-Type"), "application/protobuf");
    return reply.body;
  };
  const auto field = [](std::string_view bytes, uint32_t number) {
    ProtobufReader message(bytes);
    for (ProtobufField part; message.next(part);) {
      if (part.number == number) return part;
    }
    return ProtobufField{};
  };
  const auto named = [] { return ProtobufWriter().text(2, "key"); };
  CHECK_EQ(method("GetCacheEntryDownloadURL", named().text(4, kVersion)), "");  // ok: false
  const std::string created = method("CreateCacheEntry", named().text(3, kVersion));
  CHECK_EQ(field(created, 1).value, 1);
  const std::string url = target_of(std::string(field(created, 2).bytes));
  CHECK_EQ(call("PUT", url, "", "bytes").status, 201);
  const std::string done =
      method("FinalizeCacheEntryUpload", named().integer(3, 5).text(4, kVersion));
  CHECK(field(done, 2).value > 0);
  const std::string found = method(
      "GetCacheEntryDownloadURL", ProtobufWriter().text(2, "other").text(3, "k").text(4, kVersion));
  CHECK_EQ(field(found, 3).bytes, "key");
  CHECK_EQ(call("GET", target_of(std::string(field(found, 2).bytes)), "").body, "bytes");
  CHECK_EQ(restore(job(), "key"), "bytes");
}

TEST_CASE_FIXTURE(V2, "what a protobuf client did wrong is told in JSON, as Twirp wants") {
  const Reply refused = call("POST", std::string(kV2) + "CreateCacheEntry", job(), "\x12\x7f",
                             {{"Content-Type", "application/protobuf"}});
  CHECK_EQ(refused.status, 400);
  CHECK_EQ(refused.text("code"), "invalid_argument");
}

TEST_CASE_FIXTURE(V2, "a signed URL opens one thing for a while") {
  CHECK(save(job(), "key", "bytes"));
  const Reply found =
      twirp(kV2, "GetCacheEntryDownloadURL", job(), {{"key", "key"}, {"version", kVersion}});
  const std::string url = target_of(found.text("signed_download_url"));
  CHECK_EQ(call("GET", url, "").status, 200);
  std::string other = url;
  other.replace(other.find("/blobs/entry/1"), 14, "/blobs/entry/2");
  CHECK_EQ(call("GET", other, "").status, 403);
  std::string longer = url;
  longer.replace(longer.find("se=") + 3, 1, "9");
  CHECK_EQ(call("GET", longer, "").status, 403);
  std::string spoilt = url;
  spoilt.back() = spoilt.back() == '0' ? '1' : '0';
  CHECK_EQ(call("GET", spoilt, "").status, 403);
  CHECK_EQ(call("GET", url.substr(0, url.find('?')), "").status, 403);
  pass(std::chrono::minutes(31));
  CHECK_EQ(call("GET", url, "").status, 403);
}

TEST_CASE_FIXTURE(V2, "an answer names the host that the client knows") {
  const Reply direct = twirp(kV2, "CreateCacheEntry", job(), {{"key", "a"}, {"version", kVersion}});
  CHECK(direct.text("signed_upload_url").starts_with("http://cache.test:8080/blobs/upload/"));
  const Reply behind =
      call("POST", std::string(kV2) + "CreateCacheEntry", job(), R"({"key":"b","version":"v"})",
           {{"X-Forwarded-Host", "169.254.169.254"}});
  CHECK(behind.text("signed_upload_url").starts_with("http://169.254.169.254/blobs/upload/"));
}
