#include "agent/execution.h"

#include <algorithm>
#include <boost/json.hpp>

#include "agent/guest_job.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

namespace nimbus::agent {
namespace {

namespace json = boost::json;

constexpr Duration kRenewWaitMax = std::chrono::seconds(10);
constexpr Duration kKillMargin = std::chrono::milliseconds(800);  // past a cancel's grace
constexpr Duration kForever = std::chrono::hours(1);
constexpr size_t kConsoleLinesMax = 40;
constexpr size_t kConsoleLineBytesMax = 400;
constexpr size_t kReasonBytesMax = 500;
constexpr size_t kEntropyBytes = 32;
constexpr int64_t kAgeMsMax = int64_t{30} * 24 * 3600 * 1000;

void sooner(Duration& until, const std::optional<Duration>& at) {
  if (at) until = std::min(until, *at);
}

// The event as it goes out now: how long ago it happened says more to a server whose clock is
// another than when.
std::string with_age(const std::string& event, Time now) {
  auto body = parse_json_object(event);
  const auto text = body ? read_text(*body, "at") : Result<std::string>("");
  const auto at = text ? parse_rfc3339(*text) : fail(Code::bad_request, "no time");
  if (!at) return event;
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - *at).count();
  (*body)["age_ms"] = std::clamp<int64_t>(age, 0, kAgeMsMax);
  return json::serialize(*body);
}

}  // namespace

Execution::Execution(ExecutionContext& context, Assignment assignment, int slot)
    : context_(context),
      assignment_(std::move(assignment)),
      slot_(slot),
      changed_(context.loop),
      assigned_at_(context.clock.steady()) {}

Execution::~Execution() = default;

Task<Result<void>> Execution::begin() {
  JournaledExecution row;
  row.key = key();
  row.slot = slot_;
  row.assignment = assignment_.json;
  row.lease_expires_at = assignment_.lease.expires_at;
  co_return co_await resume(std::move(row));
}

Task<Result<void>> Execution::resume(JournaledExecution row) {
  resumed_ = assignment_.lease.job_token.empty();  // the journal keeps no credential
  started_ = given_ = row.started;
  event_seq_ = row.event_seq;
  events_.assign(row.events.begin(), row.events.end());

  ForwarderOptions options;
  options.key = key();
  options.org = spec().org;
  options.spool_path = context_.options.directory + "/spool/" + std::to_string(key().job.value) +
                       "-" + std::to_string(key().fence.value) + ".spool";
  options.last_seq = row.log_seq;
  options.resumed = resumed_;
  options.retry_first = context_.options.retry_first;
  options.retry_max = context_.options.retry_max;
  options.on_progress = [journal = &context_.journal, clock = &context_.clock, key = key()](
                            int64_t seq) { journal->note_log_seq(key, seq, clock->now()); };
  options.on_stale = [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->become_stale("the server refuses its fence");
  };
  forwarder_ = std::make_shared<LogForwarder>(context_.loop, context_.control, context_.budget,
                                              context_.clock, context_.metrics, std::move(options));
  if (!resumed_) {
    CO_TRY(co_await context_.journal.begin(std::move(row)));
    take_lease(assignment_.lease);
  } else {
    CO_TRY(co_await forwarder_->resume());
    // Nobody knows how long it still lasts until the server has been asked.
    lease_until_ = context_.clock.steady();
    if (!row.ended) start_delivering();  // those of one that has ended wait for its last lines
  }
  keeping_lease_ = true;
  context_.loop.spawn(keep_lease(shared_from_this()), "keep lease");
  co_return Result<void>{};
}

// --- the lease -----------------------------------------------------------------------------------

void Execution::become_stale(std::string why) {
  if (stale_ || done_) return;
  stale_ = true;
  stale_reason_ = std::move(why);
  if (report_seq_ == 0) {  // afterwards it is only the echo of its report
    log_warn("execution is over for the server",
             {{"job", key().job.value}, {"fence", key().fence.value}, {"reason", stale_reason_}});
  }
  changed_.notify_all();
}

void Execution::take_lease(const Lease& lease) {
  lease_length_ = lease.left;
  lease_until_ = context_.clock.steady() + lease.left;
  job_token_ = lease.job_token;
  forwarder_->set_token(lease.job_token);
  if (!lease.cancel || cancelled_ || concluding_) return;
  cancelled_ = true;
  kill_at_ = context_.clock.steady() + context_.options.cancel_grace + kKillMargin;
  if (gateway_ != nullptr) gateway_->cancel(context_.options.cancel_grace);
  log_info("job is cancelled", {{"job", key().job.value}});
  changed_.notify_all();
}

