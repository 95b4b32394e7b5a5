#include "blob/open_store.h"

#include <cstdlib>

#include "base/clock.h"
#include "blob/s3_store.h"

namespace nimbus::blob {
namespace {

Result<std::unique_ptr<Store>> open_disk(net::Loop& loop, std::string directory, bool owner) {
  return TRY(DiskStore::open_directory(loop, {.directory = std::move(directory), .owner = owner}));
}

Result<std::unique_ptr<Store>> open_bucket(net::Loop& loop, const OpenStoreOptions& options) {
  S3Options s3;
  s3.location = TRY(parse_s3_url(options.url));
  s3.ca_file = options.s3_ca_file;
  AwsCredentialChain credentials(
      {options.s3_access_key_id, options.s3_secret_access_key, Secret()},
      [](const std::string& name) { return ::getenv(name.c_str()); }, system_clock());
  TRY(credentials.current());
  auto near = TRY(
      DiskStore::open_directory(loop, {.directory = options.directory, .owner = options.owner}));
  auto bucket = std::make_unique<S3Client>(loop, std::move(s3), std::move(credentials),
                                           system_clock(), system_random());
  return std::make_unique<S3Store>(loop, std::move(near), std::move(bucket),
                                   S3Store::Options{options.near_cache_bytes_max});
}

}  // namespace

Result<std::unique_ptr<Store>> open_store(net::Loop& loop, const OpenStoreOptions& options) {
  constexpr std::string_view kFile = "file:";
  if (options.url.empty()) return open_disk(loop, options.directory, options.owner);
  if (options.url.starts_with(kFile)) {
    std::string directory = options.url.substr(kFile.size());
    if (directory.starts_with("//")) directory.erase(0, 2);
    if (!directory.starts_with('/')) {
      return fail(Code::bad_request, "blob.store '" + options.url + "' names no absolute path",
                  "write it like file:/var/lib/nimbus/blobs");
    }
    return open_disk(loop, std::move(directory), options.owner);
  }
  if (options.url.starts_with("s3:")) return open_bucket(loop, options);
  return fail(Code::bad_request, "blob.store '" + options.url + "' is neither file: nor s3:",
              "write it like file:/var/lib/nimbus/blobs");
}

}  // namespace nimbus::blob
