// The session against a gateway of sockets and real processes, without a VM around it.
#include "guest/session.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/json.hpp>
#include <csignal>
#include <functional>
#include <mutex>
#include <thread>

#include "base/json.h"

using namespace nimbus;
using namespace nimbus::guest;

namespace {

struct Asked {
  std::string method, path, body;
};

// A gateway that answers what the test says, one thread a connection.
class Gateway {
 public:
  std::function<std::string(const Asked&)> answer;  // under the lock

  Gateway() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    REQUIRE_EQ(::listen(listener_, 16), 0);
    socklen_t size = sizeof address;
    (void)::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~Gateway() {
    (void)::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }
  Address address() const { return {"127.0.0.1", port_}; }

 private:
  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      threads_.emplace_back([this, fd] { serve(fd); });
    }
  }
  void serve(int fd) {
    std::string bytes;
    std::array<char, 65536> buffer{};
    for (;;) {
      const size_t head_end = bytes.find("\r\n\r\n");
      const size_t at = bytes.find("Content-Length: ");
      const size_t length = at < head_end ? std::stoul(bytes.substr(at + 16)) : 0;
      if (head_end != std::string::npos && bytes.size() >= head_end + 4 + length) {
        Asked asked;
        asked.method = bytes.substr(0, bytes.find(' '));
        const size_t path = asked.method.size() + 1;
        asked.path = bytes.substr(path, bytes.find(' ', path) - path);
        asked.body = bytes.substr(head_end + 4, length);
        bytes.erase(0, head_end + 4 + length);
        std::string reply;
        {
          const std::lock_guard lock(mutex_);
          reply = answer(asked);
        }
        if (reply.empty()) break;  // breaks off
        (void)::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL);
        continue;
      }
      const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (count <= 0) break;
      bytes.append(buffer.data(), static_cast<size_t>(count));
    }
    ::close(fd);
  }

  int listener_ = -1;
  uint16_t port_ = 0;
  std::mutex mutex_;
  std::thread acceptor_;
  std::vector<std::thread> threads_;
};

std::string ok(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

struct Here final : Surroundings {
  void set_clock(const GuestJob&) override {}
  void set_name(const std::string&) override {}
  Account find_account(const std::string& user) override {
    return guest::find_account("", "", user);
  }
  void make_workdir(const std::string&, const Account&) override {}
  void kill_everything(pid_t job) override { (void)::kill(-job, SIGKILL); }
  bool out_of_memory() override { return false; }
  bool disk_full() override { return full; }
  bool full = false;
};

// One job from parked to reported, with the log as the gateway got it.
struct Run {
  std::vector<std::string> command;
  int timeout_s = 30;
  int refuse_every = 0;  // every n-th lines request is refused or breaks off
  std::string signal;    // answered to the first question for signals
  std::vector<boost::json::object> lines;
  boost::json::object finished;
  bool started_before_finished = false;
  Here here;

  void go() {
    Gateway gateway;
    gateway.answer = [this](const Asked& asked) { return reply(asked); };
    SessionOptions options;
    options.gateway = gateway.address();
    options.greeting = "hello from the test";
    options.drop_privileges = false;
    options.timeout_grace = std::chrono::seconds(0);
    options.partial_after = std::chrono::milliseconds(20);
    options.leftover_grace = std::chrono::milliseconds(50);
    Session session(std::move(options), here);
    const auto outcome = session.run();
    REQUIRE(outcome);
  }

  std::string text(const std::string& stream) const {
    std::string all;
    for (const auto& line : lines) {
      if (line.at("stream").as_string() == stream)
        all += std::string(line.at("text").as_string()) + "\n";
    }
    return all;
  }

 private:
  int lines_requests_ = 0;
  int64_t last_seq_ = 0;
  bool signalled_ = false;
  bool started_ = false;

  std::string reply(const Asked& asked) {
    if (asked.path.starts_with("/guest/v1/job")) {
      boost::json::object job{{"job", 1}, {"fence", 1}, {"timeout_s", timeout_s}, {"workdir", "/"}};
      job["command"] = boost::json::value_from(command);
      job["env"] = boost::json::object{{"GREETING", "hi"}};
      return ok(boost::json::serialize(job));
    }
    if (asked.path == "/guest/v1/started") {
      started_ = true;
      return ok("{}");
    }
    if (asked.path.starts_with("/guest/v1/signals")) {
      if (signal.empty() || signalled_) return "HTTP/1.1 204 No Content\r\n\r\n";
      signalled_ = true;
      return ok(signal);
    }
    if (asked.path == "/guest/v1/finished") {
      finished = parse_json_object(asked.body).value();
      started_before_finished = started_;
      return ok("{}");
    }
    return take_lines(asked.body);
  }

  std::string take_lines(std::string_view body) {
    const bool refuse = refuse_every > 0 && ++lines_requests_ % refuse_every == 0;
    if (refuse && lines_requests_ % 2 == 0) return "";
    while (!body.empty()) {
      const size_t end = body.find('\n');
      auto line = parse_json_object(body.substr(0, end)).value();
      body.remove_prefix(end + 1);
      const int64_t seq = line.at("seq").as_int64();
      if (seq <= last_seq_) continue;
      CHECK_EQ(seq, last_seq_ + 1);
      last_seq_ = seq;
      lines.push_back(std::move(line));
    }
    // Taken, but the guest does not learn of it.
    if (refuse) return "HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n";
    return ok("{\"acked\":" + std::to_string(last_seq_) + "}");
  }
};

}  // namespace