Task<void> Execution::keep_lease(std::shared_ptr<Execution>) {
  Duration pause = context_.options.retry_first;
  while (!done_ && !stale_) {
    const Duration third = std::max<Duration>(lease_length_ / 3, std::chrono::milliseconds(100));
    const Duration wait = cancelled_ ? Duration(0) : std::min(kRenewWaitMax, third);
    const Duration asked_at = context_.clock.steady();
    const auto lease = co_await context_.control.renew(
        context_.credential, key(), lease_length_ > Duration(0) ? wait : Duration(0));
    if (done_ || stale_ || reported_) break;  // what a lease that has ended says is of no use
    if (lease) {
      take_lease(*lease);
      context_.journal.note_lease(key(), lease->expires_at, context_.clock.now());
      pause = context_.options.retry_first;
      // A server that does not hold the question back is not asked more often for that.
      const Duration next = asked_at + (cancelled_ ? third : wait);
      const Duration now = context_.clock.steady();
      if (now < next && !done_) (void)co_await changed_.wait(next - now);
      continue;
    }
    if (lease.error().code != Code::unavailable) {
      become_stale(lease.error().message);
      break;
    }
    if (context_.clock.steady() >= lease_until_ + context_.options.lease_grace) {
      become_stale("the lease ran out while the server was away");
      break;
    }
    (void)co_await changed_.wait(pause);
    pause = std::min(pause * 2, context_.options.retry_max);
  }
  keeping_lease_ = false;
  changed_.notify_all();
}

// --- the job in its VM ---------------------------------------------------------------------------

Task<void> Execution::note_booting() {
  if (const auto noted = co_await add_event("booting", nullptr); !noted) {
    log_error("event is not recorded", noted.error());
  }
}

GuestWork Execution::make_work(ImageRoot image) {
  GuestWork work;
  const auto self = shared_from_this();
  work.forwarder = forwarder_;
  work.job_token = [self] { return self->job_token_; };
  work.job_body = [self, env = std::move(image.env)] {
    const std::string entropy = self->context_.random.bytes(kEntropyBytes);
    return guest_job_body(
        {self->key(), self->spec(), env, self->job_token_, self->context_.clock.now()}, entropy);
  };
  work.on_given = [self] {
    self->given_ = true;
    self->changed_.notify_all();
  };
  work.on_started = [self]() -> Task<Result<void>> {
    if (self->started_) co_return Result<void>{};
    CO_TRY(co_await self->context_.journal.set_started(self->key()));
    CO_TRY(co_await self->add_event("started", nullptr));
    self->started_ = true;
    self->changed_.notify_all();  // its time runs from now on
    const Duration took = self->context_.clock.steady() - self->assigned_at_;
    self->context_.metrics
        .histogram("nimbus_job_start_seconds", "From an assignment to the job's first instruction.")
        .observe(std::chrono::duration<double>(took).count());
    co_return Result<void>{};
  };
  work.on_finished = [self](GuestReport report) {
    self->report_ = std::move(report);
    self->reported_at_ = self->context_.clock.now();
    self->changed_.notify_all();
  };
  return work;
}

Task<void> Execution::watch(std::shared_ptr<Execution>, std::shared_ptr<vm::Machine> machine) {
  exit_ = co_await machine->wait_exit();
  changed_.notify_all();
}

Task<Verdict> Execution::run(std::shared_ptr<vm::Machine> machine, Gateway& gateway,
                             ImageRoot image) {
  const auto self = shared_from_this();
  gateway_ = &gateway;
  gateway.give(make_work(std::move(image)));
  if (cancelled_) gateway.cancel(context_.options.cancel_grace);
  context_.loop.spawn(watch(self, machine), "watch machine");
  const Duration begun = context_.clock.steady();
  if (!started_) boot_deadline_ = begun + context_.options.boot_timeout;
  for (;;) {
    const Duration now = context_.clock.steady();
    if (started_ && !job_deadline_) {
      job_deadline_ = now + std::chrono::seconds(spec().timeout_s) + context_.options.timeout_grace;
    }
    if (auto verdict = find_verdict(now, gateway)) {
      gateway_ = nullptr;
      if (!verdict->ended_at) verdict->ended_at = context_.clock.now();
      co_return std::move(*verdict);
    }
    (void)co_await changed_.wait(next_deadline(now, gateway) - now);
  }
}

