// What the embedded engine's process gives up before it reads a byte of data. Each measure is taken
// where the kernel has it, and left out silently where it does not: they are a second wall behind
// statements that are fixed anyway.
//
// Threads: call while the process has one thread.
#pragma once

#include <string>

namespace nimbus::telemetry {

// SIGKILL when the parent dies. False when it is dead already.
bool die_with_parent(int parent);
// No network (a namespace of its own, when allowed), files only beneath `directory` and read-only
// what the engine needs of the system, no new privileges, no exec, ptrace, mount, IP sockets. A
// socket may still be made in `socket_directory`, and `library` read (its own symbols, for errors).
struct EngineFiles {
  std::string directory;
  std::string socket_directory;
  std::string library;
};
void give_up_privileges(const EngineFiles& files);

}  // namespace nimbus::telemetry
