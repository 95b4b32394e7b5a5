// nimbus cache fsck
#include <boost/json.hpp>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/list_page.h"
#include "cli/local_database.h"
#include "cli/storage_entries.h"
#include "cli/storage_role.h"
#include "cli/table.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

const std::vector<Option> kFsckOptions = {
    {"--repair", "", "Put right what is wrong; lost bytes take their entries with them"},
    {"--quick", "", "Compare existence and sizes only, without reading the bytes"},
    {"--data", "DIR", "Data directory (default ./nimbus-data)"},
    {"--config", "FILE", "Configuration (default nimbus.toml of the data directory)"},
    {"--json", "", "Print JSON for scripts"}};

json::object to_json(const blob::FsckReport& report) {
  json::array findings;
  for (const blob::Finding& finding : report.findings) {
    findings.push_back(json::object{{"kind", finding.kind},
                                    {"subject", finding.subject},
                                    {"detail", finding.detail},
                                    {"repaired", finding.repaired}});
  }
  return {{"blobs", report.blobs}, {"bytes", report.bytes}, {"findings", std::move(findings)}};
}

std::string to_text(const blob::FsckReport& report) {
  std::string text;
  for (const blob::Finding& finding : report.findings) {
    text += finding.kind + ": " + printable(finding.subject) + ": " + printable(finding.detail) +
            (finding.repaired ? " (repaired)\n" : "\n");
  }
  text +=
      std::to_string(report.blobs) + " blobs, " + bytes_text(report.bytes) + ": " +
      (report.clean() ? "nothing is wrong" : std::to_string(report.findings.size()) + " findings") +
      "\n";
  return text;
}

Result<blob::FsckReport> check(const Arguments& arguments) {
  const LocalDatabase local = TRY(open_local_database(arguments));
  net::Loop loop;
  const auto store = TRY(open_configured_store(loop, local.config, local.data, false));
  blob::LossBook losses;
  register_losses(losses);
  blob::Collector collector(*local.database, *store, system_clock());
  blob::FsckOptions options;
  options.repair = arguments.has("--repair");
  options.read_bytes = !arguments.has("--quick");
  options.grace = std::chrono::seconds(local.config.blob.garbage_grace_s);
  options.checks = entry_checks();
  std::optional<Result<blob::FsckReport>> report;
  auto task = [&]() -> Task<void> {
    report.emplace(co_await blob::fsck(*local.database, *store, collector, losses, options));
    loop.stop();
  };
  loop.spawn(task(), "fsck");
  while (!report) loop.run();
  loop.end_tasks();
  return std::move(*report);
}

int run_fsck(const Arguments& arguments) {
  const auto report = check(arguments);
  if (!report) return complain(report.error());
  if (arguments.has("--json")) {
    print_json(to_json(*report));
  } else {
    print_out(to_text(*report));
  }
  bool all_repaired = true;
  for (const blob::Finding& finding : report->findings) {
    all_repaired = all_repaired && finding.repaired;
  }
  return all_repaired ? kExitDone : kExitFailed;
}

}  // namespace

std::vector<Command> cache_fsck_commands() {
  return {{.noun = "cache",
           .verb = "fsck",
           .summary = "Compare stored caches and images with what the database says of them",
           .example = "nimbus cache fsck --data /var/lib/nimbus",
           .options = kFsckOptions,
           .notes = "Works beside a running server. Exit status 0: nothing is wrong, or all of it "
                    "was repaired.\n",
           .run = run_fsck}};
}

}  // namespace nimbus::cli
