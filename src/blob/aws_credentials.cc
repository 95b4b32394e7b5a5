#include "blob/aws_credentials.h"

#include "base/log.h"
#include "base/text.h"
#include "blob/aws_metadata.h"
#include "os/atomic_file.h"

namespace nimbus::blob {
namespace {

constexpr size_t kFileBytesMax = 256 * 1024;
constexpr Duration kReadAgainAfter = std::chrono::minutes(1);
constexpr Duration kLookAgainAfter = std::chrono::seconds(5);  // when nobody had any
constexpr Duration kLookPoll = std::chrono::seconds(30);
constexpr Duration kRenewBefore = std::chrono::minutes(5);
constexpr Duration kLentUnsaid = std::chrono::minutes(15);  // when no end was told

}  // namespace

Result<AwsCredentials> parse_aws_credentials(std::string_view text, std::string_view section) {
  AwsCredentials credentials;
  bool inside = false;
  for (std::string_view line : split(text, '\n')) {
    line = trim(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[' && line.back() == ']') {
      inside = trim(line.substr(1, line.size() - 2)) == section;
      continue;
    }
    const size_t equals = line.find('=');
    if (!inside || equals == std::string_view::npos) continue;
    const std::string_view name = trim(line.substr(0, equals));
    std::string value(trim(line.substr(equals + 1)));
    if (name == "aws_access_key_id") credentials.access_key_id = std::move(value);
    if (name == "aws_secret_access_key") credentials.secret_access_key = Secret(std::move(value));
    if (name == "aws_session_token") credentials.session_token = Secret(std::move(value));
  }
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty()) {
    return fail(Code::not_found, "profile " + std::string(section) + " has no access key");
  }
  return credentials;
}

std::string AwsCredentialChain::variable(const std::string& name) const {
  const char* value = environment_(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string AwsCredentialChain::home_file(const std::string& name, const std::string& usual) const {
  std::string path = variable(name);
  return path.empty() ? variable("HOME") + "/.aws/" + usual : path;
}

AwsCredentialChain::AwsCredentialChain(net::Loop& loop, AwsCredentials configured,
                                       ReadEnvironment environment, const Clock& clock)
    : loop_(loop),
      configured_(std::move(configured)),
      environment_(environment),
      clock_(clock),
      metadata_(std::make_unique<AwsMetadata>(loop, std::move(environment))),
      looked_(loop) {}

AwsCredentialChain::~AwsCredentialChain() = default;

Task<Result<AwsCredentials>> AwsCredentialChain::current() {
  if (!configured_.access_key_id.empty()) co_return configured_;
  AwsCredentials given{variable("AWS_ACCESS_KEY_ID"), Secret(variable("AWS_SECRET_ACCESS_KEY")),
                       Secret(variable("AWS_SESSION_TOKEN"))};
  if (!given.access_key_id.empty() && !given.secret_access_key.empty()) co_return given;
  const Duration now = clock_.steady();
  if (found_ && now < found_->fresh_until) co_return found_->credentials;
  if (failure_ && now < failed_until_) co_return fail(*failure_);
  if (!std::exchange(looking_, true)) loop_.spawn(look(this), "looking for credentials");
  // Lent ones are renewed in time: nobody waits for that.
  if (found_ && found_->lent && clock_.now() < found_->expires_at.value_or(Time::max())) {
    co_return found_->credentials;
  }
  while (looking_) (void)co_await looked_.wait(kLookPoll);
  if (found_) co_return found_->credentials;
  co_return fail(*failure_);
}

bool AwsCredentialChain::distrust() {
  const Duration now = clock_.steady();
  if (!found_ || !found_->lent) return false;
  if (distrusted_at_ && now - *distrusted_at_ < kReadAgainAfter) return false;
  distrusted_at_ = now;
  found_.reset();
  return true;
}

Task<void> AwsCredentialChain::look(AwsCredentialChain* chain) {
  auto found = co_await chain->find();
  const Duration now = chain->clock_.steady();
  chain->failure_.reset();
  if (found) {
    chain->found_ = std::move(*found);
  } else {
    log_warn("the bucket's credentials were not renewed", {{"why", found.error().message}});
    auto& old = chain->found_;
    if (old && old->expires_at && *old->expires_at <= chain->clock_.now()) old.reset();
    if (old) {
      old->fresh_until = now + kReadAgainAfter;
    } else {
      chain->failure_ = found.error();
      chain->failed_until_ = now + kLookAgainAfter;
    }
  }
  chain->looking_ = false;
  chain->looked_.notify_all();
}

Task<Result<AwsCredentialChain::Found>> AwsCredentialChain::find() {
  std::function<Result<AwsCredentials>()> read = [this] { return read_files(); };
  auto filed = co_await loop_.blocking(std::move(read));
  if (filed) {
    co_return Found{std::move(*filed), false, clock_.steady() + kReadAgainAfter};
  }
  // A file that is being replaced at this moment: what was read last still counts.
  if (found_ && !found_->lent) co_return fail(filed.error());
  co_return co_await find_lent(filed.error().message);
}

Result<AwsCredentials> AwsCredentialChain::read_files() const {
  std::string profile = variable("AWS_PROFILE");
  if (profile.empty()) profile = "default";
  const auto read = [](const std::string& path, const std::string& section) {
    const auto text = os::read_file(path, kFileBytesMax);
    return text ? parse_aws_credentials(*text, section)
                : Result<AwsCredentials>(fail(text.error()));
  };
  auto found = read(home_file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), profile);
  if (found) return found;
  auto configured = read(home_file("AWS_CONFIG_FILE", "config"),
                         profile == "default" ? profile : "profile " + profile);
  return configured ? configured : found;
}

Task<Result<AwsCredentialChain::Found>> AwsCredentialChain::find_lent(std::string nowhere_else) {
  CO_TRY_ASSIGN(std::string container, metadata_->container_url());
  if (!container.empty()) {
    CO_TRY_ASSIGN(auto got, co_await metadata_->from_container(std::move(container)));
    co_return lent(std::move(got.credentials), got.expires_at);
  }
  auto got = co_await metadata_->from_instance();
  if (got) co_return lent(std::move(got->credentials), got->expires_at);
  co_return fail(
      Code::unauthenticated,
      "there are no credentials for the bucket: " + nowhere_else + "; " + got.error().message,
      "set blob.s3_access_key_id and its secret, AWS_ACCESS_KEY_ID and "
      "AWS_SECRET_ACCESS_KEY, or " +
          home_file("AWS_SHARED_CREDENTIALS_FILE", "credentials"));
}

Result<AwsCredentialChain::Found> AwsCredentialChain::lent(AwsCredentials credentials,
                                                           std::optional<Time> expires_at) const {
  Found found{std::move(credentials), true, clock_.steady() + kLentUnsaid, expires_at};
  if (!expires_at) return found;
  const Duration left = *expires_at - clock_.now();
  if (left <= Duration(0)) {
    return fail(Code::unavailable, "the credentials that were lent have expired already");
  }
  found.fresh_until = clock_.steady() + left - std::min(kRenewBefore, left / 2);
  return found;
}

}  // namespace nimbus::blob
