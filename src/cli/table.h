// What client commands print for people: aligned tables, times as ages, states in colour. Text that
// came from outside cannot move the cursor or colour the terminal. Threads: one.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace nimbus::cli {

enum class Align { left, right };

class Table {
 public:
  struct Column {
    std::string_view title;
    Align align = Align::left;
    size_t width_max = 60;  // longer cells end in "…"
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells);
  // With a heading; states are coloured when `colour`. A table without rows has its heading alone.
  std::string text(bool colour) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Control characters become U+FFFD; tabs and, unless `one_line`, line feeds stay.
std::string printable(std::string_view text, bool one_line = true);
// `text` in the colour of the state it names; as it is for other words.
std::string coloured_state(std::string_view text);
// True for standard output (or error) on a terminal, unless NO_COLOR is set.
bool stdout_takes_colour();
bool stderr_takes_colour();

// "12 s", "5 min", "3 h", "8 d".
std::string duration_text(Duration time);
// How long ago an RFC 3339 time was; "-" for null or anything else.
std::string age(const boost::json::value& time, Time now);
// A field as a cell: "-" when absent or null.
std::string cell(const boost::json::object& object, std::string_view field);
// "1.2 GB"
std::string bytes_text(int64_t bytes);

void print_out(std::string_view text);
// The JSON document and a line feed.
void print_json(const boost::json::value& value);

}  // namespace nimbus::cli
