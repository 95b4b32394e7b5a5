#define SIMDJSON_EXCEPTIONS 0
#include "telemetry/log_lines.h"

#include <simdjson.h>

#include <algorithm>
#include <map>
#include <optional>

namespace nimbus::telemetry {
namespace {

namespace ondemand = simdjson::ondemand;
using Error = std::string_view;  // what is wrong; empty: nothing

std::optional<model::LogStream> find_stream(std::string_view name) {
  for (const auto stream :
       {model::LogStream::out, model::LogStream::err, model::LogStream::system}) {
    if (to_string(stream) == name) return stream;
  }
  return std::nullopt;
}

Error read_field(std::string_view key, ondemand::value value, model::LogLine& line,
                 unsigned& seen) {
  if (key == "seq") {
    seen |= 1;
    if (value.get_int64().get(line.seq) != simdjson::SUCCESS || line.seq < 1 ||
        line.seq > kLogSeqMax) {
      return "seq must be an integer from 1";
    }
  } else if (key == "ts") {
    seen |= 2;
    if (value.get_int64().get(line.ts_ns) != simdjson::SUCCESS || line.ts_ns < 0) {
      return "ts must be nanoseconds since 1970";
    }
  } else if (key == "text") {
    seen |= 4;
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) return "text must be a string of UTF-8";
    line.text = text;
  } else if (key == "stream") {
    seen |= 8;
    std::string_view name;
    if (value.get_string().get(name) != simdjson::SUCCESS) return "stream must be a string";
    const auto stream = find_stream(name);
    if (!stream) return "stream must be stdout, stderr or system";
    line.stream = *stream;
  } else if (key == "partial") {
    if (value.get_bool().get(line.partial) != simdjson::SUCCESS) return "partial must be a boolean";
  }
  return {};
}

Error read_line(ondemand::document& document, model::LogLine& line) {
  ondemand::object object;
  if (document.get_object().get(object) != simdjson::SUCCESS) return "it is not a JSON object";
  unsigned seen = 0;
  for (auto field : object) {
    std::string_view key;
    ondemand::value value;
    if (field.unescaped_key().get(key) != simdjson::SUCCESS) return "it is not JSON";
    if (field.value().get(value) != simdjson::SUCCESS) return "it is not JSON";
    const Error error = read_field(key, value, line, seen);
    if (!error.empty()) return error;
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    return "something follows the object";
  }
  if (seen != 15) return "ts, seq, stream and text are required";
  return {};
}

std::vector<model::LogLine> in_order(std::vector<model::LogLine> lines) {
  std::map<int64_t, model::LogLine> by_seq;
  for (model::LogLine& line : lines) by_seq.try_emplace(line.seq, std::move(line));
  lines.clear();
  for (auto& [seq, line] : by_seq) lines.push_back(std::move(line));
  return lines;
}

}  // namespace

Result<std::vector<model::LogLine>> parse_log_lines(std::string& body) {
  // The parser reads a little past each line; the bytes there may be anything.
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  ondemand::parser parser(kLogBodyBytesMax);
  std::vector<model::LogLine> lines;
  bool ordered = true;
  size_t number = 0;
  for (size_t begin = 0; begin < body.size();) {
    const size_t end = std::min(body.find('\n', begin), body.size());
    const size_t size = end - begin;
    ++number;
    if (body.find_first_not_of(" \t\r", begin) < end) {
      if (lines.size() >= kLogBodyLinesMax) {
        return fail(Code::too_large, "more than " + std::to_string(kLogBodyLinesMax) + " lines");
      }
      ondemand::document document;
      model::LogLine line;
      const simdjson::padded_string_view text(body.data() + begin, size, body.capacity() - begin);
      const Error error = parser.iterate(text).get(document) == simdjson::SUCCESS
                              ? read_line(document, line)
                              : Error("it is not JSON in UTF-8");
      if (!error.empty()) {
        return fail(Code::bad_request,
                    "line " + std::to_string(number) + " of the body: " + std::string(error));
      }
      if (line.text.size() > model::kLogLineBytesMax) {
        return fail(Code::too_large,
                    "line " + std::to_string(number) + " of the body: text is over " +
                        std::to_string(model::kLogLineBytesMax) + " bytes",
                    "split it and mark all but the last part as partial");
      }
      ordered = ordered && (lines.empty() || line.seq > lines.back().seq);
      lines.push_back(std::move(line));
    }
    begin = end + 1;
  }
  if (!ordered) return in_order(std::move(lines));
  return lines;
}

}  // namespace nimbus::telemetry
