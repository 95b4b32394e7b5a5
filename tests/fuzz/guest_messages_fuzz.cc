// Both ends of the talk between a guest and its gateway. The guest is hostile: its lines and its
// report; the job's own output as the guest cuts it into lines, the same however it arrives; and
// what the guest makes of answers.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/control_client.h"
#include "agent/dns_forwarder.h"
#include "agent/gateway.h"
#include "agent/guest_lines.h"
#include "base/encoding.h"
#include "guest/http.h"
#include "guest/job.h"
#include "guest/lines.h"

using namespace nimbus;

namespace {

void require(bool good) {
  if (!good) std::abort();
}

std::string lines_of(std::string_view output, size_t step) {
  guest::LineSplitter splitter;
  std::string lines;
  const auto take = [&](std::string_view text, bool partial) {
    require(is_utf8(text) && text.size() <= model::kLogLineBytesMax);
    require(text.find('\0') == std::string_view::npos);
    lines += text;
    lines += partial ? "\\" : "\n";
  };
  for (size_t at = 0; at < output.size(); at += step) splitter.feed(output.substr(at, step), take);
  splitter.finish(take);
  require(!splitter.has_pending());
  return lines;
}

void check_lines(std::string_view body) {
  const auto lines = agent::read_new_lines(body, 0, true);
  if (!lines) return;
  require(lines->last_seq >= lines->count);
  // What goes on to the server reads the same there, and not a line of it is new twice.
  if (lines->count == 0) return;
  const auto again = agent::read_new_lines(lines->ndjson, 0, true);
  require(again && again->count == lines->count && again->ndjson == lines->ndjson);
  const auto repeated = agent::read_new_lines(body, lines->last_seq, false);
  require(repeated && repeated->count == 0);
}

std::string answers_in(std::string_view bytes, size_t step) {
  guest::AnswerParser parser;
  std::string seen;
  for (size_t at = 0; at < bytes.size(); at += step) {
    const auto complete = parser.feed(bytes.substr(at, step));
    if (!complete) return seen + "refused";
    if (!*complete) continue;
    const guest::Answer answer = parser.take();
    require(answer.body.size() <= guest::kAnswerBodyBytesMax);
    seen += std::to_string(answer.status) + answer.body;
    return seen;
  }
  return seen + "unfinished";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string whole = lines_of(input, size + 1);
  require(lines_of(input, 1) == whole && lines_of(input, 3) == whole);
  check_lines(input);
  if (const auto report = agent::parse_guest_report(input)) require(report->last_seq >= 0);
  if (const auto work = agent::parse_journaled_assignment(input)) {
    require(agent::parse_journaled_assignment(work->json).has_value());
  }
  (void)agent::find_resolver(input);
  (void)answers_in(input, 1);
  (void)answers_in(input, size + 1);
  if (const auto job = guest::parse_job(input)) require(!job->command.empty());
  (void)guest::parse_signal(input);
  (void)guest::parse_acked(input);
  return 0;
}
