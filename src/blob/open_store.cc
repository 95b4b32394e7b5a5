#include "blob/open_store.h"

#include <cstdlib>

#include "base/clock.h"
#include "blob/s3_store.h"

namespace nimbus::blob {
namespace {

constexpr std::string_view kFile = "file:";

std::string directory_of_url(const std::string& url) {
  std::string directory = url.substr(kFile.size());
  if (directory.starts_with("//")) directory.erase(0, 2);
  return directory;
}

Result<std::unique_ptr<Store>> open_disk(net::Loop& loop, std::string directory, bool owner) {
  return TRY(DiskStore::open_directory(loop, {.directory = std::move(directory), .owner = owner}));
}

std::unique_ptr<AwsCredentialChain> credentials_of(net::Loop& loop,
                                                   const OpenStoreOptions& options) {
  AwsCredentials configured{options.s3_access_key_id, options.s3_secret_access_key, Secret()};
  return std::make_unique<AwsCredentialChain>(
      loop, std::move(configured), [](const std::string& name) { return ::getenv(name.c_str()); },
      system_clock());
}

// Whether there are any: said at the start, and not by the first job. Whoever lends them may still
// be starting, too.
Result<void> find_credentials(const OpenStoreOptions& options) {
  net::Loop loop(1);
  const auto chain = credentials_of(loop, options);
  std::optional<Result<AwsCredentials>> found;
  loop.spawn(
      [](AwsCredentialChain& from, std::optional<Result<AwsCredentials>>& into,
         net::Loop& l) -> Task<void> {
        into.emplace(co_await from.current());
        l.stop();
      }(*chain, found, loop),
      "first credentials");
  while (!found) loop.run();
  loop.end_tasks();
  if (*found || found->error().code == Code::unavailable) return {};
  return fail(found->error());
}

Result<std::unique_ptr<Store>> open_bucket(net::Loop& loop, const OpenStoreOptions& options) {
  S3Options s3;
  s3.location = TRY(parse_s3_url(options.url));
  s3.ca_file = options.s3_ca_file;
  TRY(find_credentials(options));
  auto near = TRY(
      DiskStore::open_directory(loop, {.directory = options.directory, .owner = options.owner}));
  auto bucket = std::make_unique<S3Client>(loop, std::move(s3), credentials_of(loop, options),
                                           system_clock(), system_random());
  return std::make_unique<S3Store>(loop, std::move(near), std::move(bucket),
                                   S3Store::Options{options.near_cache_bytes_max});
}

}  // namespace

Result<void> check_store_url(const std::string& url) {
  if (url.empty()) return {};
  if (url.starts_with(kFile)) {
    if (directory_of_url(url).starts_with('/')) return {};
    return fail(Code::bad_request, "blob.store '" + url + "' names no absolute path",
                "write it like file:/var/lib/nimbus/blobs");
  }
  if (url.starts_with("s3:")) {
    TRY(parse_s3_url(url));
    return {};
  }
  return fail(Code::bad_request, "blob.store '" + url + "' is neither file: nor s3:",
              "write it like file:/var/lib/nimbus/blobs");
}

Result<std::unique_ptr<Store>> open_store(net::Loop& loop, const OpenStoreOptions& options) {
  TRY(check_store_url(options.url));
  if (options.url.empty()) return open_disk(loop, options.directory, options.owner);
  if (options.url.starts_with(kFile))
    return open_disk(loop, directory_of_url(options.url), options.owner);
  return open_bucket(loop, options);
}

}  // namespace nimbus::blob
