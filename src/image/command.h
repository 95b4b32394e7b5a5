// Runs one of the programs that images are made with (sqfstar, mmdebstrap, npm) to its end.
// Threads: any; each call blocks until the program has ended.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace nimbus::image {

struct Command {
  std::vector<std::string> argv;                              // argv[0] is looked up in PATH
  std::string directory = {};                                 // where it runs; "" is here
  bool inherit_env = true;                                    // or it starts with none
  std::vector<std::pair<std::string, std::string>> env = {};  // added to that
  std::function<void(std::string_view line)> on_line = {};    // each line it prints, both streams
};

// The standard input of a running program.
class Feed {
 public:
  explicit Feed(int socket) : socket_(socket) {}
  Result<void> write(std::string_view bytes);
  bool reader_gone() const { return reader_gone_; }

 private:
  int socket_;
  bool reader_gone_ = false;
};

// internal, with the program's last words, when it could not be run or failed.
Result<void> run(const Command& command);

// The same while `feed` writes its standard input, from a thread of its own. An error of `feed` is
// returned, unless it is only that the program ended before it had read everything.
Result<void> run_fed(const Command& command, const std::function<Result<void>(Feed&)>& feed);

}  // namespace nimbus::image