std::optional<Verdict> Execution::find_verdict(Duration now, Gateway& gateway) {
  using model::JobResult;
  const auto past = [&](const std::optional<Duration>& at) { return at && now >= *at; };
  const auto finished = [](JobResult result, std::string reason) {
    return Verdict{Verdict::Kind::finished, result, {}, std::move(reason), false};
  };
  if (stale_) return Verdict{Verdict::Kind::stale, {}, {}, stale_reason_, false};
  if (report_) return by_report();
  if (cancelled_ && (exit_ || !given_ || past(kill_at_))) {
    return finished(JobResult::cancelled, "cancelled");
  }
  // Whoever stops the agent may have ended its VMs in the same breath.
  if (stop_at_ && (!given_ || (exit_ && !started_))) return given_back("the agent is stopping");
  if (exit_) return died();
  if (past(boot_deadline_) && !started_ && (given_ || !gateway.parked())) {
    return Verdict{Verdict::Kind::abandoned, {}, {}, "the guest did not start in time", false};
  }
  if (past(job_deadline_)) {
    return finished(JobResult::timed_out,
                    "timed out after " + std::to_string(spec().timeout_s) + " s");
  }
  if (past(stop_at_)) {
    if (!started_) return given_back("the agent is stopping");
    return Verdict{Verdict::Kind::abandoned, {}, {}, "the agent was stopped", false};
  }
  return std::nullopt;
}

// The guest's clock runs while no agent listens to it: it says for how long its job has been over.
Verdict Execution::by_report() const {
  Verdict verdict{Verdict::Kind::finished, report_->result, report_->exit_code, report_->reason,
                  true};
  verdict.ended_at = reported_at_ - report_->age;
  return verdict;
}

Verdict Execution::given_back(std::string reason) {
  Verdict verdict{Verdict::Kind::abandoned, {}, {}, std::move(reason), false};
  verdict.keeps_try = true;
  return verdict;
}

Duration Execution::next_deadline(Duration now, const Gateway& gateway) const {
  Duration until = now + kForever;
  if (!started_ && (given_ || !gateway.parked())) sooner(until, boot_deadline_);
  sooner(until, job_deadline_);
  sooner(until, kill_at_);
  sooner(until, stop_at_);
  return std::max(until, now + std::chrono::milliseconds(1));
}

// A job can make its guest power off or panic; that its monitor is gone is the host's doing, and no
// reason to hold against the job.
Verdict Execution::died() const {
  std::string how = "the VM ended: " + std::string(vm::to_string(exit_->kind));
  if (!exit_->detail.empty()) how += " (" + exit_->detail + ")";
  const bool by_job =
      exit_->kind == vm::Exit::Kind::powered_off || exit_->kind == vm::Exit::Kind::crashed;
  const auto kind = started_ && by_job ? Verdict::Kind::finished : Verdict::Kind::abandoned;
  return Verdict{kind, model::JobResult::failed, {}, how, false};
}

void Execution::stop_by(Duration steady) {
  stop_at_ = steady;
  changed_.notify_all();
}

// --- the report ----------------------------------------------------------------------------------

Task<Result<void>> Execution::add_event(std::string_view type, const Verdict* verdict) {
  JournaledEvent event;
  event.seq = ++event_seq_;
  json::object body;
  body["fence"] = key().fence.value;
  body["seq"] = event.seq;
  body["type"] = type;
  const std::optional<Time> ended = verdict != nullptr ? verdict->ended_at : std::nullopt;
  body["at"] = to_rfc3339(ended.value_or(context_.clock.now()));
  if (verdict != nullptr) {
    if (verdict->kind == Verdict::Kind::finished) {
      body["result"] = model::to_string(verdict->result);
      if (verdict->exit_code) body["exit_code"] = *verdict->exit_code;
    }
    if (verdict->keeps_try) body["keeps_try"] = true;
    if (verdict->lacks_image) body["lacks_image"] = true;
    body["reason"] = to_utf8_lossy(verdict->reason.substr(0, kReasonBytesMax));
    body["log_last_seq"] = forwarder_->last_seq();
  }
  event.body = json::serialize(body);
  if (verdict != nullptr) report_seq_ = event.seq;
  CO_TRY(co_await context_.journal.add_event(key(), event, verdict != nullptr));
  events_.push_back(std::move(event));
  start_delivering();
  co_return Result<void>{};
}

