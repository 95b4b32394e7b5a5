#include "blob/disk_store.h"

#include <fstream>

#include "blob/blob_fixture.h"
#include "blob/store_watch.h"

namespace nimbus::blob {
namespace {

std::string pattern(size_t size) {
  std::string bytes(size, '\0');
  uint32_t state = 1;
  for (char& c : bytes) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

}  // namespace

TEST_CASE_FIXTURE(StoreFixture, "what was stored is read back under its digest") {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4096}, size_t{3} << 20}) {
    const std::string bytes = pattern(size);
    const Digest digest = put(bytes);
    CHECK(digest == digest_of(bytes));
    const auto read = get(digest);
    REQUIRE(read);
    CHECK(*read == bytes);
  }
  CHECK(files_in("uploads") == 0);
}

TEST_CASE_FIXTURE(StoreFixture, "bytes in many pieces keep their order") {
  const std::string bytes = pattern(size_t{5} << 20);
  auto upload = begin();
  for (size_t at = 0; at < bytes.size(); at += 70'000) {
    REQUIRE(run(upload->write(bytes.substr(at, 70'000))));
  }
  CHECK(upload->size() == static_cast<int64_t>(bytes.size()));
  const auto info = run(upload->commit(digest_of(bytes)));
  REQUIRE(info);
  CHECK(info->size == static_cast<int64_t>(bytes.size()));
}

TEST_CASE_FIXTURE(StoreFixture, "a wrong digest keeps nothing") {
  for (const size_t size : {size_t{10}, size_t{2} << 20}) {
    auto upload = begin();
    REQUIRE(run(upload->write(pattern(size))));
    const auto info = run(upload->commit(digest_of("other")));
    REQUIRE_FALSE(info);
    CHECK(info.error().code == Code::bad_request);
    upload.reset();
    CHECK(files_in(".") == 0);
  }
}

TEST_CASE_FIXTURE(StoreFixture, "chunks in any order make the same blob, gaps none") {
  const std::string bytes = pattern(1'000'000);
  auto upload = begin();
  REQUIRE(run(upload->write_at(600'000, bytes.substr(600'000))));
  REQUIRE(run(upload->write_at(0, bytes.substr(0, 300'000))));
  auto gap = begin();
  REQUIRE(run(gap->write_at(600'000, bytes.substr(600'000))));
  CHECK(run(gap->commit(std::nullopt)).error().code == Code::bad_request);
  REQUIRE(run(upload->write_at(300'000, bytes.substr(300'000, 300'000))));
  const auto info = run(upload->commit(std::nullopt));
  REQUIRE(info);
  CHECK(info->digest == digest_of(bytes));
}

TEST_CASE_FIXTURE(StoreFixture, "a part that is sent again replaces the first") {
  auto upload = begin();
  REQUIRE(run(upload->write("aaaa")));
  REQUIRE(run(upload->write("bbbb")));
  REQUIRE(run(upload->write_at(2, "cccc")));
  const auto info = run(upload->commit(std::nullopt));
  REQUIRE(info);
  CHECK(*get(info->digest) == "aaccccbb");
}

TEST_CASE_FIXTURE(StoreFixture, "parts are put in the order that the client names") {
  auto upload = begin();
  REQUIRE(run(upload->write("world")));
  REQUIRE(run(upload->write("hello ")));
  REQUIRE(run(upload->write("unused")));
  CHECK(run(upload->arrange({{15, 9}})).error().code == Code::bad_request);
  REQUIRE(run(upload->arrange({{5, 6}, {0, 5}})));
  const auto info = run(upload->commit(std::nullopt));
  REQUIRE(info);
  CHECK(*get(info->digest) == "hello world");
}

TEST_CASE_FIXTURE(StoreFixture, "another algorithm's digest is computed when it is asked for") {
  auto upload = begin();
  REQUIRE(run(upload->write("abc")));
  const auto info = run(upload->commit(digest_of("abc", Algorithm::sha512)));
  REQUIRE(info);
  CHECK(info->digest.algorithm == Algorithm::sha512);
  CHECK(*get(info->digest) == "abc");
}

TEST_CASE_FIXTURE(StoreFixture, "the same bytes twice are one blob and two successes") {
  const Digest one = put("same");
  const Digest two = put("same");
  CHECK(one == two);
  CHECK(files_in("sha256") == 1);
}

TEST_CASE_FIXTURE(StoreFixture, "an upload that is dropped leaves nothing") {
  auto upload = begin();
  REQUIRE(run(upload->write(pattern(2 << 20))));
  REQUIRE(run(upload->write(pattern(2 << 20))));
  upload.reset();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (files_in("uploads") > 0 && std::chrono::steady_clock::now() < deadline) {
    run([](net::Loop& l) -> Task<bool> {
      co_await l.sleep(std::chrono::milliseconds(1));
      co_return true;
    }(loop));
  }
  CHECK(files_in("uploads") == 0);
}

TEST_CASE_FIXTURE(StoreFixture, "a suspended upload goes on, also in the next process") {
  const std::string bytes = pattern(300'000);
  auto upload = begin({.resumable = true});
  REQUIRE(run(upload->write(bytes.substr(0, 100'000))));
  const std::string id = upload->id();
  CHECK(run(store->resume(id)).error().code == Code::conflict);
  REQUIRE(run(upload->suspend()));
  upload.reset();

  auto again = run(store->resume(id));
  REQUIRE(again);
  CHECK((*again)->size() == 100'000);
  REQUIRE(run((*again)->write(bytes.substr(100'000, 100'000))));
  REQUIRE(run((*again)->suspend()));
  again->reset();

  reopen();
  auto third = run(store->resume(id));
  REQUIRE(third);
  CHECK((*third)->size() == 200'000);
  REQUIRE(run((*third)->write(bytes.substr(200'000))));
  const auto info = run((*third)->commit(std::nullopt));
  REQUIRE(info);
  CHECK(info->digest == digest_of(bytes));
  third->reset();
  CHECK(run(store->resume(id)).error().code == Code::not_found);
}

TEST_CASE_FIXTURE(StoreFixture, "an id that is not the store's names no upload") {
  for (const std::string id : {"", "r", "../sha256/aa", "t0123456789abcdef0123456789abcdef"}) {
    CHECK(run(store->resume(id)).error().code == Code::not_found);
  }
}

TEST_CASE_FIXTURE(StoreFixture, "what a crash left of uploads goes at the next start") {
  std::ofstream(directory.path + "/blobs/uploads/t0123456789abcdef0123456789abcdef") << "x";
  std::ofstream(directory.path + "/blobs/uploads/r0123456789abcdef0123456789abcdef") << "x";
  reopen();
  CHECK(files_in("uploads") == 1);
  CHECK(*run(store->expire_uploads(system_clock().now() + std::chrono::hours(1))) == 1);
  CHECK(files_in("uploads") == 0);
}

TEST_CASE_FIXTURE(StoreFixture,
                  "a blob stays readable for whoever has it open when it is removed") {
  const Digest digest = put("content");
  const auto opened = run(store->open(digest));
  REQUIRE(opened);
  REQUIRE(run(store->remove(digest)));
  CHECK(run(store->open(digest)).error().code == Code::not_found);
  CHECK(*run((*opened)->read_all(100)) == "content");
  CHECK(run((*opened)->read_all(3)).error().code == Code::too_large);
}

TEST_CASE_FIXTURE(StoreFixture, "rotten and missing blobs are told from good ones") {
  const Digest digest = put(pattern(3 << 20));
  CHECK(*run(store->verify(digest, 0)) == Health::good);
  std::fstream(store->path_of(digest), std::ios::in | std::ios::out).put('!');
  CHECK(*run(store->verify(digest, 0)) == Health::rotten);
  REQUIRE(run(store->quarantine(digest)));
  CHECK(*run(store->verify(digest, 0)) == Health::missing);
  CHECK(files_in("quarantine") == 1);
}

TEST_CASE_FIXTURE(StoreFixture, "the store lists its blobs page by page") {
  for (int i = 0; i < 20; ++i) put("blob " + std::to_string(i));
  std::optional<Digest> after;
  size_t count = 0;
  for (;;) {
    const auto page = run(store->list(after, 7));
    REQUIRE(page);
    if (page->empty()) break;
    for (const BlobInfo& blob : *page) {
      const bool in_order = !after || *after < blob.digest;
      CHECK(in_order);
      after = blob.digest;
      ++count;
    }
  }
  CHECK(count == 20);
}

TEST_CASE_FIXTURE(StoreFixture,
                  "a pinned blob is not removed, and one being removed waits for no pin") {
  const Digest digest = digest_of("x");
  auto pin = run(store->pins().pin(digest));
  CHECK_FALSE(store->pins().begin_removal(digest));
  pin.release();
  auto removal = store->pins().begin_removal(digest);
  REQUIRE(removal);
  CHECK_FALSE(store->pins().begin_removal(digest));
  bool pinned = false;
  loop.spawn(
      [](Store& s, Digest d, bool& done) -> Task<void> {
        const Pin held = co_await s.pins().pin(d);
        done = true;
      }(*store, digest, pinned),
      "pin");
  run([](net::Loop& l) -> Task<bool> {
    co_await l.sleep(std::chrono::milliseconds(1));
    co_return true;
  }(loop));
  CHECK_FALSE(pinned);
  removal.reset();
  while (!pinned) loop.run();
  CHECK(pinned);
}

TEST_CASE_FIXTURE(StoreFixture, "the watch sees a disk that is full or cannot be written to") {
  Metrics metrics;
  const auto look = [&](int64_t free_bytes_min) {
    StoreWatch watch(loop, *store, free_bytes_min, metrics);
    return run([](StoreWatch& w) -> Task<StoreWatch::View> {
             co_await w.look();
             co_return w.view();
           }(watch))
        .state;
  };
  CHECK(look(0) == StoreWatch::State::good);
  CHECK(files_in("uploads") == 0);
  CHECK(look(int64_t{1} << 60) == StoreWatch::State::full);
  std::filesystem::remove_all(directory.path + "/blobs/uploads");
  CHECK(look(0) == StoreWatch::State::down);
}

}  // namespace nimbus::blob
