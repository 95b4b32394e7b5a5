#include "cli/table.h"

#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>

#include "base/encoding.h"

namespace nimbus::cli {
namespace {

constexpr std::string_view kReset = "\x1b[0m";

struct StateColour {
  std::string_view state;
  std::string_view code;
};
constexpr std::array<StateColour, 12> kStateColours = {{
    {"queued", "\x1b[33m"},
    {"leased", "\x1b[36m"},
    {"running", "\x1b[36m"},
    {"succeeded", "\x1b[32m"},
    {"failed", "\x1b[31m"},
    {"cancelled", "\x1b[35m"},
    {"timed_out", "\x1b[31m"},
    {"lost", "\x1b[31m"},
    {"online", "\x1b[32m"},
    {"offline", "\x1b[31m"},
    {"draining", "\x1b[33m"},
    {"revoked", "\x1b[35m"},
}};

// Characters, as near as counting code points comes to it.
size_t width_of(std::string_view text) {
  size_t width = 0;
  for (const char c : text) width += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
  return width;
}

std::string shortened(std::string text, size_t width_max) {
  if (width_of(text) <= width_max) return text;
  size_t width = 0;
  size_t end = 0;
  while (end < text.size()) {
    const bool starts = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
    if (starts && ++width == width_max) break;
    ++end;
  }
  return text.substr(0, end) + "…";
}

bool takes_colour(int fd) {
  const char* no_colour = getenv("NO_COLOR");
  return isatty(fd) == 1 && (no_colour == nullptr || *no_colour == '\0');
}

}  // namespace

void Table::add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (size_t i = 0; i < cells.size(); ++i) {
    cells[i] = shortened(printable(cells[i]), columns_[i].width_max);
  }
  rows_.push_back(std::move(cells));
}

std::string Table::text(bool colour) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = width_of(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, width_of(row[i]));
    widths.push_back(width);
  }
  std::string out;
  auto put = [&](size_t i, const std::string& shown, size_t width) {
    const std::string padding(widths[i] - width, ' ');
    if (columns_[i].align == Align::right) out += padding;
    out += shown;
    if (columns_[i].align == Align::left) out += padding;
    out += "  ";
  };
  auto end_line = [&out] {
    out.resize(out.find_last_not_of(' ') + 1);
    out += '\n';
  };
  for (size_t i = 0; i < columns_.size(); ++i) {
    put(i, std::string(columns_[i].title), width_of(columns_[i].title));
  }
  end_line();
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      put(i, colour ? coloured_state(row[i]) : row[i], width_of(row[i]));
    }
    end_line();
  }
  return out;
}

std::string printable(std::string_view text, bool one_line) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // C1 control characters are two bytes in UTF-8, and terminals obey them too.
    const bool c1 =
        byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    const bool kept = byte == '\t' || (byte == '\n' && !one_line);
    if (byte == 0x7f || (byte < 0x20 && !kept) || c1) {
      out += "\uFFFD";
      i += c1 ? 1 : 0;
    } else {
      out += text[i];
    }
  }
  return is_utf8(out) ? out : to_utf8_lossy(out);
}

std::string coloured_state(std::string_view text) {
  for (const auto& [state, code] : kStateColours) {
    if (text == state) return std::string(code) + std::string(text) + std::string(kReset);
  }
  return std::string(text);
}

bool stdout_takes_colour() { return takes_colour(STDOUT_FILENO); }
bool stderr_takes_colour() { return takes_colour(STDERR_FILENO); }

std::string duration_text(Duration time) {
  const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  if (seconds < 60) return std::to_string(std::max<int64_t>(0, seconds)) + " s";
  if (seconds < 3600) return std::to_string(seconds / 60) + " min";
  if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + " h";
  return std::to_string(seconds / 86400) + " d";
}

std::string age(const boost::json::value& time, Time now) {
  if (!time.is_string()) return "-";
  const auto& text = time.get_string();
  const auto parsed = parse_rfc3339({text.data(), text.size()});
  return parsed ? duration_text(now - *parsed) : "-";
}

std::string cell(const boost::json::object& object, std::string_view field) {
  const auto* value = object.if_contains({field.data(), field.size()});
  if (value == nullptr || value->is_null()) return "-";
  if (const auto* text = value->if_string()) {
    return text->empty() ? "-" : std::string(text->data(), text->size());
  }
  if (const auto* array = value->if_array()) {
    std::string out;
    for (const auto& item : *array) {
      if (!out.empty()) out += ' ';
      const auto* text = item.if_string();
      out +=
          text != nullptr ? std::string(text->data(), text->size()) : boost::json::serialize(item);
    }
    return out.empty() ? "-" : out;
  }
  if (const auto* number = value->if_double()) {
    std::array<char, 32> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%.4g", *number);
    return buffer.data();
  }
  return boost::json::serialize(*value);
}

std::string bytes_text(int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  auto amount = static_cast<double>(bytes);
  size_t unit = 0;
  for (; amount >= 1000 && unit + 1 < kUnits.size(); ++unit) amount /= 1000;
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), unit == 0 ? "%.0f %s" : "%.1f %s", amount,
                kUnits[unit]);
  return buffer.data();
}

void print_out(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void print_json(const boost::json::value& value) {
  print_out(boost::json::serialize(value) + "\n");
}

}  // namespace nimbus::cli
