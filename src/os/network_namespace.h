// Named network namespaces: kept alive by a bind mount, entered by a thread of their own, so that
// no other code of this program ever runs in one by accident.
//
// Threads: any.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace nimbus::os {

// Makes a namespace with a handle at `path` and runs `set_up` inside it; nothing is left when
// either fails. conflict: the handle exists.
Result<void> make_network_namespace(const std::string& path,
                                    const std::function<Result<void>()>& set_up);
// Removes the handle; the namespace itself goes with its last process and socket. Absent is done.
Result<void> remove_network_namespace(const std::string& path);
// Runs `call` on a thread inside the namespace and waits for it. not_found: there is no handle.
Result<void> run_in_network_namespace(const std::string& path,
                                      const std::function<Result<void>()>& call);

}  // namespace nimbus::os
