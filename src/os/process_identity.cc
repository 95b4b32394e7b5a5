#include <fmt/core.h>

#include <charconv>
#include <optional>

#include "base/text.h"
#include "os/atomic_file.h"
#include "os/process.h"

namespace nimbus::os {

namespace {

constexpr size_t kProcFileBytesMax = 4096;

template <typename T>
bool parse_number(std::string_view text, T& value) {
  const auto end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end;
}

// State letter and start time of /proc/PID/stat. The name in field 2 may hold anything, brackets
// and spaces included, so fields are counted from the last bracket.
struct StatLine {
  char state = '?';
  uint64_t start_ticks = 0;
};
std::optional<StatLine> find_stat(pid_t pid) {
  const auto text = read_file(fmt::format("/proc/{}/stat", pid), kProcFileBytesMax);
  if (!text) return std::nullopt;
  const auto bracket = text->rfind(')');
  if (bracket == std::string::npos || bracket + 2 >= text->size()) return std::nullopt;
  const auto fields = split(std::string_view(*text).substr(bracket + 2), ' ');
  constexpr size_t kStartTime = 22 - 3;  // the list begins with field 3
  StatLine line;
  if (fields.size() <= kStartTime || fields[0].empty()) return std::nullopt;
  line.state = fields[0][0];
  if (!parse_number(fields[kStartTime], line.start_ticks)) return std::nullopt;
  return line;
}
}  // namespace

std::string to_text(const ProcessIdentity& identity) {
  return fmt::format("{}:{}:{}", identity.pid, identity.start_ticks, identity.boot_id);
}

Result<ProcessIdentity> parse_process_identity(std::string_view text) {
  const auto parts = split(text, ':');
  ProcessIdentity identity;
  if (parts.size() != 3 || !parse_number(parts[0], identity.pid) || identity.pid <= 0 ||
      !parse_number(parts[1], identity.start_ticks) || parts[2].size() > 64)
    return fail(Code::bad_request, fmt::format("not a process identity: {:.80}", text));
  identity.boot_id = parts[2];
  return identity;
}

std::string read_boot_id() {
  const auto text = read_file("/proc/sys/kernel/random/boot_id", kProcFileBytesMax);
  return text ? std::string(trim(*text)) : std::string();
}

Result<ProcessIdentity> read_process_identity(pid_t pid) {
  const auto stat = find_stat(pid);
  if (!stat) return fail(Code::not_found, fmt::format("no process {}", pid));
  return ProcessIdentity{pid, stat->start_ticks, read_boot_id()};
}

bool is_alive(const ProcessIdentity& identity) {
  const auto stat = find_stat(identity.pid);
  return stat && stat->state != 'Z' && stat->state != 'X' &&
         stat->start_ticks == identity.start_ticks && identity.boot_id == read_boot_id();
}
}  // namespace nimbus::os
