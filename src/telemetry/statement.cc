#include "telemetry/statement.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace nimbus::telemetry {
namespace {

// Settings that a client may give with a statement. Others would be ways around its limits.
constexpr std::array<std::string_view, 12> kSettings = {
    "async_insert",       "insert_deduplication_token", "max_block_size",   "max_bytes_to_read",
    "max_execution_time", "max_memory_usage",           "max_result_bytes", "max_rows_to_read",
    "max_threads",        "optimize_read_in_order",     "readonly",         "wait_end_of_query",
};
constexpr size_t kSettingBytesMax = 200;

bool is_word(std::string_view text, std::string_view more) {
  return !text.empty() && text.size() <= kSettingBytesMax &&
         std::all_of(text.begin(), text.end(), [more](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  more.find(c) != std::string_view::npos;
         });
}

std::string first_word(std::string_view sql) {
  const size_t end = sql.find_first_of(" \t\r\n(");
  return to_lower(sql.substr(0, end));
}

// "INSERT INTO t (a) FORMAT X" into "INSERT INTO t (a)" and "X".
Result<void> split_insert(std::string_view sql, EngineStatement& statement) {
  constexpr std::string_view kFormat = " format ";
  const size_t at = to_lower(sql).rfind(kFormat);
  if (at == std::string_view::npos) {
    return fail(Code::bad_request, "an INSERT must end with FORMAT and the format's name");
  }
  const std::string_view format = trim(sql.substr(at + kFormat.size()));
  if (!is_word(format, "")) return fail(Code::bad_request, "FORMAT takes one name");
  statement.sql = std::string(trim(sql.substr(0, at)));
  statement.format = std::string(format);
  return {};
}

bool is_number(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Result<void> add_setting(std::string_view name, std::string_view value, std::string& settings) {
  if (name == "wait_end_of_query") return {};  // always so here
  if (!is_word(value, "_-.:")) {
    return fail(Code::bad_request, "the value of setting " + std::string(name) + " is not a word");
  }
  settings += settings.empty() ? " SETTINGS " : ", ";
  settings += name;
  settings += '=';
  settings += is_number(value) ? std::string(value) : "'" + std::string(value) + "'";
  return {};
}

}  // namespace

Result<EngineStatement> parse_statement(
    const std::vector<std::pair<std::string, std::string>>& arguments, std::string_view body) {
  EngineStatement statement;
  std::string_view sql;
  std::string settings;
  for (const auto& [name, value] : arguments) {
    if (name == "query") {
      sql = trim(value);
    } else if (name.starts_with("param_")) {
      statement.parameters.emplace_back(name.substr(6), value);
    } else if (name == "default_format") {
      if (!is_word(value, "")) return fail(Code::bad_request, "default_format takes one name");
      statement.format = value;
    } else if (std::find(kSettings.begin(), kSettings.end(), name) != kSettings.end()) {
      TRY(add_setting(name, value, settings));
    } else if (name != "database") {
      return fail(Code::bad_request, "unknown argument " + name.substr(0, 64));
    }
  }
  if (sql.empty()) sql = trim(body);
  if (sql.empty()) return fail(Code::bad_request, "no query");
  const std::string word = first_word(sql);
  if (word == "insert") {
    statement.kind = EngineStatement::Kind::insert;
    TRY(split_insert(sql, statement));
    statement.settings = std::move(settings);
    return statement;
  }
  const bool reads = word == "select" || word == "with" || word == "exists" || word == "show";
  statement.kind = reads ? EngineStatement::Kind::read : EngineStatement::Kind::other;
  statement.sql = std::string(sql);
  if (!reads && settings.find("readonly") != std::string::npos) {
    return fail(Code::bad_request, "this statement is not one that reads");
  }
  if (word == "select" || word == "with") statement.sql += settings;
  if (statement.format.empty()) statement.format = "TabSeparated";
  return statement;
}

std::string insert_from(const EngineStatement& statement, std::string_view path) {
  return statement.sql + " FROM INFILE '" + std::string(path) + "' COMPRESSION 'none'" +
         statement.settings + " FORMAT " + statement.format;
}

}  // namespace nimbus::telemetry
