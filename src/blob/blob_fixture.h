// A store in a folder of its own and a database, for this folder's tests.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/clock.h"
#include "blob/catalog.h"
#include "blob/disk_store.h"

namespace nimbus::blob {

struct TestDirectory {
  TestDirectory() {
    // In memory where there is such a place: a busy disk's fsync takes seconds.
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    const std::filesystem::path parent =
        memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "blob-test-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~TestDirectory() { std::filesystem::remove_all(path); }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  std::string path;
};

// Runs a coroutine to its end on a loop.
template <typename T>
T run_task(net::Loop& loop, Task<T> task) {
  std::optional<T> value;
  auto wrapped = [](Task<T> inner, std::optional<T>& into, net::Loop& l) -> Task<void> {
    into.emplace(co_await std::move(inner));
    l.stop();
  };
  loop.spawn(wrapped(std::move(task), value, loop), "test");
  // Again when it stops early: the loop also stops when a blocking thread lets go of the last work.
  while (!value) loop.run();
  return std::move(*value);
}

struct StoreFixture {
  StoreFixture() { reopen(); }
  ~StoreFixture() { loop.end_tasks(); }
  void reopen() {
    store.reset();
    auto opened = DiskStore::open_directory(loop, {.directory = directory.path + "/blobs"});
    REQUIRE(opened);
    store = std::move(*opened);
  }
  template <typename T>
  T run(Task<T> task) {
    return run_task(loop, std::move(task));
  }
  std::unique_ptr<Upload> begin(UploadOptions options = {}) {
    auto upload = run(store->begin(options));
    REQUIRE(upload);
    return std::move(*upload);
  }
  // Stores the bytes; the digest.
  Digest put(const std::string& bytes) {
    auto upload = begin();
    REQUIRE(run(upload->write(bytes)));
    const auto info = run(upload->commit(std::nullopt));
    REQUIRE(info);
    return info->digest;
  }
  Result<std::string> get(const Digest& digest) {
    const auto opened = run(store->open(digest));
    if (!opened) return fail(opened.error());
    return run((*opened)->read_all(size_t{1} << 30));
  }
  // Names of the files below a folder of the store.
  size_t files_in(const std::string& folder) const {
    size_t count = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(directory.path + "/blobs/" + folder)) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  TestDirectory directory;
  net::Loop loop;
  std::unique_ptr<DiskStore> store;
};

struct CatalogFixture {
  CatalogFixture() {
    auto opened = db::Database::open({.url = "sqlite:" + directory.path + "/test.db"});
    REQUIRE(opened);
    database = std::move(*opened);
    REQUIRE(db::migrate(*database, blob_migrations(), system_clock().now()));
  }
  template <typename T>
  Result<T> in(std::function<Result<T>(db::Transaction&)> work) {
    std::optional<Result<T>> value;
    const Result<void> done = database->write_now([&](db::Transaction& tx) -> Result<void> {
      value.emplace(work(tx));
      if (!*value) return fail(value->error());
      return {};
    });
    if (!done) return fail(done.error());
    return std::move(*value);
  }
  Result<bool> hold(const Hold& hold, const BlobInfo& blob, Time now = from_us(1)) {
    return in<bool>([&](db::Transaction& tx) { return hold_in(tx, hold, blob, now); });
  }
  Result<bool> release(const Hold& hold, const Digest& digest, Time now = from_us(2)) {
    return in<bool>([&](db::Transaction& tx) { return release_in(tx, hold, digest, now); });
  }
  int64_t org_bytes(const std::string& org, Use use = Use::cache) {
    return in<Usage>([&](db::Transaction& tx) { return org_usage_in(tx, org, use); })->bytes;
  }
  int64_t repo_bytes(const std::string& org, const std::string& repo, Use use = Use::cache) {
    return in<Usage>([&](db::Transaction& tx) { return repo_usage_in(tx, org, repo, use); })->bytes;
  }

  TestDirectory directory;
  std::unique_ptr<db::Database> database;
};

}  // namespace nimbus::blob
