// What the tests of os and vm share: a folder of their own, and the question whether they are root.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

#include "os/atomic_file.h"

namespace nimbus::os {

// Removed with everything in it when the test ends.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/nimbus-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TemporaryDirectory() { (void)remove_tree(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// False, with a line that says why the test is skipped, when this is not root.
inline bool is_root(const char* reason) {
  if (::geteuid() == 0) return true;
  std::fprintf(stderr, "skipped: %s\n", reason);
  return false;
}

// Polls a condition of another process until it holds; false after the deadline.
template <typename Condition>
bool wait_until(Condition condition, std::chrono::seconds patience = std::chrono::seconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace nimbus::os
