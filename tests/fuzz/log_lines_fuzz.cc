// A job's lines from a guest. What is accepted is ordered, bounded and survives the way through a
// row; spool frames and answers of ClickHouse are read by the same reader.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "telemetry/line_json.h"
#include "telemetry/log_lines.h"
#include "telemetry/log_rows.h"

using namespace nimbus;
using namespace nimbus::telemetry;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string body(reinterpret_cast<const char*>(data), size);
  read_log_rows(body, [](const LogRow& row) { (void)level_of(row.text); });
  const auto lines = parse_log_lines(body);
  if (!lines) return 0;
  const LogOwner owner{"acme", "app", {12}, {1}};
  RowWriter rows;
  std::string ndjson;
  int64_t last = 0;
  for (const model::LogLine& line : *lines) {
    if (line.seq <= last || line.ts_ns < 0 || !is_utf8(line.text)) std::abort();
    if (line.text.size() > model::kLogLineBytesMax) std::abort();
    last = line.seq;
    write_log_row(rows, owner, line);
    append_line_json(ndjson, line, owner.fence);
    ndjson += '\n';
  }
  size_t read = 0;
  const bool whole = read_log_rows(rows.bytes(), [&](const LogRow& row) {
    if (row.text != (*lines)[read].text || row.seq != (*lines)[read].seq) std::abort();
    ++read;
  });
  if (!whole || read != lines->size()) std::abort();
  return 0;
}
