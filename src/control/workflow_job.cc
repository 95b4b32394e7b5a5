#include "control/workflow_job.h"

#include <array>

#include "base/text.h"
#include "control/json_document.h"
#include "control/labels.h"

namespace nimbus::control {
namespace {

using Element = simdjson::dom::element;
using Object = simdjson::dom::object;

constexpr std::array<std::string_view, 4> kRanks = {"waiting", "queued", "in_progress",
                                                    "completed"};
constexpr size_t kTextBytesMax = 1024;  // GitHub's names are shorter

tl::unexpected<Error> wrong(std::string_view field, std::string_view what) {
  return fail(Code::bad_request, "field '" + std::string(field) + "' " + std::string(what));
}

// The fields of one object by name, each once; the rest of the object is passed over.
template <size_t N>
class Fields {
 public:
  static Result<Fields> read(const Object& object, const std::array<std::string_view, N>& names,
                             std::string_view prefix) {
    Fields fields(names, prefix);
    for (const auto [key, value] : object) {
      for (size_t i = 0; i < N; ++i) {
        if (key != names[i]) continue;
        if (fields.present_[i]) return wrong(fields.full(i), "stands there twice");
        fields.present_[i] = true;
        fields.values_[i] = value;
      }
    }
    return fields;
  }

  // Absent and null are the same: "".
  Result<std::string> find_text(size_t i) const {
    if (is_absent(i)) return std::string();
    std::string_view text;
    if (values_[i].get_string().get(text) != simdjson::SUCCESS) {
      return wrong(full(i), "must be a string");
    }
    if (text.size() > kTextBytesMax) return wrong(full(i), "is too long");
    return std::string(text);
  }
  Result<std::string> read_text(size_t i) const {
    std::string text = TRY(find_text(i));
    if (text.empty()) return wrong(full(i), "is missing");
    return text;
  }
  Result<std::optional<int64_t>> find_id(size_t i) const {
    if (is_absent(i)) return std::nullopt;
    int64_t number = 0;
    if (values_[i].get_int64().get(number) != simdjson::SUCCESS || number < 1) {
      return wrong(full(i), "must be a positive integer");
    }
    return number;
  }
  Result<int64_t> read_id(size_t i) const {
    const auto id = TRY(find_id(i));
    if (!id) return wrong(full(i), "is missing");
    return *id;
  }
  Result<std::optional<Object>> find_object(size_t i) const {
    if (is_absent(i)) return std::nullopt;
    Object object;
    if (values_[i].get_object().get(object) != simdjson::SUCCESS) {
      return wrong(full(i), "must be an object");
    }
    return object;
  }
  Result<Object> read_object(size_t i) const {
    const auto object = TRY(find_object(i));
    if (!object) return wrong(full(i), "is missing");
    return *object;
  }
  Result<std::vector<std::string>> read_texts(size_t i, size_t most) const {
    simdjson::dom::array array;
    if (is_absent(i)) return wrong(full(i), "is missing");
    if (values_[i].get_array().get(array) != simdjson::SUCCESS) {
      return wrong(full(i), "must be an array of strings");
    }
    std::vector<std::string> texts;
    for (const Element item : array) {
      std::string_view text;
      if (item.get_string().get(text) != simdjson::SUCCESS) {
        return wrong(full(i), "must be an array of strings");
      }
      if (texts.size() == most || text.size() > kTextBytesMax) return wrong(full(i), "is too long");
      texts.emplace_back(text);
    }
    return texts;
  }
  Result<std::optional<Time>> find_time(size_t i) const {
    const std::string text = TRY(find_text(i));
    if (text.empty()) return std::nullopt;
    const auto time = parse_rfc3339(text);
    if (!time) return wrong(full(i), "must be an RFC 3339 time");
    return *time;
  }

 private:
  Fields(const std::array<std::string_view, N>& names, std::string_view prefix)
      : names_(names), prefix_(prefix) {}
  bool is_absent(size_t i) const { return !present_[i] || values_[i].is_null(); }
  std::string full(size_t i) const { return std::string(prefix_) + std::string(names_[i]); }

