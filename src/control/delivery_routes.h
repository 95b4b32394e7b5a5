// GET /api/v1/deliveries: what GitHub sent lately and what each delivery caused. Threads: the
// loop's.
#pragma once

#include "access/authenticator.h"
#include "db/database.h"
#include "net/router.h"

namespace nimbus::control {

void add_delivery_routes(net::Router& router, db::Database& database,
                         access::Authenticator& authenticator);

}  // namespace nimbus::control
