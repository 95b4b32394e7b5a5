#include "agent/guest_lines.h"

#include <boost/json.hpp>

#include "base/json.h"

namespace nimbus::agent {
namespace {

namespace json = boost::json;

constexpr int64_t kSeqMax = int64_t{1} << 53;

Result<int64_t> check_line(std::string_view text) {
  const json::object line = TRY(parse_json_object(text, 2));
  TRY(refuse_unknown_fields(line, {"ts", "seq", "stream", "text", "partial"}));
  TRY(read_int(line, "ts", 0));
  TRY(find_bool(line, "partial"));
  const std::string stream = TRY(read_text(line, "stream"));
  if (stream != "stdout" && stream != "stderr" && stream != "system") {
    return fail(Code::bad_request, "field 'stream' must be stdout, stderr or system");
  }
  const json::value* words = line.if_contains("text");
  if (words == nullptr || !words->is_string()) {
    return fail(Code::bad_request, "field 'text' is missing");
  }
  if (words->get_string().size() > model::kLogLineBytesMax) {
    return fail(Code::bad_request,
                "line is longer than " + std::to_string(model::kLogLineBytesMax));
  }
  return read_int(line, "seq", 1, kSeqMax);
}

}  // namespace

Result<NewLines> read_new_lines(std::string_view ndjson, int64_t last_seq, bool any_start) {
  NewLines lines;
  lines.last_seq = last_seq;
  size_t new_from = std::string_view::npos;
  size_t at = 0;
  int64_t previous = 0;
  int64_t number = 0;
  while (at < ndjson.size()) {
    const size_t end = std::min(ndjson.find('\n', at), ndjson.size());
    const std::string_view text = ndjson.substr(at, end - at);
    ++number;
    const int64_t seq = TRY_IN("line " + std::to_string(number), check_line(text));
    if (previous != 0 && seq != previous + 1) {
      return fail(Code::bad_request,
                  "seq " + std::to_string(seq) + " follows " + std::to_string(previous));
    }
    if (previous == 0 && seq > last_seq + 1 && !any_start) {
      return fail(Code::conflict, "lines " + std::to_string(last_seq + 1) + " to " +
                                      std::to_string(seq - 1) + " are missing");
    }
    previous = seq;
    if (seq > last_seq) {
      if (new_from == std::string_view::npos) new_from = at;
      ++lines.count;
      lines.last_seq = seq;
    }
    at = end + 1;
  }
  if (number == 0) return fail(Code::bad_request, "no lines");
  if (new_from != std::string_view::npos) lines.ndjson = ndjson.substr(new_from);
  if (!lines.ndjson.empty() && !lines.ndjson.ends_with('\n')) lines.ndjson += '\n';
  return lines;
}

std::string to_ndjson(const model::LogLine& line) {
  json::object object;
  object["ts"] = line.ts_ns;
  object["seq"] = line.seq;
  object["stream"] = model::to_string(line.stream);
  object["text"] = line.text;
  if (line.partial) object["partial"] = true;
  return json::serialize(object) + "\n";
}

}  // namespace nimbus::agent
