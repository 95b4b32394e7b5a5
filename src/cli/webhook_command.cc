// nimbus webhook send: signs a delivery and sends it, for trying things out without GitHub.
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>

#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/data_directory.h"
#include "cli/table.h"
#include "cli/webhook_delivery.h"
#include "os/atomic_file.h"

namespace nimbus::cli {
namespace {

constexpr size_t kBodyBytesMax = size_t{26} << 20;
constexpr size_t kSecretFileBytesMax = size_t{64} * 1024;

Result<std::string> read_body(const std::string& file) {
  if (file != "-") return os::read_file(file, kBodyBytesMax);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

// The first secret of the file, as the server takes any of them.
Result<Secret> read_secret(const Arguments& arguments) {
  std::string file = arguments.find("--secret-file").value_or("");
  const char* named = getenv("NIMBUS_WEBHOOK_SECRETS_FILE");
  const char* data = getenv("NIMBUS_DATA");
  if (file.empty() && named != nullptr) file = named;
  if (file.empty()) {
    file = std::string(data != nullptr ? data : kDataDirectoryDefault) + "/webhook.secret";
  }
  auto text = os::read_file(file, kSecretFileBytesMax);
  if (!text) {
    Error error = std::move(text).error();
    error.hint = "name the file that holds the webhook's secret with --secret-file";
    return fail(std::move(error));
  }
  for (const std::string_view line : split(*text, '\n')) {
    if (!trim(line).empty()) return Secret(std::string(trim(line)));
  }
  return fail(Code::bad_request, file + " holds no secret");
}

Result<Delivery> make(const Arguments& arguments) {
  const std::string& file = arguments.words().at(0);
  const Time now = system_clock().now();
  Delivery delivery;
  delivery.event = arguments.find("--event").value_or(event_of_file(file));
  delivery.guid = arguments.find("--delivery").value_or(make_guid(system_random()));
  delivery.body = TRY(read_body(file));
  if (arguments.has("--move-times")) {
    delivery.body = TRY_IN(file, move_times(delivery.body, now));
  }
  if (arguments.has("--relay")) delivery.timestamp = now;
  return delivery;
}

Result<int> send(ApiClient& api, const Arguments& arguments) {
  const Delivery delivery = TRY(make(arguments));
  const Secret secret = TRY(read_secret(arguments));
  const std::string url = arguments.find("--url").value_or(api.url() + "/webhooks/github");
  std::optional<Result<net::ClientResponse>> answer;
  api.complete([](ApiClient& a, net::ClientRequest request, std::string doing,
                  std::optional<Result<net::ClientResponse>>& out) -> Task<int> {
    out.emplace(co_await a.send(std::move(request), std::move(doing)));
    co_return kExitDone;
  }(api, make_delivery(delivery, secret, url), "delivering " + delivery.event + " to " + url,
                                                                   answer));
  if (!*answer) return fail(std::move(*answer).error());
  const auto body = parse_json_object((*answer)->body);
  if (arguments.has("--json") || !body) {
    print_out((*answer)->body + ((*answer)->body.ends_with('\n') ? "" : "\n"));
    return kExitDone;
  }
  const std::string job = cell(*body, "job");
  print_out("delivery " + delivery.guid + ": " + cell(*body, "result") +
            (job == "-" ? "" : ", job " + job) + "\n");
  if (job != "-") std::fprintf(stderr, "follow it with: nimbus job logs -f %s\n", job.c_str());
  return kExitDone;
}

int send_command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return send(api, arguments); });
}

}  // namespace

std::vector<Command> webhook_commands() {
  return {
      {.noun = "webhook",
       .verb = "send",
       .summary = "Sign a webhook delivery and send it, as GitHub would ('-' reads it from here)",
       .example = "nimbus webhook send examples/workflow_job.queued.json --move-times",
       .options = {{"--event", "EVENT", "Its event (default: the file's name up to its first dot)"},
                   {"--move-times", "", "Put the workflow job's times at now, as if it were fresh"},
                   {"--delivery", "GUID", "Its delivery id (default: a new one)"},
                   {"--secret-file", "FILE",
                    "Signs it (default $NIMBUS_WEBHOOK_SECRETS_FILE, else local webhook.secret)"},
                   {"--relay", "", "Sign the time with it, as a relay (webhook.mode = relay)"},
                   {"--url", "URL", "Where to (default: the server's /webhooks/github)"}},
       .words = {"FILE"},
       .talks_to_server = true,
       .run = send_command}};
}

}  // namespace nimbus::cli
