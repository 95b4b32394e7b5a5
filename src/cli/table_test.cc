#include "cli/table.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "cli/job_print.h"

using namespace nimbus;
using namespace nimbus::cli;

TEST_CASE("columns are as wide as their widest cell, numbers to the right") {
  Table table({{"ID", Align::right}, {"STATE"}, {"REASON"}});
  table.add({"1", "queued", ""});
  table.add({"1234", "succeeded", "ok"});
  CHECK(table.text(false) ==
        "  ID  STATE      REASON\n"
        "   1  queued\n"
        "1234  succeeded  ok\n");
}

TEST_CASE("letters of several bytes count as one, and long cells are cut") {
  Table table({{"NAME", Align::left, 6}, {"X"}});
  table.add({"äöü", "1"});
  table.add({"abcdefgh", "2"});
  CHECK(table.text(false) ==
        "NAME    X\n"
        "äöü     1\n"
        "abcde…  2\n");
}

TEST_CASE("states are coloured without shifting the columns") {
  Table table({{"STATE"}, {"X"}});
  table.add({"failed", "1"});
  CHECK(table.text(true) == "STATE   X\n\x1b[31mfailed\x1b[0m  1\n");
}

TEST_CASE("text from outside cannot command the terminal") {
  CHECK(printable("a\x1b[2Jb\r\x07") == "a\uFFFD[2Jb\uFFFD\uFFFD");
  CHECK(printable("a\u009b2J") == "a\uFFFD2J");
  CHECK(printable("a\nb") == "a\uFFFDb");
  CHECK(printable("a\nb", false) == "a\nb");
  CHECK(printable("\xff") == "\uFFFD");
  CHECK(printable("grün\t✓") == "grün\t✓");
}

TEST_CASE("durations, ages and sizes are short") {
  CHECK(duration_text(std::chrono::seconds(59)) == "59 s");
  CHECK(duration_text(std::chrono::seconds(90)) == "1 min");
  CHECK(duration_text(std::chrono::hours(47)) == "47 h");
  CHECK(duration_text(std::chrono::hours(49)) == "2 d");
  const Time now = *parse_rfc3339("2026-11-24T12:00:00Z");
  CHECK(age("2026-11-24T11:58:00Z", now) == "2 min");
  CHECK(age(nullptr, now) == "-");
  CHECK(bytes_text(999) == "999 B");
  CHECK(bytes_text(53'687'091'200) == "53.7 GB");
}

TEST_CASE("a field becomes a cell whatever its type") {
  const boost::json::object object = {{"text", "a"},      {"none", nullptr},  {"number", 7},
                                      {"share", 0.98765}, {"list", {"a", 1}}, {"empty", ""}};
  CHECK(cell(object, "text") == "a");
  CHECK(cell(object, "none") == "-");
  CHECK(cell(object, "absent") == "-");
  CHECK(cell(object, "number") == "7");
  CHECK(cell(object, "share") == "0.9877");
  CHECK(cell(object, "list") == "a 1");
  CHECK(cell(object, "empty") == "-");
}

TEST_CASE("lengths of time take units and refuse nonsense") {
  CHECK(*parse_seconds("90") == 90);
  CHECK(*parse_seconds("15m") == 900);
  CHECK(*parse_seconds("2h") == 7200);
  CHECK(*parse_seconds("3d") == 259'200);
  for (const char* text : {"", "h", "-1", "0", "1w", "1.5h", "99999999999"}) {
    CAPTURE(text);
    CHECK(!parse_seconds(text).has_value());
  }
}

TEST_CASE("a time may be written as how long ago it was") {
  const Time now = *parse_rfc3339("2026-11-24T12:00:00Z");
  CHECK(*parse_when("2h", now) == "2026-11-24T10:00:00Z");
  CHECK(*parse_when("2026-01-31T12:00:00+01:00", now) == "2026-01-31T11:00:00Z");
  CHECK(!parse_when("yesterday", now).has_value());
}

TEST_CASE("a job is listed by its GitHub name, else by its command") {
  const Time now = *parse_rfc3339("2026-11-24T12:00:00Z");
  const auto jobs = boost::json::parse(R"([
    {"id":2,"org":"acme","repo":"app","state":"running","reason":"","command":["x"],
     "created_at":"2026-11-24T11:59:00Z","started_at":"2026-11-24T11:59:30Z",
     "github":{"workflow_name":"CI","job_name":"test"}},
    {"id":1,"org":"acme","repo":"app","state":"failed","reason":"exit code 7","command":["sh","-c","exit 7"],
     "created_at":"2026-11-24T11:00:00Z","started_at":"2026-11-24T11:00:05Z",
     "finished_at":"2026-11-24T11:00:08Z","github":null}])");
  CHECK(jobs_table(jobs.as_array(), now, false) ==
        "ID  STATE    REPOSITORY  JOB             AGE   RAN  REASON\n"
        " 2  running  acme/app    CI / test     1 min  30 s\n"
        " 1  failed   acme/app    sh -c exit 7    1 h   3 s  exit code 7\n");
}
