#include "db/database.h"

#include <future>

#include "base/check.h"
#include "db/sqlite.h"

namespace nimbus::db {
namespace {

constexpr std::string_view kSqliteScheme = "sqlite:";

using Submit = std::function<void(Work, std::function<void(Result<void>)>)>;

Result<void> wait_for(const Submit& submit, const Work& work) {
  std::promise<Result<void>> promise;
  submit(work, [&promise](Result<void> result) { promise.set_value(std::move(result)); });
  return promise.get_future().get();
}

}  // namespace

bool Row::is_null(size_t column) const {
  CHECK(column < values_.size());
  return std::holds_alternative<std::monostate>(values_[column]);
}

int64_t Row::integer(size_t column) const {
  CHECK(column < values_.size() && std::holds_alternative<int64_t>(values_[column]));
  return std::get<int64_t>(values_[column]);
}

double Row::real(size_t column) const {
  CHECK(column < values_.size());
  if (const auto* number = std::get_if<int64_t>(&values_[column])) {
    return static_cast<double>(*number);
  }
  CHECK(std::holds_alternative<double>(values_[column]));
  return std::get<double>(values_[column]);
}

const std::string& Row::text(size_t column) const {
  CHECK(column < values_.size() && std::holds_alternative<std::string>(values_[column]));
  return std::get<std::string>(values_[column]);
}

std::optional<int64_t> Row::find_integer(size_t column) const {
  if (is_null(column)) return std::nullopt;
  return integer(column);
}

std::optional<std::string> Row::find_text(size_t column) const {
  if (is_null(column)) return std::nullopt;
  return text(column);
}

std::optional<Time> Row::find_time(size_t column) const {
  if (is_null(column)) return std::nullopt;
  return time(column);
}

Result<void> Database::check_url(std::string_view url) {
  if (url.starts_with(kSqliteScheme)) return {};
  return fail(Code::bad_request,
              "control.database '" + std::string(url) + "' is of no known engine",
              "write sqlite:PATH");
}

Result<std::unique_ptr<Database>> Database::open(const DatabaseOptions& options) {
  TRY(check_url(options.url));
  return open_sqlite(options.url.substr(kSqliteScheme.size()), options);
}

Result<void> Database::write_now(const Work& work) {
  return wait_for([this](Work w, auto done) { submit_write(std::move(w), std::move(done)); }, work);
}

Result<void> Database::read_now(const Work& work) {
  return wait_for([this](Work w, auto done) { submit_read(std::move(w), std::move(done)); }, work);
}

}  // namespace nimbus::db
