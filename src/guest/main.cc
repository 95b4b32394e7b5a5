// nimbus-guest: PID 1 of every VM. Sets the machine up, runs the one job its gateway gives it,
// powers the machine off. A step that fails is said on the console, and the machine powers off,
// which the agent takes for a failed boot.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>

#include "guest/machine.h"
#include "guest/rehearsal.h"
#include "guest/session.h"

namespace {

using namespace nimbus;
using namespace nimbus::guest;

Result<void> set_up() {
  load_modules();
  TRY_IN("configuring the network", configure_network());
  TRY_IN("entering the image", enter_image());
  write_names();
  return {};
}

Result<Outcome> run_job() {
  const std::string cgroup = make_job_cgroup();
  MachineSurroundings machine(cgroup);
  // The usual user's folder is made now; another's costs a moment when the job comes.
  machine.make_workdir("/home/runner/work", machine.find_account("runner"));
  SessionOptions options;
  options.gateway = {kGatewayIp, 80};
  options.cgroup = cgroup;
  options.greeting = describe_machine();
  options.rehearse = [&machine, cgroup] {
    rehearse(cgroup, machine.find_account("runner"), "/home/runner/work");
  };
  say(options.greeting);
  return Session(std::move(options), machine).run();
}

}  // namespace

int main() {
  if (::getpid() != 1) {
    say("this is the init program of Nimbus's microVMs; it runs as PID 1 only");
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const auto mounted = mount_kernel_file_systems();
  // The kernel gives PID 1 no console when /dev was empty at boot.
  if (const int console = ::open("/dev/console", O_RDWR); console >= 0) {
    for (const int fd : {0, 1, 2}) ::dup2(console, fd);
    if (console > 2) ::close(console);
  }
  if (!mounted) say(mounted.error().message);
  const auto settings = read_command_line();
  const auto off = settings.find("nimbus.off");
  const bool by_reset = off != settings.end() && off->second == "reset";

  if (const auto ready = set_up(); !ready) {
    say("cannot start: " + ready.error().message);
    power_off(by_reset);
  }
  if (const auto outcome = run_job(); !outcome) {
    say(outcome.error().message);
  } else {
    say("job ended: " + std::string(model::to_string(outcome->result)) + " " + outcome->reason);
  }
  power_off(by_reset);
}
