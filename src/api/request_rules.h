// What the API's description says of every request, enforced before a handler sees it: query
// parameters that a route does not have are refused (a mistyped filter must not answer with
// everything), and so is a body that does not say it is JSON where JSON is described (a browser's
// form cannot, so no other site can post one).
//
// The table is openapi.json itself: a parameter that is not described is not taken. Only the paths
// under /api/v1/ are held to it; webhooks and OTLP have their own rules.
//
// Threads: any.
#pragma once

#include "net/router.h"

namespace nimbus::api {

// 400 names the parameter and those that there are; 415 the type that is right.
net::RequestGuard request_rules();

}  // namespace nimbus::api
