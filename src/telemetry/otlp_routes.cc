#include "telemetry/otlp_routes.h"

#include <optional>

#include "api/json_text.h"
#include "base/hash.h"
#include "base/text.h"
#include "telemetry/gunzip.h"

namespace nimbus::telemetry {
namespace {

constexpr size_t kInlineBytes = size_t{16} * 1024;  // smaller bodies are decoded on the loop
constexpr int kDecodersMax = 2;
constexpr size_t kSeenMax = 1'024;

enum class Encoding { protobuf, json };

std::optional<Encoding> encoding_of(const net::Request& request) {
  const std::string_view given = request.headers.find("Content-Type").value_or("");
  const std::string_view type = trim(given.substr(0, given.find(';')));
  if (equal_ignoring_case(type, "application/x-protobuf")) return Encoding::protobuf;
  if (equal_ignoring_case(type, "application/json")) return Encoding::json;
  return std::nullopt;
}

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void append_bytes_field(std::string& out, char tag, std::string_view bytes) {
  out += tag;
  append_varint(out, bytes.size());
  out += bytes;
}

// google.rpc.Code
int rpc_code(int status) {
  switch (status) {
    case 400: return 3;
    case 401: return 16;
    case 403: return 7;
    case 409: return 10;
    case 413:
    case 429: return 8;
    case 503: return 14;
    default: return status < 500 ? 3 : 13;
  }
}

net::Response answer(Encoding encoding, int status, std::string body) {
  net::Response response;
  response.status = status;
  response.headers.add("Content-Type",
                       encoding == Encoding::json ? "application/json" : "application/x-protobuf");
  response.body = std::move(body);
  return response;
}

// google.rpc.Status: 1 code, 2 message.
net::Response refuse(Encoding encoding, int status, std::string_view message) {
  const int code = rpc_code(status);
  std::string body;
  if (encoding == Encoding::json) {
    body = api::JsonText().integer("code", code).text("message", message).finish();
  } else {
    body += '\x08';
    append_varint(body, static_cast<uint64_t>(code));
    append_bytes_field(body, '\x12', message);
  }
  net::Response response = answer(encoding, status, std::move(body));
  if (status == 503 || status == 429) response.headers.add("Retry-After", "1");
  if (status == 401) response.headers.add("WWW-Authenticate", "Bearer");
  return response;
}

std::string_view rejected_name(OtlpSignal signal) {
  switch (signal) {
    case OtlpSignal::traces: return "rejectedSpans";
    case OtlpSignal::logs: return "rejectedLogRecords";
    case OtlpSignal::metrics: return "rejectedDataPoints";
  }
  return {};
}

// Export…ServiceResponse: 1 partial_success {1 rejected, 2 error_message}.
net::Response accept(Encoding encoding, OtlpSignal signal, uint64_t rejected,
                     std::string_view reason) {
  if (encoding == Encoding::json) {
    if (rejected == 0) return answer(encoding, 200, "{}");
    api::JsonText partial;
    partial.text(rejected_name(signal), std::to_string(rejected)).text("errorMessage", reason);
    const std::string inner = partial.finish();
    return answer(encoding, 200, api::JsonText().raw("partialSuccess", inner).finish());
  }
  std::string body;
  if (rejected > 0) {
    std::string partial = "\x08";
    append_varint(partial, rejected);
    append_bytes_field(partial, '\x12', reason);
    append_bytes_field(body, '\x0a', partial);
  }
  return answer(encoding, 200, std::move(body));
}

Result<OtlpRequest> parse(OtlpSignal signal, Encoding encoding, bool compressed,
                          std::string& body) {
  if (compressed) body = TRY(gunzip(body, kOtlpBytesMax));
  return encoding == Encoding::json ? parse_otlp_json(signal, body)
                                    : parse_otlp_protobuf(signal, body);
}

}  // namespace

OtlpRoutes::OtlpRoutes(Parts parts) : parts_(parts), decoder_free_(parts.loop) {}

void OtlpRoutes::add_to(net::Router& router) {
  for (const OtlpSignal signal : {OtlpSignal::traces, OtlpSignal::logs, OtlpSignal::metrics}) {
    router.post("/v1/" + std::string(to_string(signal)),
                [this, signal](net::Request& request) { return take(signal, request); },
                {.body_bytes_max = kOtlpBytesMax});
  }
}

void OtlpRoutes::count(OtlpSignal signal, std::string_view result) {
  parts_.metrics
      .counter("nimbus_otlp_requests_total", "OTLP requests by what became of them.",
               {{"signal", std::string(to_string(signal))}, {"result", std::string(result)}})
      .add();
}

void OtlpRoutes::remember(std::string digest) {
  if (!seen_.insert(digest).second) return;
  seen_order_.push_back(std::move(digest));
  if (seen_order_.size() <= kSeenMax) return;
  seen_.erase(seen_order_.front());
  seen_order_.pop_front();
}

Task<Result<OtlpOwner>> OtlpRoutes::owner_of(net::Request& request) {
  CO_TRY_ASSIGN(const access::Caller caller, co_await parts_.authenticator.require_ingest(request));
  OtlpOwner owner;
  owner.org = caller.orgs.text();
  owner.repo = caller.repo;
  if (caller.job) {
    owner.org = caller.job->org;
    owner.repo = caller.job->repo;
    owner.job = caller.job->job;
    owner.fence = caller.job->fence;
    const auto live = parts_.book.find(owner.job);
    if (live && owner.fence < live->latest) {
      co_return fail(Code::conflict, "a later execution of the job has begun");
    }
  } else if (caller.orgs.is_all() || caller.orgs.is_nothing()) {
    co_return fail(Code::forbidden, "the token must be for one org");
  }
  co_return owner;
}

Task<Result<OtlpRoutes::Decoded>> OtlpRoutes::decode(OtlpSignal signal, net::Request& request,
                                                     OtlpOwner owner) {
  const std::string_view coding = trim(request.headers.find("Content-Encoding").value_or(""));
  const bool compressed = equal_ignoring_case(coding, "gzip");
  const Encoding encoding = *encoding_of(request);
  const int64_t now_ns = to_us(parts_.clock.now()) * 1000;
  std::function<Result<Decoded>()> work = [&]() -> Result<Decoded> {
    OtlpRequest parsed = TRY(parse(signal, encoding, compressed, request.body));
    Decoded decoded;
    decoded.batches = otlp_rows(parsed, owner, now_ns);
    decoded.rejected = parsed.rejected;
    decoded.reason = std::move(parsed.reason);
    return decoded;
  };
  if (request.body.size() <= kInlineBytes && !compressed) co_return work();
  while (decoding_ >= kDecodersMax) co_await decoder_free_.wait(std::chrono::seconds(5));
  ++decoding_;
  auto decoded = co_await parts_.loop.blocking<Result<Decoded>>(std::move(work));
  --decoding_;
  decoder_free_.notify_all();
  co_return decoded;
}

Task<Result<void>> OtlpRoutes::store(std::vector<RowBatch> batches) {
  for (RowBatch& batch : batches) {
    RowBatch one = std::move(batch);
    CO_TRY(co_await parts_.writer.write(std::move(one)));
  }
  co_return Result<void>{};
}

Task<net::Response> OtlpRoutes::take(OtlpSignal signal, net::Request& request) {
  const auto encoding = encoding_of(request);
  if (!encoding) {
    count(signal, "refused");
    co_return net::problem(415, "send application/x-protobuf or application/json");
  }
  const auto owner = co_await owner_of(request);
  if (!owner) {
    count(signal, "refused");
    co_return refuse(*encoding, http_status(owner.error().code), owner.error().message);
  }
  const std::string_view coding = trim(request.headers.find("Content-Encoding").value_or(""));
  if (!coding.empty() && !equal_ignoring_case(coding, "gzip") &&
      !equal_ignoring_case(coding, "identity")) {
    count(signal, "refused");
    co_return refuse(*encoding, 415, "Content-Encoding may be gzip or identity");
  }
  // Exporters send the same bytes again when an answer was lost.
  const std::string sender = std::to_string(owner->job.value) + "." +
                             std::to_string(owner->fence.value) + "." + owner->org + "/" +
                             owner->repo + "/" + std::string(to_string(signal)) + "\n";
  std::string digest = sha256(sender + sha256(request.body));
  if (is_repeated(digest)) {
    count(signal, "repeated");
    co_return accept(*encoding, signal, 0, {});
  }
  OtlpOwner owned = *owner;
  auto decoded = co_await decode(signal, request, std::move(owned));
  if (!decoded) {
    count(signal, "refused");
    co_return refuse(*encoding, http_status(decoded.error().code), decoded.error().message);
  }
  const auto stored = co_await store(std::move(decoded->batches));
  if (!stored) {
    count(signal, "unavailable");
    co_return refuse(*encoding, 503, stored.error().message);
  }
  if (decoded->rejected == 0) remember(std::move(digest));
  count(signal, decoded->rejected == 0 ? "accepted" : "partial");
  co_return accept(*encoding, signal, decoded->rejected, decoded->reason);
}

}  // namespace nimbus::telemetry
