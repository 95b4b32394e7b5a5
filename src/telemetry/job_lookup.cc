#include "telemetry/job_lookup.h"

#include <boost/json.hpp>

#include "base/json.h"

namespace nimbus::telemetry {
namespace {

constexpr size_t kJobBytesMax = size_t{1} << 20;

Result<JobView> parse_job(std::string_view text) {
  const auto object = TRY(parse_json_object(text));
  JobView job;
  job.id = {TRY(read_int(object, "id", 1))};
  job.org = TRY(read_text(object, "org"));
  job.repo = TRY(read_text(object, "repo"));
  const auto state = model::find_job_state(TRY(read_text(object, "state")));
  if (!state) return fail(Code::bad_request, "unknown state");
  job.state = *state;
  job.fence = {TRY(read_int(object, "fence", 0))};
  job.exit_code = TRY(find_int(object, "exit_code"));
  if (const boost::json::object* log = TRY(find_object(object, "log"))) {
    job.log_last_seq = TRY(find_int(*log, "last_seq", 0));
  }
  return job;
}

class HttpJobLookup final : public JobLookup {
 public:
  HttpJobLookup(net::Loop& loop, std::string base_url)
      : client_(loop), base_url_(std::move(base_url)) {}

  Task<Result<JobView>> find(model::JobId id, const ForwardedCredential& credential) override {
    net::ClientRequest ask;
    ask.url = base_url_ + "/api/v1/jobs/" + std::to_string(id.value);
    if (!credential.authorization.empty()) {
      ask.headers.add("Authorization", credential.authorization);
    }
    if (!credential.cookie.empty()) ask.headers.add("Cookie", credential.cookie);
    ask.timeout = std::chrono::seconds(10);
    ask.answer_bytes_max = kJobBytesMax;
    auto answer = co_await client_.send(std::move(ask));
    if (!answer) co_return fail(std::move(answer).error().in("asking control about the job"));
    switch (answer->status) {
      case 200: break;
      case 401: co_return fail(Code::unauthenticated, "the credential is not valid");
      case 403: co_return fail(Code::forbidden, "the credential may not see jobs");
      case 404: co_return fail(Code::not_found, "no such job");
      case 429: co_return fail(Code::too_many_requests, "control asks to wait");
      default:
        co_return fail(Code::unavailable,
                       "control answered " + std::to_string(answer->status) + " about the job");
    }
    auto job = parse_job(answer->body);
    if (job) co_return job;
    Error error = std::move(job).error().in("reading control's answer about the job");
    error.code = Code::internal;
    co_return fail(std::move(error));
  }

 private:
  net::Client client_;
  std::string base_url_;
};

}  // namespace

ForwardedCredential credential_of(const net::Request& request) {
  ForwardedCredential credential;
  credential.authorization = request.headers.find("Authorization").value_or("");
  credential.cookie = request.headers.find("Cookie").value_or("");
  return credential;
}

std::unique_ptr<JobLookup> make_http_job_lookup(net::Loop& loop, std::string base_url) {
  while (base_url.ends_with('/')) base_url.pop_back();
  return std::make_unique<HttpJobLookup>(loop, std::move(base_url));
}

}  // namespace nimbus::telemetry
