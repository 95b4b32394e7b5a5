#include "blob/s3_client.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "blob/s3_xml.h"

namespace nimbus::blob {
namespace {

constexpr int64_t kPartsMax = 10'000;
constexpr size_t kAnswerBytesMax = size_t{4} << 20;
constexpr uint64_t kProgressBytes = uint64_t{8} << 20;
constexpr Duration kUploadPoll = std::chrono::seconds(30);

// "Wed, 25 Nov 2026 03:15:00 GMT"
Time parse_http_date(std::string_view text) {
  std::tm parts{};
  const std::string copy(text);
  if (::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S", &parts) == nullptr) return {};
  return from_us(int64_t{::timegm(&parts)} * 1'000'000);
}

int64_t parse_size(std::string_view text) {
  int64_t size = 0;
  std::from_chars(text.data(), text.data() + text.size(), size);
  return size;
}

// What S3 says with status 400 of a session token that ran out. The answer to a HEAD has no words.
bool is_expired(const net::ClientResponse& answer) {
  if (answer.status != 400) return false;
  const std::string code = xml_text(answer.body, "Code");
  return answer.body.empty() || code == "ExpiredToken" || code == "TokenRefreshRequired" ||
         code == "InvalidToken";
}

Error refusal(const net::ClientResponse& answer, const std::string& what) {
  const std::string code = xml_text(answer.body, "Code");
  Error error;
  error.message = what + ": the bucket answered " + std::to_string(answer.status) +
                  (code.empty() ? "" : " " + code);
  if (is_expired(answer)) {
    error.code = Code::unavailable;
    return error;
  }
  switch (answer.status) {
    case 401:
    case 403:
      // Ours and not our caller's: asking again does not help, and later it may.
      error.code = Code::unavailable;
      error.hint = "check the credentials of blob.store, and this machine's clock";
      break;
    case 404: error.code = Code::not_found; break;
    case 429:
    case 500:
    case 502:
    case 503:
    case 504: error.code = Code::unavailable; break;
    default: error.code = code == "RequestTimeout" ? Code::unavailable : Code::internal;
  }
  return error;
}

Result<std::string> hash_part(const net::FileBody& file) {
  Sha256 hash;
  std::string piece(size_t{1} << 20, '\0');
  for (uint64_t done = 0; done < file.size;) {
    const size_t step = std::min<uint64_t>(piece.size(), file.size - done);
    const ssize_t got =
        ::pread(file.fd, piece.data(), step, static_cast<off_t>(file.offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(errno_error("reading an upload's part", got < 0 ? errno : EIO));
    hash.update({piece.data(), static_cast<size_t>(got)});
    done += static_cast<uint64_t>(got);
  }
  return to_hex(hash.finish());
}

}  // namespace

struct S3Client::Call {
  std::string what;  // for errors: "reading sha256/…"
  std::string method = "GET";
  std::string key;
  std::vector<std::pair<std::string, std::string>> query{};
  std::vector<std::pair<std::string, std::string>> signed_headers{};
  std::string body{};
  std::optional<net::FileBody> file{};
  std::string payload_sha256{};  // of the file
  std::optional<Reader> reader{};
  uint64_t received = 0;  // bytes given to the reader
  bool stopped = false;   // by the reader
  bool refused = false;   // the bucket answers, and does not like us
};

struct S3Client::Upload {
  explicit Upload(net::Loop& loop) : ended(loop) {}
  S3Client* client = nullptr;
  std::string key;
  std::string id;
  net::FileBody file;
  uint64_t part_bytes = 0;
  int next = 0;
  int senders = 0;
  std::vector<std::string> etags;
  std::optional<Error> failure;
  net::Notifier ended;
};

S3Client::S3Client(net::Loop& loop, S3Options options,
                   std::unique_ptr<AwsCredentialChain> credentials, const Clock& clock,
                   Random& random)
    : loop_(loop),
      options_(std::move(options)),
      credentials_(std::move(credentials)),
      clock_(clock),
      random_(random),
      client_(loop, {.ca_file = options_.ca_file}) {}

Task<Result<net::ClientRequest>> S3Client::make_request(Call& call) {
  const auto credentials = co_await credentials_->current();
  if (!credentials) {
    // Ours and not our caller's to have.
    call.refused = true;
    Error error = credentials.error();
    error.code = Code::unavailable;
    co_return fail(std::move(error));
  }
  S3Request request;
  request.method = call.method;
  request.host = options_.location.host;
  request.path = options_.location.path_root + "/";
  if (!call.key.empty()) request.path += options_.location.prefix + call.key;
  request.query = call.query;
  request.signed_headers = call.signed_headers;
  if (call.file) {
    request.payload_sha256 = call.payload_sha256;
  } else {
    request.payload_sha256 = to_hex(sha256(call.body));
  }
  net::ClientRequest out;
  out.method = call.method;
  out.url = options_.location.base_url + encode_target(request);
  out.headers = sign(request, *credentials, options_.location.region, clock_.now());
  if (call.received > 0) {
    out.headers.add("range", "bytes=" + std::to_string(call.received) + "-");
  }
  out.body = call.body;
  out.file = call.file;
  out.timeout = call.file ? options_.send_timeout : options_.head_timeout;
  out.stall_timeout = options_.stall_timeout;
  co_return out;
}

Task<Result<net::ClientResponse>> S3Client::attempt(Call& call) {
  CO_TRY_ASSIGN(net::ClientRequest request, co_await make_request(call));
  net::ClientResponse answer;
  std::function<void(const net::ClientResponse&)> on_head =
      [&answer, &call](const net::ClientResponse& head) {
        answer = head;
        const auto size = head.headers.find("Content-Length");
        if (call.reader && head.status == 200 && size) call.reader->on_size(parse_size(*size));
      };
  std::function<Task<bool>(std::string_view)> on_bytes =
      [&answer, &call](std::string_view bytes) -> Task<bool> {
    if (!call.reader || answer.status >= 300) {
      answer.body += bytes;
      co_return answer.body.size() <= kAnswerBytesMax;
    }
    call.received += bytes.size();
    const bool more = co_await call.reader->on_bytes(bytes);
    call.stopped = !more;
    co_return more;
  };
  const bool whole_wanted = call.received > 0;
  const Result<void> done =
      co_await client_.stream_to(std::move(request), std::move(on_head), std::move(on_bytes));
  if (!done) co_return fail(Error(done.error()).in(call.what));
  // A server without ranges would begin again: the bytes would come twice.
  if (whole_wanted && answer.status == 200) {
    co_return fail(Code::internal, call.what + ": the bucket does not know ranges");
  }
  call.refused = answer.status == 401 || answer.status == 403 || is_expired(answer);
  if (answer.status < 200 || answer.status >= 300) co_return fail(refusal(answer, call.what));
  co_return answer;
}

Result<void> S3Client::check_open() {
  if (clock_.steady() >= open_until_) return {};
  return fail(Code::unavailable, "the bucket does not answer: " + why_down_,
              "it is asked again in a moment");
}

void S3Client::note(const Error* down) {
  failures_ = down == nullptr ? 0 : failures_ + 1;
  if (down != nullptr) why_down_ = down->message;
  if (failures_ < options_.failures_to_open) return;
  if (clock_.steady() >= open_until_) {
    log_warn("the bucket does not answer; leaving it alone", {{"why", why_down_}});
  }
  open_until_ = clock_.steady() + options_.open_time;
  failures_ = options_.failures_to_open - 1;  // the next failure closes the door again
}

Task<void> S3Client::back_off(int attempt) {
  const int64_t most = std::min(options_.backoff_max.count(), options_.first_backoff.count()
                                                                  << std::min(attempt, 16));
  const auto jittered =
      most / 2 + static_cast<int64_t>(random_.below(static_cast<uint64_t>(most / 2 + 1)));
  co_await loop_.sleep(Duration(jittered));
}

Task<Result<net::ClientResponse>> S3Client::call(Call call) {
  for (int attempt_number = 0;; ++attempt_number) {
    CO_TRY(check_open());
    call.refused = false;
    const uint64_t before = call.received;
    Result<net::ClientResponse> answer = co_await attempt(call);
    if (call.stopped) co_return fail(Code::conflict, call.what + ": stopped");
    if (call.received - before >= kProgressBytes) {
      // A long transfer may break off more often than a short one.
      attempt_number = 0;
      note(nullptr);
    }
    const bool down = !answer && answer.error().code == Code::unavailable && !call.refused;
    note(down ? &answer.error() : nullptr);
    // Lent credentials may have been withdrawn before their time.
    if (call.refused && attempt_number == 0 && credentials_->distrust()) continue;
    if (!down || attempt_number + 1 >= options_.attempts_max) co_return answer;
    co_await back_off(attempt_number);
  }
}

Task<Result<S3Object>> S3Client::head(std::string key) {
  Call request{.what = "asking for " + key, .method = "HEAD", .key = key};
  CO_TRY_ASSIGN(const net::ClientResponse answer, co_await call(std::move(request)));
  S3Object object{std::move(key)};
  if (const auto length = answer.headers.find("Content-Length")) object.size = parse_size(*length);
  if (const auto date = answer.headers.find("Last-Modified")) {
    object.modified = parse_http_date(*date);
  }
  co_return object;
}

Task<Result<void>> S3Client::get(std::string key, Reader reader) {
  Call request{.what = "reading " + key, .key = key};
  request.reader = std::move(reader);
  CO_TRY(co_await call(std::move(request)));
  co_return Result<void>();
}

Task<Result<void>> S3Client::put(std::string key, net::FileBody file, std::string sha256) {
  if (file.size > static_cast<uint64_t>(options_.part_bytes)) {
    co_return co_await put_parts(std::move(key), std::move(file));
  }
  Call request{.what = "storing " + key, .method = "PUT", .key = key};
  request.file = std::move(file);
  request.payload_sha256 = std::move(sha256);
  CO_TRY(co_await call(std::move(request)));
  co_return Result<void>();
}

Task<Result<std::string>> S3Client::send_part(Upload& upload, int number) {
  net::FileBody part = upload.file;
  const uint64_t begin = upload.part_bytes * static_cast<uint64_t>(number);
  part.offset += begin;
  part.size = std::min(upload.part_bytes, upload.file.size - begin);
  std::function<Result<std::string>()> hash = [&part] { return hash_part(part); };
  CO_TRY_ASSIGN(std::string digest, co_await loop_.blocking(std::move(hash)));
  Call request{.what = "storing part " + std::to_string(number + 1) + " of " + upload.key,
               .method = "PUT",
               .key = upload.key};
  request.query = {{"partNumber", std::to_string(number + 1)}, {"uploadId", upload.id}};
  request.file = std::move(part);
  request.payload_sha256 = std::move(digest);
  CO_TRY_ASSIGN(const net::ClientResponse answer, co_await call(std::move(request)));
  const auto etag = answer.headers.find("ETag");
  if (!etag) co_return fail(Code::internal, "storing a part: the bucket gave no ETag");
  co_return std::string(*etag);
}

Task<void> S3Client::send_parts(std::shared_ptr<Upload> upload) {
  while (!upload->failure && upload->next < static_cast<int>(upload->etags.size())) {
    const int number = upload->next++;
    auto etag = co_await upload->client->send_part(*upload, number);
    if (etag) {
      upload->etags[static_cast<size_t>(number)] = std::move(*etag);
    } else if (!upload->failure) {
      upload->failure = std::move(etag).error();
    }
  }
  --upload->senders;
  upload->ended.notify_all();
}

Task<Result<void>> S3Client::put_parts(std::string key, net::FileBody file) {
  Call begin{.what = "beginning to store " + key, .method = "POST", .key = key};
  begin.query = {{"uploads", ""}};
  CO_TRY_ASSIGN(const net::ClientResponse begun, co_await call(std::move(begin)));
  auto upload = std::make_shared<Upload>(loop_);
  upload->client = this;
  upload->id = xml_text(begun.body, "UploadId");
  if (upload->id.empty()) co_return fail(Code::internal, "the bucket gave no upload id");
  upload->key = key;
  const auto least = (static_cast<int64_t>(file.size) + kPartsMax - 1) / kPartsMax;
  upload->part_bytes = static_cast<uint64_t>(std::max(options_.part_bytes, least));
  upload->etags.resize((file.size + upload->part_bytes - 1) / upload->part_bytes);
  upload->file = std::move(file);
  for (int i = 0; i < options_.parts_at_once; ++i) {
    ++upload->senders;
    loop_.spawn(send_parts(upload), "S3 part");
  }
  while (upload->senders > 0) co_await upload->ended.wait(kUploadPoll);
  if (upload->failure) {
    Call abort{.what = "giving up " + key, .method = "DELETE", .key = key};
    abort.query = {{"uploadId", upload->id}};
    const auto ignored = co_await call(std::move(abort));
    co_return fail(*upload->failure);
  }
  Call complete{.what = "completing " + key, .method = "POST", .key = key};
  complete.query = {{"uploadId", upload->id}};
  complete.body = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < upload->etags.size(); ++i) {
    complete.body += "<Part><PartNumber>" + std::to_string(i + 1) + "</PartNumber><ETag>" +
                     upload->etags[i] + "</ETag></Part>";
  }
  complete.body += "</CompleteMultipartUpload>";
  CO_TRY_ASSIGN(const net::ClientResponse completed, co_await call(std::move(complete)));
  // S3 may say 200 before it knows.
  if (completed.body.find("<Error>") != std::string::npos) {
    co_return fail(Code::unavailable, "completing " + key + ": the bucket answered " +
                                          xml_text(completed.body, "Code"));
  }
  co_return Result<void>();
}

Task<Result<void>> S3Client::remove(std::string key) {
  Call request{.what = "removing " + key, .method = "DELETE", .key = key};
  const auto answer = co_await call(std::move(request));
  if (!answer && answer.error().code != Code::not_found) co_return fail(answer.error());
  co_return Result<void>();
}

Task<Result<void>> S3Client::copy(std::string from, std::string to) {
  Call request{.what = "copying " + from, .method = "PUT", .key = to};
  const std::string bucket_path =
      options_.location.path_root.empty()
          ? "/" + options_.location.host.substr(0, options_.location.host.find(".s3."))
          : options_.location.path_root;
  request.signed_headers = {
      {"x-amz-copy-source", bucket_path + "/" + options_.location.prefix + from}};
  CO_TRY(co_await call(std::move(request)));
  co_return Result<void>();
}

Task<Result<std::vector<S3Object>>> S3Client::list(std::string folder, std::string after,
                                                   int limit) {
  const std::string& prefix = options_.location.prefix;
  Call request{.what = "listing " + folder, .key = ""};
  request.query = {{"list-type", "2"},
                   {"prefix", prefix + folder},
                   {"max-keys", std::to_string(std::min(limit, 1000))}};
  if (!after.empty()) request.query.emplace_back("start-after", prefix + after);
  CO_TRY_ASSIGN(const net::ClientResponse answer, co_await call(std::move(request)));
  std::vector<S3Object> objects;
  for (const std::string_view entry : xml_elements(answer.body, "Contents")) {
    std::string key = xml_text(entry, "Key");
    if (!key.starts_with(prefix)) continue;
    const auto modified = parse_rfc3339(xml_text(entry, "LastModified"));
    objects.push_back({key.substr(prefix.size()), parse_size(xml_text(entry, "Size")),
                       modified ? *modified : Time{}});
  }
  co_return objects;
}

Task<Result<int>> S3Client::abort_uploads(Time before) {
  const std::string& prefix = options_.location.prefix;
  Call request{.what = "listing unfinished uploads", .key = ""};
  request.query = {{"uploads", ""}, {"prefix", prefix}};
  CO_TRY_ASSIGN(const net::ClientResponse answer, co_await call(std::move(request)));
  int aborted = 0;
  for (const std::string_view entry : xml_elements(answer.body, "Upload")) {
    const std::string key = xml_text(entry, "Key");
    const auto begun = parse_rfc3339(xml_text(entry, "Initiated"));
    if (!key.starts_with(prefix) || !begun || *begun >= before) continue;
    Call abort{.what = "giving up " + key, .method = "DELETE", .key = key.substr(prefix.size())};
    abort.query = {{"uploadId", xml_text(entry, "UploadId")}};
    const auto gone = co_await call(std::move(abort));
    if (gone) ++aborted;
  }
  co_return aborted;
}

}  // namespace nimbus::blob