TEST_CASE("a job's lines, exit code and greeting arrive in order") {
  Run run;
  run.command = {"sh", "-c", "echo $GREETING; echo oops >&2; exit 7"};
  run.go();
  CHECK_EQ(run.lines.at(0).at("text").as_string(), "hello from the test");
  CHECK_EQ(run.lines.at(0).at("stream").as_string(), "system");
  CHECK_EQ(run.text("stdout"), "hi\n");
  CHECK_EQ(run.text("stderr"), "oops\n");
  CHECK_EQ(run.finished.at("result").as_string(), "failed");
  CHECK_EQ(run.finished.at("exit_code").as_int64(), 7);
  CHECK_EQ(run.finished.at("last_seq").as_int64(), 3);
  CHECK(run.started_before_finished);
}

TEST_CASE("no line is lost or doubled when the gateway refuses and breaks off") {
  Run run;
  run.refuse_every = 3;
  run.command = {"sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"};
  run.go();
  REQUIRE_EQ(run.lines.size(), 20'001);
  CHECK_EQ(run.lines.back().at("text").as_string(), "line 19999");
  CHECK_EQ(run.finished.at("result").as_string(), "succeeded");
}

TEST_CASE("a program that is not there is said in the log and ends with 127") {
  Run run;
  run.command = {"no-such-program-here"};
  run.go();
  CHECK_EQ(run.finished.at("exit_code").as_int64(), 127);
  CHECK_NE(run.text("system").find("cannot run 'no-such-program-here': No such file"),
           std::string::npos);
}

TEST_CASE("a job that ignores its deadline is killed and timed out") {
  Run run;
  run.timeout_s = 1;
  run.command = {"sh", "-c", "trap '' TERM; echo on; while :; do sleep 1; done"};
  run.go();
  CHECK_EQ(run.finished.at("result").as_string(), "timed_out");
  CHECK_EQ(run.finished.at("reason").as_string(), "timed out after 1 s");
  CHECK_EQ(run.text("stdout"), "on\n");
}

TEST_CASE("a cancelled job may say goodbye and is cancelled") {
  Run run;
  run.signal = R"({"signal":"cancel","grace_s":20})";
  run.command = {"sh", "-c", "trap 'echo bye; exit 0' TERM; while :; do sleep 0.01; done"};
  run.go();
  CHECK_EQ(run.finished.at("result").as_string(), "cancelled");
}

TEST_CASE("a background process that keeps the output open does not keep the job") {
  Run run;
  run.command = {"sh", "-c", "sleep 600 & echo done"};
  run.go();
  CHECK_EQ(run.text("stdout"), "done\n");
  CHECK_EQ(run.finished.at("result").as_string(), "succeeded");
}

TEST_CASE("a failed job on a full disk says so") {
  Run run;
  run.here.full = true;
  run.command = {"false"};
  run.go();
  CHECK_EQ(run.finished.at("reason").as_string(), "disk full");
}
