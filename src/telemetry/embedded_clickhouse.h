// The embedded ClickHouse: a process of its own that loads libchdb and answers the shape of
// ClickHouse's HTTP interface on a Unix socket, so that everything else has one client for it and
// for a server. A crash of the engine is not ours, and its allocator and threads stay out of
// nimbus.
//
// Promises: one process per data directory (a lock decides); it dies with its parent; it has no
// network, no new privileges and no files but its directory, where the kernel lets it drop them.
//
// Threads: owns its process; never returns to a program that does anything else.
// Not here: who starts it and again (engine_process.h).
#pragma once

#include <string>

namespace nimbus::telemetry {

constexpr std::string_view kEmbeddedCommand = "clickhouse-embedded";

struct EmbeddedClickhouseOptions {
  std::string directory;  // ClickHouse's own files; made when absent
  std::string socket;     // where it listens, mode 0600
  std::string library;    // libchdb.so
};

// `--path DIR --socket S --library L`, as engine_process.cc gives them; false with one line on
// standard error when they are not that.
bool parse_embedded_options(int argc, const char* const* argv, EmbeddedClickhouseOptions& options);

// Serves until SIGTERM, or dies with the parent. The exit status of the process: 0 after SIGTERM,
// 1 when it could not start (one line on standard error says why).
int run_embedded_clickhouse(const EmbeddedClickhouseOptions& options);

}  // namespace nimbus::telemetry
