#include "vm/machine.h"

#include <boost/json.hpp>

#include "base/json.h"

namespace nimbus::vm {

std::string_view to_string(Exit::Kind kind) {
  switch (kind) {
    case Exit::Kind::powered_off: return "powered_off";
    case Exit::Kind::crashed: return "crashed";
    case Exit::Kind::killed: return "killed";
    case Exit::Kind::failed: return "failed";
    case Exit::Kind::unknown: return "unknown";
  }
  return "unknown";
}

std::string to_json(const MachineIdentity& identity) {
  return boost::json::serialize(boost::json::object{{"driver", identity.driver},
                                                    {"name", identity.name},
                                                    {"directory", identity.directory},
                                                    {"process", identity.process},
                                                    {"cgroup", identity.cgroup}});
}

Result<MachineIdentity> parse_machine_identity(std::string_view json) {
  const auto object = TRY_IN("reading a machine's identity", parse_json_object(json));
  MachineIdentity identity;
  identity.driver = TRY(read_text(object, "driver"));
  identity.name = TRY(read_text(object, "name"));
  identity.directory = TRY(read_text(object, "directory"));
  identity.process = TRY(read_text(object, "process"));
  identity.cgroup = TRY(read_text(object, "cgroup"));
  return identity;
}

}  // namespace nimbus::vm
