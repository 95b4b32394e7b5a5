// One execution of one job on this host, from its assignment to its accepted report. It keeps the
// lease, watches the VM, decides how the job has ended when its guest cannot say so, writes the
// last words into the log, and reports with its fence until the server has accepted or refused it.
//
// Independent of each other: renewals go on whatever the VM does, and the VM goes on while the
// server is away, up to the lease's end and a grace.
//
// Threads: the loop's; keep it by shared_ptr, its Tasks hold themselves alive.
// Not here: where the VM comes from (agent.h), the guest's protocol (gateway.h).
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/control_client.h"
#include "agent/gateway.h"
#include "agent/journal.h"
#include "agent/log_forwarder.h"
#include "agent/options.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/random.h"
#include "net/loop.h"
#include "vm/machine.h"

namespace nimbus::agent {

// What every execution of an agent shares.
struct ExecutionContext {
  net::Loop& loop;
  ControlClient& control;
  Journal& journal;
  SpoolBudget& budget;
  const Clock& clock;
  Random& random;
  Metrics& metrics;
  const AgentOptions& options;
  Credential credential;
};

// How an execution ended.
struct Verdict {
  enum class Kind {
    finished,   // with a result
    abandoned,  // not by its own doing: control gives it another try while it has one
    stale,      // it is somebody else's now; nothing is reported
  };
  Kind kind = Kind::finished;
  model::JobResult result = model::JobResult::failed;
  std::optional<int> exit_code;
  std::string reason;
  bool by_guest = false;     // the guest said so; otherwise its console is worth a look
  bool keeps_try = false;    // abandoned for a reason that is not the job's: it costs no try
  bool lacks_image = false;  // abandoned: this host has not got the image, another may have it
  std::optional<Time> ended_at = {};  // by this host's clock; when nobody says, the verdict's time
};

class Execution : public std::enable_shared_from_this<Execution> {
 public:
  Execution(ExecutionContext& context, Assignment assignment, int slot);
  ~Execution();

  ExecutionKey key() const { return assignment_.key; }
  const model::JobSpec& spec() const { return assignment_.spec; }
  const Secret& job_token() const { return job_token_; }  // the newest

  // A new one: written to the journal, then the lease is kept.
  Task<Result<void>> begin();
  // One from the journal: what it had spooled and not yet reported is taken up again.
  Task<Result<void>> resume(JournaledExecution journaled);

  // For a cold boot, before it.
  Task<void> note_booting();
  // Gives the job to the guest behind `gateway` and returns when it is over, one way or another.
  Task<Verdict> run(std::shared_ptr<vm::Machine> machine, Gateway& gateway, ImageRoot image);
  // Last words, report, end of the lease. `console` is shown when the guest could not speak.
  Task<void> conclude(Verdict verdict, std::string console);
  // For one whose report was already written before a restart.
  Task<void> conclude_again();

  bool stale() const { return stale_; }
  bool cancelled() const { return cancelled_; }
  bool started() const { return started_; }
  // A job of which nothing has run goes back into the queue and loses no try.
  static Verdict given_back(std::string reason);
  // The agent is stopping: a job whose guest has not taken it is given back now, one that runs has
  // until then to end by itself, and is abandoned.
  void stop_by(Duration steady);
  // Called once, when nothing is left to do.
  std::function<void()> on_done;

 private:
  void become_stale(std::string why);
  void take_lease(const Lease& lease);
  Task<void> keep_lease(std::shared_ptr<Execution> self);
  Task<void> watch(std::shared_ptr<Execution> self, std::shared_ptr<vm::Machine> machine);
  Verdict by_report() const;
  std::optional<Verdict> find_verdict(Duration now, Gateway& gateway);
  Duration next_deadline(Duration now, const Gateway& gateway) const;
  Verdict died() const;
  GuestWork make_work(ImageRoot image);

  Task<Result<void>> add_event(std::string_view type, const Verdict* verdict);
  void start_delivering();
  Task<void> deliver_events(std::shared_ptr<Execution> self);
  Task<void> say_last_words(const Verdict& verdict, std::string console);
  Task<void> close();

  ExecutionContext& context_;
  Assignment assignment_;
  int slot_;
  std::shared_ptr<LogForwarder> forwarder_;
  net::Notifier changed_;
  Gateway* gateway_ = nullptr;  // while `run` runs

  Secret job_token_;
  Duration assigned_at_;
  Duration lease_until_{0};
  Duration lease_length_{0};
  bool keeping_lease_ = false;

  bool given_ = false;
  bool started_ = false;
  bool resumed_ = false;
  bool cancelled_ = false;
  bool stale_ = false;
  bool concluding_ = false;  // its verdict stands
  bool reported_ = false;    // and the server has it
  bool done_ = false;
  std::string stale_reason_;
  std::optional<GuestReport> report_;
  Time reported_at_;
  std::optional<vm::Exit> exit_;
  std::optional<Duration> boot_deadline_;
  std::optional<Duration> job_deadline_;
  std::optional<Duration> kill_at_;  // of a cancelled job whose guest does not end it
  std::optional<Duration> stop_at_;

  std::deque<JournaledEvent> events_;
  int64_t event_seq_ = 0;
  int64_t report_seq_ = 0;  // of the event that ends it, once there is one
  bool delivering_ = false;
};

}  // namespace nimbus::agent
