#include "agent/log_forwarder.h"

#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.h"
#include "base/log.h"

namespace nimbus::agent {
namespace {

constexpr Duration kNoteEvery = std::chrono::milliseconds(250);
constexpr char kLinesFrame = 'L';
constexpr char kOtlpFrame = 'O';
constexpr size_t kFrameHeaderBytes = 8;  // of the spool, counted in its budget

// 'L' and the NDJSON; 'O', one line of JSON about the request, and its body.
std::string lines_frame(std::string_view ndjson) { return kLinesFrame + std::string(ndjson); }

std::string otlp_frame(const OtlpExport& request) {
  boost::json::object head;
  head["target"] = request.target;
  head["type"] = request.content_type;
  head["encoding"] = request.content_encoding;
  return kOtlpFrame + boost::json::serialize(head) + "\n" + request.body;
}

Result<OtlpExport> parse_otlp_frame(std::string_view frame) {
  frame.remove_prefix(1);
  const size_t end = frame.find('\n');
  const auto head = TRY(parse_json_object(frame.substr(0, end)));
  OtlpExport request;
  request.target = TRY(read_text(head, "target"));
  request.content_type = TRY(read_text(head, "type"));
  request.content_encoding = TRY(read_text(head, "encoding"));
  request.body = frame.substr(std::min(end, frame.size() - 1) + 1);
  return request;
}

net::ClientRequest otlp_request(OtlpExport request) {
  net::ClientRequest out;
  out.method = "POST";
  out.headers.set("Content-Type", request.content_type);
  if (!request.content_encoding.empty()) {
    out.headers.set("Content-Encoding", request.content_encoding);
  }
  out.body = std::move(request.body);
  out.timeout = std::chrono::seconds(15);
  return out;
}

// Whether a later try may fare better. A token that has run out is renewed with the lease.
bool worth_retrying(Code code) {
  return code == Code::unavailable || code == Code::unauthenticated || code == Code::forbidden;
}

bool is_retried_status(int status) {
  return status == 401 || status == 403 || status == 408 || status == 429 || status >= 500;
}

}  // namespace

LogForwarder::LogForwarder(net::Loop& loop, ControlClient& control, SpoolBudget& budget,
                           const Clock& clock, Metrics& metrics, ForwarderOptions options)
    : loop_(loop),
      control_(control),
      budget_(budget),
      clock_(clock),
      options_(std::move(options)),
      lines_(metrics.counter("nimbus_agent_log_lines_total", "Lines taken from guests.")),
      refused_(metrics.counter("nimbus_agent_log_batches_refused_total",
                               "Batches that the server will never take.")),
      spooled_bytes_(metrics.gauge("nimbus_agent_spooled_bytes",
                                   "Logs and traces on this host's disk, waiting for the server.")),
      order_(loop),
      file_(loop),
      changed_(loop),
      last_seq_(options_.last_seq),
      any_start_(options_.resumed) {}

LogForwarder::~LogForwarder() = default;

void LogForwarder::set_token(Secret token) {
  token_ = std::move(token);
  changed_.notify_all();  // a delivery that was refused may go through now
}

Task<Result<void>> LogForwarder::resume() {
  if (::access(options_.spool_path.c_str(), F_OK) != 0) co_return Result<void>{};
  std::function<Result<std::unique_ptr<Spool>>()> open = [this] {
    return Spool::open(options_.spool_path);
  };
  CO_TRY_ASSIGN(spool_, co_await loop_.blocking(std::move(open)));
  budget_.take_anyway(options_.org, spool_->size_bytes());
  spooled_bytes_.set(static_cast<double>(budget_.used()));
  if (!spool_->empty()) start_draining();
  co_return Result<void>{};
}

Task<Result<int64_t>> LogForwarder::take_lines(std::string ndjson) {
  const auto self = shared_from_this();
  const auto turn = co_await order_.take();
  if (closed_) co_return fail(Code::conflict, "the execution is over");
  CO_TRY_ASSIGN(NewLines lines, read_new_lines(ndjson, last_seq_, any_start_));
  if (lines.count > 0) {
    std::string frame = lines_frame(lines.ndjson);
    CO_TRY(co_await deliver_or_spool(std::move(frame)));
  }
  any_start_ = false;
  last_seq_ = std::max(last_seq_, lines.last_seq);
  lines_.add(static_cast<double>(lines.count));
  progressed();
  co_return last_seq_;
}

Task<Result<void>> LogForwarder::add_system_line(std::string text) {
  model::LogLine line;
  line.ts_ns = to_us(clock_.now()) * 1000;
  line.stream = model::LogStream::system;
  line.text = std::move(text);
  const auto self = shared_from_this();
  const auto turn = co_await order_.take();
  line.seq = last_seq_ + 1;
  std::string frame = lines_frame(to_ndjson(line));
  CO_TRY(co_await deliver_or_spool(std::move(frame)));
  last_seq_ = line.seq;
  options_.on_progress(last_seq_);
  co_return Result<void>{};
}

Task<Result<net::ClientResponse>> LogForwarder::take_otlp(OtlpExport request) {
  const auto self = shared_from_this();
  if (closed_) co_return fail(Code::conflict, "the execution is over");
  std::string frame = otlp_frame(request);
  std::string target = request.target;
  if (drained()) {
    net::ClientRequest out = otlp_request(std::move(request));
    const auto answer = co_await control_.forward(std::move(out), std::move(target), token_);
    if (answer && !is_retried_status(answer->status)) co_return *answer;
    // 429 is the server's word to this guest; a spool would only hide it.
    if (answer && answer->status == 429) co_return *answer;
  }
  CO_TRY(co_await spool(std::move(frame)));
  co_return net::ClientResponse{200, {}, ""};
}

// The server first, unless older frames still wait; then the spool.
Task<Result<void>> LogForwarder::deliver_or_spool(std::string frame) {
  if (drained()) {
    auto delivered = co_await deliver(frame);
    if (delivered) co_return Result<void>{};
    if (!worth_retrying(delivered.error().code)) co_return delivered;
    log_debug("lines are spooled",
              {{"job", options_.key.job.value}, {"reason", delivered.error().message}});
  }
  co_return co_await spool(std::move(frame));
}

// conflict: the fence is stale. Frames the server will never take are counted, said, and done with.
Task<Result<void>> LogForwarder::deliver(const std::string& frame) {
  Result<void> outcome;
  if (frame.starts_with(kLinesFrame)) {
    std::string ndjson = frame.substr(1);
    auto acked = co_await control_.send_lines(options_.key.job, token_, std::move(ndjson));
    if (!acked) outcome = fail(std::move(acked).error());
  } else {
    CO_TRY_ASSIGN(OtlpExport request, parse_otlp_frame(frame));
    std::string target = request.target;
    net::ClientRequest out = otlp_request(std::move(request));
    auto answer = co_await control_.forward(std::move(out), std::move(target), token_);
    if (!answer) {
      outcome = fail(std::move(answer).error());
    } else if (is_retried_status(answer->status)) {
      outcome = fail(Code::unavailable, "HTTP status " + std::to_string(answer->status));
    }
  }
  if (outcome || worth_retrying(outcome.error().code)) co_return outcome;
  if (outcome.error().code == Code::conflict) {
    if (options_.on_stale) options_.on_stale();
    co_return outcome;
  }
  refused_.add();
  log_error("server refuses a batch for good", outcome.error());
  co_return Result<void>{};
}

Task<Result<void>> LogForwarder::spool(std::string frame) {
  const auto file = co_await file_.take();
  const uint64_t size = frame.size() + kFrameHeaderBytes;
  if (frame.size() > kSpoolFrameBytesMax || !budget_.take(options_.org, size)) {
    co_return fail(Code::unavailable, "the agent's spool is full", "try again later");
  }
  std::function<Result<void>()> append = [this, &frame]() -> Result<void> {
    if (spool_ == nullptr) spool_ = TRY(Spool::open(options_.spool_path));
    return spool_->append(frame);
  };
  auto appended = co_await loop_.blocking(std::move(append));
  if (!appended) {
    budget_.give_back(options_.org, size);
    co_return appended;
  }
  spooled_bytes_.set(static_cast<double>(budget_.used()));
  start_draining();
  co_return Result<void>{};
}

void LogForwarder::start_draining() {
  if (draining_ || closed_) return;
  draining_ = true;
  loop_.spawn(drain_spool(shared_from_this()), "drain spool");
}

// The argument keeps this object alive.
Task<void> LogForwarder::drain_spool(std::shared_ptr<LogForwarder>) {
  Duration pause = options_.retry_first;
  while (!closed_ && !spool_->empty()) {
    Result<std::string> frame;
    {
      const auto file = co_await file_.take();
      std::function<Result<std::string>()> read = [this] { return spool_->read(); };
      frame = co_await loop_.blocking(std::move(read));
    }
    Result<void> delivered;
    if (frame) delivered = co_await deliver(*frame);
    if (frame && !delivered && delivered.error().code != Code::conflict) {
      (void)co_await changed_.wait(pause);
      pause = std::min(pause * 2, options_.retry_max);
      continue;
    }
    pause = options_.retry_first;
    // Delivered; or never to be: an older execution's lines, or bytes that have gone bad.
    const auto file = co_await file_.take();
    const uint64_t before = spool_->size_bytes();
    const bool give_up = !frame || !delivered;
    if (!frame) log_error("spool is damaged", frame.error());
    std::function<Result<void>()> advance = [this, give_up]() -> Result<void> {
      if (!give_up) return spool_->pop();
      TRY(spool_->skip_all());
      return {};
    };
    const auto advanced = co_await loop_.blocking(std::move(advance));
    budget_.give_back(options_.org, before - spool_->size_bytes());
    spooled_bytes_.set(static_cast<double>(budget_.used()));
    if (!advanced) {
      log_error("spool cannot go on", advanced.error());
      break;
    }
  }
  draining_ = false;
  changed_.notify_all();
}

Task<bool> LogForwarder::wait_drained(Duration timeout) {
  const Duration until = clock_.steady() + timeout;
  while (!drained()) {
    const Duration now = clock_.steady();
    if (now >= until) co_return false;
    (void)co_await changed_.wait(until - now);
  }
  co_return true;
}

Task<void> LogForwarder::close(bool keep) {
  const auto self = shared_from_this();
  closed_ = true;
  changed_.notify_all();
  while (draining_) (void)co_await changed_.wait(std::chrono::seconds(1));
  if (spool_ == nullptr) co_return;
  const auto file = co_await file_.take();
  const uint64_t left = spool_->size_bytes();
  if (left > 0) {
    log_warn(
        keep ? "lines could not be delivered, their spool is kept" : "spooled lines are dropped",
        {{"job", options_.key.job.value}, {"bytes", left}, {"file", options_.spool_path}});
  }
  budget_.give_back(options_.org, left);
  spooled_bytes_.set(static_cast<double>(budget_.used()));
  if (left == 0 || !keep) spool_->remove();
  spool_.reset();
}

bool LogForwarder::ends_with(int64_t seq) {
  if (any_start_ && seq >= last_seq_) {
    last_seq_ = seq;
    any_start_ = false;
  }
  return seq == last_seq_;
}

void LogForwarder::progressed() {
  const Duration now = clock_.steady();
  if (now - noted_at_ < kNoteEvery) return;
  noted_at_ = now;
  options_.on_progress(last_seq_);
}

}  // namespace nimbus::agent
