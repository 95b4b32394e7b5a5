#include "guest/rehearsal.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "guest/http.h"
#include "guest/job.h"
#include "guest/launcher.h"
#include "guest/lines.h"

namespace nimbus::guest {
namespace {

constexpr int kSilenceMilliseconds = 5000;
constexpr std::string_view kJob =
    R"({"job":1,"fence":1,"command":["sh","-c","echo rehearsal"],"env":{"A":"b","C":"d"},)"
    R"("user":"runner","workdir":"/","timeout_s":60,"hostname":"a","time_ns":1,"entropy":"AAAAAAAA"})";

}  // namespace

void rehearse(const std::string& cgroup, const Account& account, const std::string& workdir) {
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
      std::to_string(kJob.size()) + "\r\n\r\n" + std::string(kJob);
  AnswerParser parser;
  if (const auto whole = parser.feed(answer); !whole || !*whole) return;
  const auto job = parse_job(parser.take().body);
  auto launcher = Launcher::prepare(cgroup);
  if (!job || !launcher) return;
  Launch launch;
  launch.command = job->command;
  launch.env = job->env;
  launch.account = account;
  launch.workdir = workdir;
  if (!launcher->start(launch) || launcher->await_start() != 0) return;
  LineSplitter splitter;
  Outbox outbox;
  std::array<char, 256> buffer{};
  pollfd output{launcher->output_fd(), POLLIN, 0};
  while (::poll(&output, 1, kSilenceMilliseconds) > 0) {
    const ssize_t count = ::read(output.fd, buffer.data(), buffer.size());
    if (count <= 0) break;
    splitter.feed({buffer.data(), static_cast<size_t>(count)},
                  [&](std::string_view text, bool partial) {
                    outbox.add(model::LogStream::out, text, 0, partial);
                  });
  }
  if (!outbox.empty()) (void)outbox.batch();
  (void)parse_acked(R"({"acked":1})");
  (void)::kill(-launcher->pid(), SIGKILL);
  (void)::waitpid(launcher->pid(), nullptr, 0);
}

}  // namespace nimbus::guest
