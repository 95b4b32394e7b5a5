#include "agent/agent.h"

#include <sys/utsname.h>

#include <algorithm>
#include <boost/json.hpp>

#include "agent/agent_state.h"
#include "base/json.h"
#include "base/log.h"
#include "os/atomic_file.h"
#include "os/cgroup.h"
#include "os/process.h"

namespace nimbus::agent {
namespace {

constexpr Duration kForever = std::chrono::hours(1);
constexpr Duration kIdlePoll = std::chrono::seconds(10);  // says that we are here while all is busy
// Long before this many new jobs have come, the server has heard of the oldest.
constexpr size_t kTakenJobsMax = 4096;
constexpr size_t kResolvConfBytesMax = size_t{64} * 1024;
constexpr size_t kCredentialBytesMax = size_t{64} * 1024;
constexpr const char* kCredentialFile = "/credential";  // in the agent's directory
constexpr std::string_view kHowToEnroll =
    "make a token with `nimbus agent enroll`, set agent.enrollment_token to it and start the agent "
    "again; `nimbus up` enrols its own agent when it is started again";

std::string host_name() {
  utsname host{};
  (void)::uname(&host);
  return host.nodename;
}

// The one that was asked for, or the host's.
std::optional<DnsResolver> resolver_of(const AgentOptions& options) {
  if (!options.resolver.empty()) return DnsResolver{options.resolver, 53};
  const auto text = os::read_file("/etc/resolv.conf", kResolvConfBytesMax);
  const auto found = text ? find_resolver(*text) : std::nullopt;
  if (!found) log_warn("no nameserver in /etc/resolv.conf: guests cannot look up names");
  return found;
}

Result<Credential> read_credential(const std::string& path) {
  const auto object = TRY(parse_json_object(TRY(os::read_file(path, kCredentialBytesMax))));
  Credential credential;
  credential.id.value = TRY(read_text(object, "id"));
  credential.secret = Secret(TRY(read_text(object, "credential")));
  return credential;
}

Result<void> write_credential(const std::string& path, const Credential& credential) {
  boost::json::object object;
  object["id"] = credential.id.value;
  object["credential"] = credential.secret.reveal();
  return os::write_file_atomically(path, boost::json::serialize(object) + "\n", 0600);
}

}  // namespace

Agent::Agent(std::shared_ptr<State> state) : state_(std::move(state)) {}
Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::open(AgentParts parts, AgentOptions options,
                                           ImageLookup images) {
  TRY(os::make_directories(options.directory + "/spool"));
  auto lock = TRY_IN("starting the agent", os::LockFile::acquire(options.directory + "/lock"));
  auto journal = TRY(Journal::open(options.directory + "/journal.db", parts.clock.now()));
  if (options.name.empty()) options.name = host_name();
  options.warm = std::min(options.warm, options.slots);
  auto resolver = resolver_of(options);
  return std::unique_ptr<Agent>(
      new Agent(std::make_shared<State>(parts, std::move(options), std::move(images),
                                        std::move(lock), std::move(journal), std::move(resolver))));
}

Task<Result<void>> Agent::run() {
  const auto state = state_;
  co_return co_await state->run();
}

void Agent::stop(Duration patience) {
  state_->slot_context.stopping = true;
  state_->slot_context.stop_at = state_->parts.clock.steady() + patience;
  for (const auto& execution : state_->executions) {
    execution->stop_by(state_->slot_context.stop_at);
  }
  for (const auto& slot : state_->slots) slot->wake();
  state_->changed.notify_all();
}

AgentStatus Agent::status() const { return state_->status; }

// --- start ---------------------------------------------------------------------------------------

Task<Result<void>> Agent::State::run() {
  const auto self = shared_from_this();
  slot_context.wants_warm = [this] { return wants_warm(); };
  slot_context.on_change = [this] { slots_changed(); };
  slot_context.on_execution = [this](std::shared_ptr<Execution> e) { hold(std::move(e)); };
  status.detail = "starting";
  CO_TRY(co_await find_facts());
  CO_TRY(co_await find_credential());
  CO_TRY(co_await recover());
  log_info("agent ready", {{"agent", execution_context.credential.id.value},
                           {"server", options.server},
                           {"slots", options.slots},
                           {"warm", options.warm},
                           {"vmm", facts.vmm},
                           {"accel", facts.accel},
                           {"cgroup", facts.cgroup}});
  for (const auto& slot : slots) {
    const bool once = slot->index() >= options.slots;
    parts.loop.spawn(run_slot(self, slot.get(), once), "slot");
  }
  parts.loop.spawn(poll(self), "ask for jobs");
  while (!slot_context.stopping && !refused) (void)co_await changed.wait(kForever);
  // A refused agent has no leases: its executions find out by themselves.
  slot_context.stopping = true;
  for (const auto& slot : slots) slot->wake();
  const auto is_live = [](const Slot& slot) { return slot.state() != Slot::State::gone; };
  while (count(is_live) > 0) (void)co_await changed.wait(kForever);
  // Reports that the server does not take now are in the journal and taken up at the next start.
  const Duration until = parts.clock.steady() + options.retry_max;
  while (!executions.empty() && parts.clock.steady() < until) {
    (void)co_await changed.wait(until - parts.clock.steady());
  }
  std::function<Result<void>()> close = [this] { return parts.places.close(); };
  if (auto closed = co_await parts.loop.blocking(std::move(close)); !closed) {
    log_warn("the host is not quite as it was", {{"reason", closed.error().message}});
  }
  status.connected = false;
  status.detail = "stopped";
  if (refused) co_return fail(*refused);
  co_return Result<void>{};
}

Task<Result<void>> Agent::State::find_facts() {
  auto capabilities = co_await parts.driver.preflight(options.kernel);
  if (!capabilities) {
    co_return fail(std::move(capabilities.error()).in("looking for a way to run microVMs"));
  }
  facts.name = options.name;
  facts.slots = options.slots;
  facts.version = options.version;
  facts.vmm = capabilities->vmm;
  facts.accel = capabilities->accel;
  facts.boot_id = os::read_boot_id();
  facts.cgroup = os::to_string(os::Cgroup::find_support().kind);
  co_return Result<void>{};
}

Task<Result<void>> Agent::State::find_credential() {
  auto known = read_credential(options.directory + kCredentialFile);
  if (known) {
    execution_context.credential = std::move(*known);
    co_return Result<void>{};
  }
  co_return co_await enroll();
}

Task<Result<Secret>> Agent::State::find_enrollment_token() {
  if (!options.enrollment_token.empty() || !options.issue_enrollment_token) {
    co_return options.enrollment_token;
  }
  co_return co_await parts.loop.blocking(options.issue_enrollment_token);
}

// Spends an enrolment token for a credential that takes the place of any older one.
Task<Result<void>> Agent::State::enroll() {
  CO_TRY_ASSIGN(options.enrollment_token, co_await find_enrollment_token());
  if (options.enrollment_token.empty()) {
    co_return fail(Code::unauthenticated, "this agent is not enrolled with " + options.server,
                   std::string(kHowToEnroll));
  }
  Duration pause = options.retry_first;
  for (;;) {
    auto enrolled = co_await control.enroll(options.enrollment_token, facts);
    if (enrolled) {
      options.enrollment_token = Secret();
      CO_TRY(write_credential(options.directory + kCredentialFile, *enrolled));
      execution_context.credential = std::move(*enrolled);
      accepted = false;
      enrolled_here = true;
      co_return Result<void>{};
    }
    if (enrolled.error().code != Code::unavailable || slot_context.stopping) {
      co_return fail(std::move(enrolled.error()).in("enrolling with " + options.server));
    }
    status.detail = enrolled.error().message;
    (void)co_await changed.wait(pause);
    pause = std::min(pause * 2, options.retry_max);
  }
}

// After the server refused the credential; false, and `refused` says why, when that stands. What
// ran under the old credential has lost its lease and finds out by itself.
Task<bool> Agent::State::enroll_anew(Error refusal) {
  std::string attempt;
  // Who was revoked while it ran stays revoked; starting it is the operator's word again. And a
  // credential that never worked is not worth another.
  const bool revoked = refusal.code == Code::forbidden && accepted;
  const bool has_token = !options.enrollment_token.empty() || options.issue_enrollment_token;
  const bool is_new = !accepted && enrolled_here;
  if (has_token && !revoked && !is_new) {
    log_warn("the server refuses this agent's credential; enrolling anew",
             {{"agent", execution_context.credential.id.value}, {"reason", refusal.message}});
    const auto enrolled = co_await enroll();
    if (enrolled) {
      log_info("enrolled anew", {{"agent", execution_context.credential.id.value}});
      co_return true;
    }
    attempt = "; " + enrolled.error().message;
  }
  refused = std::move(refusal).in("asking " + options.server + " for jobs");
  refused->message += attempt;
  refused->hint = kHowToEnroll;
  changed.notify_all();
  co_return false;
}

// --- work ----------------------------------------------------------------------------------------

Task<void> Agent::State::run_slot(std::shared_ptr<State>, Slot* slot, bool once) {
  co_await slot->run(once);
}

// The question that is open when the agent stops is not waited for: see `give_back`.
Task<void> Agent::State::poll(std::shared_ptr<State>) {
  const auto is_free = [](const Slot& slot) { return slot.free(); };
  Duration pause = options.retry_first;
  while (!slot_context.stopping) {
    PollRequest request;
    request.slots_free = count(is_free);
    // With nothing free there is nothing to wait for, but the server should know that we are here.
    request.wait = request.slots_free > 0 ? options.poll_wait : Duration(0);
    for (const auto& execution : executions) request.running.push_back(execution->key());
    for (const auto& slot : slots) {
      if (const auto pending = slot->pending()) request.running.push_back(*pending);
    }
    facts.warm = status.warm;
    auto answer = co_await control.poll(execution_context.credential, request, facts);
    if (answer) {
      status.connected = accepted = true;
      status.detail = "waiting for jobs";
      pause = options.retry_first;
      take(std::move(*answer));
      if (count(is_free) == 0 && !slot_context.stopping) (void)co_await changed.wait(kIdlePoll);
      continue;
    }
    status.connected = false;
    status.detail = answer.error().message;
    if (answer.error().code == Code::unauthenticated || answer.error().code == Code::forbidden ||
        answer.error().code == Code::not_found) {
      if (!co_await enroll_anew(std::move(answer.error()))) co_return;
      continue;
    }
    log_warn("server does not answer", {{"reason", answer.error().message}});
    (void)co_await changed.wait(pause);
    pause = std::min(pause * 2, options.retry_max);
  }
}

// For a job that was given to an agent that is already stopping: another one need not wait for the
// lease to run out.
Task<void> Agent::State::give_back(std::shared_ptr<State>, Assignment assignment) {
  std::string body =
      boost::json::serialize(boost::json::object{{"fence", assignment.key.fence.value},
                                                 {"seq", 1},
                                                 {"type", "abandoned"},
                                                 {"reason", "the agent is stopping"},
                                                 {"keeps_try", true},
                                                 {"log_last_seq", 0}});
  auto sent = co_await control.send_event(execution_context.credential, assignment.key.job,
                                          std::move(body));
  if (!sent) log_warn("job is not given back", {{"job", assignment.key.job.value}});
}

void Agent::State::take(std::vector<Assignment> assignments) {
  for (Assignment& assignment : assignments) {
    if (slot_context.stopping) {
      parts.loop.spawn(give_back(shared_from_this(), std::move(assignment)), "give back");
      continue;
    }
    const auto known = taken.find(assignment.key.job);
    if (known != taken.end() && known->second >= assignment.key.fence) continue;
    Slot* best = nullptr;
    int best_fit = -1;
    for (const auto& slot : slots) {
      const int fit = slot->fit(assignment.spec);
      if (fit > best_fit) {
        best_fit = fit;
        best = slot.get();
      }
    }
    if (best == nullptr) {
      // It stays leased to us until the lease runs out, and goes to another agent then.
      log_error("server gave more jobs than there are slots",
                Error{Code::internal, "job " + std::to_string(assignment.key.job.value)});
      continue;
    }
    log_info("job assigned", {{"job", assignment.key.job.value},
                              {"fence", assignment.key.fence.value},
                              {"slot", best->index()},
                              {"warm", best_fit == 3}});
    note_taken(assignment.key);
    best->assign(std::move(assignment));
  }
}

void Agent::State::note_taken(ExecutionKey key) {
  if (taken.size() >= kTakenJobsMax) taken.erase(taken.begin());  // job ids grow: it is the oldest
  taken[key.job] = std::max(taken[key.job], key.fence);
}

void Agent::State::hold(std::shared_ptr<Execution> execution) {
  execution->on_done = [this, weak = std::weak_ptr<Execution>(execution)] {
    if (const auto done = weak.lock()) executions.erase(done);
    changed.notify_all();
  };
  note_taken(execution->key());
  executions.insert(std::move(execution));
}

int Agent::State::count(bool (*is)(const Slot&)) const {
  return static_cast<int>(
      std::count_if(slots.begin(), slots.end(), [is](const auto& slot) { return is(*slot); }));
}

bool Agent::State::wants_warm() const {
  return !slot_context.stopping &&
         count([](const Slot& slot) { return slot.warming(); }) < options.warm;
}

void Agent::State::slots_changed() {
  status.slots = options.slots;
  status.slots_free = count([](const Slot& slot) { return slot.free(); });
  status.busy = count([](const Slot& slot) { return slot.state() == Slot::State::busy; });
  status.warm = count([](const Slot& slot) { return slot.warm(); });
  const auto gauge = [this](const char* state) -> Gauge& {
    return parts.metrics.gauge("nimbus_slots", "Slots of this host by state.", {{"state", state}});
  };
  gauge("idle").set(status.slots_free - status.warm);
  gauge("warm").set(status.warm);
  gauge("busy").set(status.busy);
  // One slot's change may be another's turn to keep a VM ready.
  for (const auto& slot : slots) slot->wake();
  changed.notify_all();
}

}  // namespace nimbus::agent
