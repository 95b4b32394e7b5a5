#include "telemetry/embedded_clickhouse.h"

int main(int argc, char** argv) {
  nimbus::telemetry::EmbeddedClickhouseOptions options;
  // argv[1] is the command's name, as for nimbus itself.
  if (argc < 2 || !nimbus::telemetry::parse_embedded_options(argc - 2, argv + 2, options)) return 2;
  return nimbus::telemetry::run_embedded_clickhouse(options);
}