  const std::array<std::string_view, N>& names_;
  std::string_view prefix_;
  std::array<Element, N> values_{};
  std::array<bool, N> present_{};
};

namespace top {
enum { action, workflow_job, repository, installation };
constexpr std::array<std::string_view, 4> kNames = {"action", "workflow_job", "repository",
                                                    "installation"};
}  // namespace top

namespace job {
enum {
  id,
  run_id,
  run_attempt,
  status,
  conclusion,
  labels,
  runner_name,
  head_sha,
  head_branch,
  workflow_name,
  name,
  html_url,
  created_at,
  started_at,
  completed_at
};
constexpr std::array<std::string_view, 15> kNames = {
    "id",     "run_id",      "run_attempt", "status",      "conclusion",
    "labels", "runner_name", "head_sha",    "head_branch", "workflow_name",
    "name",   "html_url",    "created_at",  "started_at",  "completed_at"};
}  // namespace job

namespace repository {
enum { name, owner, default_branch };
constexpr std::array<std::string_view, 3> kNames = {"name", "owner", "default_branch"};
}  // namespace repository

namespace owner {
enum { login, id };
constexpr std::array<std::string_view, 2> kNames = {"login", "id"};
}  // namespace owner

constexpr std::array<std::string_view, 1> kInstallationNames = {"id"};

std::optional<GithubRank> find_rank(std::string_view action) {
  for (size_t i = 0; i < kRanks.size(); ++i) {
    if (kRanks[i] == action) return static_cast<GithubRank>(i);
  }
  return std::nullopt;
}

Result<void> read_job(const Object& object, WorkflowJob& into) {
  const auto fields = TRY(Fields<15>::read(object, job::kNames, "workflow_job."));
  into.job_id = TRY(fields.read_id(job::id));
  into.run_id = TRY(fields.read_id(job::run_id));
  into.run_attempt = TRY(fields.find_id(job::run_attempt)).value_or(1);
  const std::string status = TRY(fields.find_text(job::status));
  if (into.rank == GithubRank::queued && status == "waiting") into.rank = GithubRank::waiting;
  into.conclusion = TRY(fields.find_text(job::conclusion));
  if (into.rank == GithubRank::completed && into.conclusion.empty()) {
    return wrong("workflow_job.conclusion", "is missing");
  }
  into.labels = TRY(fields.read_texts(job::labels, kLabelsMax));
  into.runner_name = TRY(fields.find_text(job::runner_name));
  into.head_sha = TRY(fields.find_text(job::head_sha));
  into.head_branch = TRY(fields.find_text(job::head_branch));
  into.workflow_name = TRY(fields.find_text(job::workflow_name));
  into.name = TRY(fields.find_text(job::name));
  into.html_url = TRY(fields.find_text(job::html_url));
  std::optional<Time> newest;
  for (const int field : {job::created_at, job::started_at, job::completed_at}) {
    const auto time = TRY(fields.find_time(static_cast<size_t>(field)));
    if (time && (!newest || *time > *newest)) newest = time;
  }
  if (!newest) return wrong("workflow_job.created_at", "is missing");
  into.newest = *newest;
  return {};
}

Result<void> read_repository(const Object& object, WorkflowJob& into) {
  const auto fields = TRY(Fields<3>::read(object, repository::kNames, "repository."));
  into.repo = TRY(fields.read_text(repository::name));
  into.default_branch = TRY(fields.find_text(repository::default_branch));
  const Object owner = TRY(fields.read_object(repository::owner));
  const auto owner_fields = TRY(Fields<2>::read(owner, owner::kNames, "repository.owner."));
  into.owner = TRY(owner_fields.read_text(owner::login));
  into.owner_id = TRY(owner_fields.find_id(owner::id));
  return {};
}

}  // namespace

std::string_view to_string(GithubRank rank) { return kRanks[static_cast<size_t>(rank)]; }

Result<std::optional<WorkflowJob>> parse_workflow_job(std::string_view body) {
  Document document;
  const Object root = TRY(document.parse(body));
  const auto fields = TRY(Fields<4>::read(root, top::kNames, ""));
  const auto rank = find_rank(TRY(fields.read_text(top::action)));
  if (!rank) return std::nullopt;
  WorkflowJob event;
  event.rank = *rank;
  TRY(read_job(TRY(fields.read_object(top::workflow_job)), event));
  TRY(read_repository(TRY(fields.read_object(top::repository)), event));
  if (const auto installation = TRY(fields.find_object(top::installation))) {
    const auto installation_fields =
        TRY(Fields<1>::read(*installation, kInstallationNames, "installation."));
    event.installation_id = TRY(installation_fields.find_id(0));
  }
  return event;
}

Result<OtherEvent> parse_other_event(std::string_view body) {
  Document document;
  const Object root = TRY(document.parse(body));
  OtherEvent event;
  std::string_view text;
  if (root["action"].get_string().get(text) == simdjson::SUCCESS) event.action = text.substr(0, 64);
  const auto repository = root["repository"];
  if (repository["owner"]["login"].get_string().get(text) == simdjson::SUCCESS) {
    event.owner = text.substr(0, 100);
  }
  if (repository["name"].get_string().get(text) == simdjson::SUCCESS) {
    event.repo = text.substr(0, 100);
  }
  return event;
}

}  // namespace nimbus::control
