#include "telemetry/telemetry.h"

#include "telemetry/telemetry_fixture.h"

using namespace nimbus;
using namespace nimbus::telemetry;

TEST_CASE_FIXTURE(TelemetryFixture,
                  "a job's lines come back in order, with their times and streams") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app");
  const auto posted = post_lines(12, lines(1, 3));
  CHECK(posted.status == 200);
  CHECK(posted.body == "{\"acked\":3}");
  const auto got = get_lines(12);
  CHECK(got.status == 200);
  CHECK(
      got.body ==
      "{\"ts\":\"2023-11-14T22:13:20.000000001Z\",\"seq\":1,\"stream\":\"stdout\",\"text\":\"line "
      "1\",\"fence\":1}\n"
      "{\"ts\":\"2023-11-14T22:13:20.000000002Z\",\"seq\":2,\"stream\":\"stdout\",\"text\":\"line "
      "2\",\"fence\":1}\n"
      "{\"ts\":\"2023-11-14T22:13:20.000000003Z\",\"seq\":3,\"stream\":\"stdout\",\"text\":\"line "
      "3\",\"fence\":1}\n");
  CHECK(seqs_of(get_lines(12, "?after=2").body) == std::vector<int64_t>{3});
  CHECK(seqs_of(get_lines(12, "?limit=1").body) == std::vector<int64_t>{1});
}