void Execution::start_delivering() {
  if (delivering_ || events_.empty()) return;
  delivering_ = true;
  context_.loop.spawn(deliver_events(shared_from_this()), "deliver events");
}

Task<void> Execution::deliver_events(std::shared_ptr<Execution>) {
  Duration pause = context_.options.retry_first;
  while (!events_.empty() && !stale_) {
    const JournaledEvent event = events_.front();
    std::string body = with_age(event.body, context_.clock.now());
    const auto sent =
        co_await context_.control.send_event(context_.credential, key().job, std::move(body));
    if (!sent && sent.error().code == Code::unavailable) {
      (void)co_await changed_.wait(pause);
      pause = std::min(pause * 2, context_.options.retry_max);
      continue;
    }
    pause = context_.options.retry_first;
    if (sent && event.seq == report_seq_) reported_ = true;
    if (!sent && sent.error().code != Code::bad_request) {
      become_stale(sent.error().message);
      break;
    }
    if (!sent) log_error("server refuses an event", sent.error());
    events_.pop_front();
    if (auto noted = co_await context_.journal.event_accepted(key(), event.seq); !noted) {
      log_error("event will be sent again", noted.error());
    }
  }
  delivering_ = false;
  changed_.notify_all();
}

Task<void> Execution::say_last_words(const Verdict& verdict, std::string console) {
  std::vector<std::string> words;
  if (!verdict.by_guest && !console.empty()) {
    const std::string safe = to_utf8_lossy(console);
    std::vector<std::string_view> lines = split(trim(safe), '\n');
    const size_t skip = lines.size() - std::min(lines.size(), kConsoleLinesMax);
    words.push_back("console of the VM:");
    for (size_t i = skip; i < lines.size(); ++i) {
      words.push_back("  " + to_utf8_lossy(trim(lines[i]).substr(0, kConsoleLineBytesMax)));
    }
  }
  std::string last = verdict.kind == Verdict::Kind::abandoned
                         ? "execution abandoned"
                         : "job " + std::string(model::to_string(verdict.result));
  if (!verdict.reason.empty() && verdict.reason != model::to_string(verdict.result)) {
    last += ": " + verdict.reason;
  }
  words.push_back(std::move(last));
  for (std::string& line : words) {
    std::replace(line.begin(), line.end(), '\0', ' ');
    if (auto said = co_await forwarder_->add_system_line(std::move(line)); !said) {
      log_warn("a job's last words are not in its log",
               {{"job", key().job.value}, {"reason", said.error().message}});
      co_return;
    }
  }
}

Task<void> Execution::conclude(Verdict verdict, std::string console) {
  const auto self = shared_from_this();
  concluding_ = true;
  if (!verdict.ended_at) verdict.ended_at = context_.clock.now();
  if (verdict.kind != Verdict::Kind::stale) {
    co_await say_last_words(verdict, std::move(console));
    // The lease is kept meanwhile: spooled lines need its token.
    (void)co_await forwarder_->wait_drained(stale_ ? Duration(0) : context_.options.report_hold);
    const std::string type = verdict.kind == Verdict::Kind::abandoned ? "abandoned" : "finished";
    if (auto added = co_await add_event(type, &verdict); !added) {
      log_error("report is not recorded", added.error());
    }
  }
  log_info("execution ended",
           {{"job", key().job.value},
            {"fence", key().fence.value},
            {"result", verdict.kind == Verdict::Kind::finished ? model::to_string(verdict.result)
                       : verdict.kind == Verdict::Kind::stale  ? "stale"
                                                               : "abandoned"},
            {"reason", verdict.reason}});
  co_await close();
}

Task<void> Execution::conclude_again() {
  const auto self = shared_from_this();
  concluding_ = true;
  report_seq_ = event_seq_;
  (void)co_await forwarder_->wait_drained(context_.options.report_hold);
  start_delivering();
  co_await close();
}

// Waits for the report to be accepted or refused, then lets go of everything.
Task<void> Execution::close() {
  while (delivering_) (void)co_await changed_.wait(kForever);
  done_ = true;
  changed_.notify_all();
  co_await forwarder_->close(!stale_);
  if (auto ended = co_await context_.journal.end(key()); !ended) {
    log_error("execution stays in the journal", ended.error());
  }
  if (on_done) on_done();
}

}  // namespace nimbus::agent
