// What `nimbus run` asks the server for. Threads: one.
#pragma once

#include <boost/json/fwd.hpp>

#include "cli/api_client.h"

namespace nimbus::cli {

const std::vector<Option>& run_options();
// The body of POST /api/v1/jobs. bad_request names the option that is wrong.
Result<boost::json::object> make_job_request(const Arguments& arguments,
                                             const Environment& environment);

}  // namespace nimbus::cli
