// GET /api/v1/events: changes as server-sent events, filtered to what the caller may see. A client
// that reconnects and has missed something is told `resync` first.
//
// Threads: the loop's.
#pragma once

#include "access/authenticator.h"
#include "control/board.h"
#include "db/database.h"
#include "net/router.h"

namespace nimbus::control {

constexpr Duration kEventPollEvery = std::chrono::seconds(5);  // and the credential is asked again

void add_event_routes(net::Router& router, Board& board, access::Authenticator& authenticator);

// Turns the board's changed jobs into `job` events, while anybody listens. Runs until `stopped`.
Task<void> publish_jobs(Board& board, db::Database& database, net::Loop& loop,
                        std::shared_ptr<const bool> stopped);

}  // namespace nimbus::control
