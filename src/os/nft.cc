#include "os/nft.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "os/process.h"
#include "os/unique_fd.h"

namespace nimbus::os {

namespace {

constexpr std::array<const char*, 3> kPlaces = {"/usr/sbin/nft", "/sbin/nft",
                                                "/usr/local/sbin/nft"};
constexpr Duration kPatience = std::chrono::seconds(20);
constexpr size_t kSaidBytesMax = 2000;

Result<std::string> find_nft() {
  for (const char* place : kPlaces) {
    if (::access(place, X_OK) == 0) return std::string(place);
  }
  return fail(Code::not_found, "there is no nft command on this machine",
              "install the package nftables");
}

// A file in memory: the command's input and output, which no pipe's size holds up.
Result<UniqueFd> make_memory_file(std::string_view text) {
  UniqueFd file(::memfd_create("nft", MFD_CLOEXEC));
  if (!file) return fail(Code::internal, std::string("nftables: memfd: ") + std::strerror(errno));
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = ::write(file.get(), text.data() + written, text.size() - written);
    if (n < 0) return fail(Code::internal, std::string("nftables: memfd: ") + std::strerror(errno));
    written += static_cast<size_t>(n);
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::string read_memory_file(int file) {
  std::string text;
  std::array<char, 16 * 1024> piece{};
  ssize_t n = 0;
  off_t at = 0;
  while ((n = ::pread(file, piece.data(), piece.size(), at)) > 0) {
    text.append(piece.data(), static_cast<size_t>(n));
    at += n;
  }
  return text;
}

Result<std::string> run(const std::string& text, bool json) {
  const UniqueFd input = TRY(make_memory_file(text));
  const UniqueFd output = TRY(make_memory_file({}));
  const UniqueFd errors = TRY(make_memory_file({}));
  SpawnOptions options;
  options.argv = {TRY(find_nft()), "-f", "-"};
  if (json) options.argv.insert(options.argv.begin() + 1, "-j");
  options.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"};
  options.fds = {{input.get(), 0}, {output.get(), 1}, {errors.get(), 2}};
  Process process = TRY(Process::spawn(options));
  const auto exit = process.wait_exit_blocking(kPatience);
  if (!exit) {
    process.kill();
    return fail(Code::internal, "nftables: the nft command did not end within 20 s");
  }
  if (exit->code == 0) return read_memory_file(output.get());
  const std::string said = read_memory_file(errors.get());
  const std::string_view words = trim(std::string_view(said).substr(0, kSaidBytesMax));
  return fail(Code::internal, "nftables: " + (words.empty() ? to_text(*exit) : std::string(words)));
}

}  // namespace

Result<void> run_nft(const std::string& ruleset) {
  TRY(run(ruleset, false));
  return {};
}

Result<std::string> list_nft(const std::string& command) { return run(command, true); }

}  // namespace nimbus::os
