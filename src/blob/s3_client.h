// The few S3 operations that a store needs, signed, retried and bounded in time. A bucket that
// keeps failing is left alone for a moment, so that callers hear `unavailable` at once and not
// after every timeout.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/random.h"
#include "blob/aws_credentials.h"
#include "blob/s3_url.h"
#include "blob/sigv4.h"
#include "net/client.h"
#include "net/loop.h"

namespace nimbus::blob {

struct S3Options {
  S3Location location;
  std::string ca_file;
  int attempts_max = 4;
  Duration first_backoff = std::chrono::milliseconds(100);  // doubles, with jitter
  Duration backoff_max = std::chrono::seconds(2);
  Duration head_timeout = std::chrono::seconds(10);   // until an answer begins
  Duration send_timeout = std::chrono::minutes(5);    // of one part
  Duration stall_timeout = std::chrono::seconds(30);  // of an answer's body, without progress
  int failures_to_open = 4;                           // in a row, attempts counted
  Duration open_time = std::chrono::seconds(5);
  int64_t part_bytes = int64_t{16} << 20;
  int parts_at_once = 3;
};

struct S3Object {
  std::string key;  // below the prefix
  int64_t size = 0;
  Time modified{};
};

class S3Client {
 public:
  S3Client(net::Loop& loop, S3Options options, std::unique_ptr<AwsCredentialChain> credentials,
           const Clock& clock, Random& random);

  // not_found: no such object. unavailable: the bucket does not answer, or not well, or does not
  // like the credentials (the hint says so).
  Task<Result<S3Object>> head(std::string key);
  // Takes an object's bytes in order, each once, and before the first of them its size.
  struct Reader {
    std::function<Task<bool>(std::string_view)> on_bytes;  // false ends the transfer (`conflict`)
    std::function<void(int64_t)> on_size = [](int64_t) {};
  };
  // On a failure in between the rest is asked for.
  Task<Result<void>> get(std::string key, Reader reader);
  // Stores the file's bytes, in parts when they are many. `sha256`: of the whole, in hexadecimal.
  Task<Result<void>> put(std::string key, net::FileBody file, std::string sha256);
  Task<Result<void>> remove(std::string key);  // absent is done
  Task<Result<void>> copy(std::string from, std::string to);
  // Objects below `folder` in order of key, after `after`.
  Task<Result<std::vector<S3Object>>> list(std::string folder, std::string after, int limit);
  // Ends multipart uploads that were begun before `before`; how many.
  Task<Result<int>> abort_uploads(Time before);

 private:
  struct Call;
  struct Upload;
  Task<Result<net::ClientResponse>> call(Call call);
  Task<Result<net::ClientResponse>> attempt(Call& call);
  Task<Result<void>> put_parts(std::string key, net::FileBody file);
  static Task<void> send_parts(std::shared_ptr<Upload> upload);
  Task<Result<std::string>> send_part(Upload& upload, int number);
  Task<Result<net::ClientRequest>> make_request(Call& call);
  Result<void> check_open();
  void note(const Error* down);
  Task<void> back_off(int attempt);

  net::Loop& loop_;
  S3Options options_;
  std::unique_ptr<AwsCredentialChain> credentials_;
  const Clock& clock_;
  Random& random_;
  net::Client client_;
  int failures_ = 0;
  Duration open_until_{0};
  std::string why_down_;  // of the last failure
};

}  // namespace nimbus::blob
