// One request of a guest's on its way through the gateway: the body goes to the server as it comes,
// the answer comes back as it goes, and neither is ever whole in memory.
//
// Threads: the loop's.
#pragma once

#include "agent/control_client.h"
#include "net/http.h"
#include "net/loop.h"

namespace nimbus::agent {

// Sends `request` (its body_source, when set, must live until this returns) and waits for the
// answer's head; the Response streams the rest. Errors as ControlClient::forward_stream's.
Task<Result<net::Response>> relay(net::Loop& loop, ControlClient& control,
                                  net::ClientRequest request, std::string target, Secret token);

}  // namespace nimbus::agent
