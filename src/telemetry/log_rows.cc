#include "telemetry/log_rows.h"

#include <array>

#include "base/text.h"

namespace nimbus::telemetry {
namespace {

constexpr size_t kLevelBytes = 64;

struct LevelWord {
  std::string_view word;
  std::string_view level;
};
constexpr std::array<LevelWord, 11> kLevelWords = {{
    {"error", "error"},
    {"err", "error"},
    {"fatal", "error"},
    {"panic", "error"},
    {"critical", "error"},
    {"warning", "warn"},
    {"warn", "warn"},
    {"info", "info"},
    {"notice", "info"},
    {"debug", "debug"},
    {"trace", "debug"},
}};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The level a word names when it stands as a level does: `ERROR`, `[error]`, `error:`, `::error::`,
// `level=error`, `"level":"error"`. A word in the middle of a sentence does not count.
std::string_view level_of_word(std::string_view text, size_t begin, size_t end) {
  const std::string_view word = text.substr(begin, end - begin);
  std::string_view level;
  for (const LevelWord& known : kLevelWords) {
    if (equal_ignoring_case(word, known.word)) level = known.level;
  }
  if (level.empty()) return {};
  const bool shouted = word.size() > 1 && word[1] >= 'A' && word[1] <= 'Z';
  const char before = begin > 0 ? text[begin - 1] : ' ';
  const char after = end < text.size() ? text[end] : ' ';
  const bool enclosed = before == '[' || before == '"' || before == '=' || before == ':' ||
                        before == '<' || before == '(' || after == ':' || after == ']';
  return shouted || enclosed ? level : std::string_view{};
}

}  // namespace

std::string_view level_of(std::string_view text) {
  const std::string_view start = text.substr(0, kLevelBytes);
  for (size_t i = 0; i < start.size();) {
    if (!is_letter(start[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < start.size() && is_letter(start[end])) ++end;
    const std::string_view level = level_of_word(start, i, end);
    if (!level.empty()) return level;
    i = end;
  }
  return "info";
}

void write_log_row(RowWriter& rows, const LogOwner& owner, const model::LogLine& line) {
  rows.text(owner.org);
  rows.text(owner.repo);
  rows.i64(owner.job.value);
  rows.i64(owner.fence.value);
  rows.text(to_string(line.stream));
  rows.i64(line.seq);
  rows.i64(line.ts_ns);
  rows.text(line.text);
  rows.u8(line.partial ? 1 : 0);
  rows.text(level_of(line.text));
}

bool read_log_rows(std::string_view bytes, const std::function<void(const LogRow&)>& visit) {
  RowReader reader(bytes);
  while (!reader.at_end()) {
    LogRow row;
    row.org = reader.text();
    row.repo = reader.text();
    row.job = {reader.i64()};
    row.fence = {reader.i64()};
    row.stream = reader.text();
    row.seq = reader.i64();
    row.ts_ns = reader.i64();
    row.text = reader.text();
    row.partial = reader.u8() != 0;
    row.level = reader.text();
    if (!reader.ok()) return false;
    visit(row);
  }
  return reader.ok();
}

}  // namespace nimbus::telemetry
