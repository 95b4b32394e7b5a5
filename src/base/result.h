// Result<T>: what every operation returns that can fail for reasons outside this program's control.
// An Error says what was attempted and why it failed (`message`, outermost context first), and what
// the reader can do about it (`hint`, may be empty). Eleven codes, one table to HTTP and exit
// status.
//
// Three kinds of outcome, no fourth: an expected outcome is an optional or an enum; an operating
// failure is a Result; a bug is a CHECK. Reading the value of a failed Result aborts.
//
// Threads: values; no shared state.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

namespace nimbus {

enum class Code {
  bad_request,           // 400: the input is wrong and will stay wrong
  unauthenticated,       // 401: no credential, or one that is not valid
  forbidden,             // 403: a valid credential that may not do this
  not_found,             // 404: absent, or another org's (existence is a secret)
  conflict,              // 409: the state has moved on, a stale fence for instance
  too_large,             // 413: over a named limit
  too_many_requests,     // 429: later, not now
  unavailable,           // 503: a dependency is away; the only code worth retrying
  insufficient_storage,  // 507: the disk is full; reads go on
  corrupt,               // 500: stored bytes are not what was stored
  internal,              // 500: the operating system or a library refused
};

std::string_view to_string(Code code);
int http_status(Code code);

struct Error {
  Code code = Code::internal;
  std::string message;
  std::string hint = {};

  // The same error with what the caller was doing put in front: "context: message".
  Error in(std::string_view context) &&;
};

// An Error from errno: "what: No such file or directory".
Error errno_error(std::string_view what, int error_number);

template <typename T = void>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Code code, std::string message, std::string hint = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(hint)});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

namespace result_detail {
template <typename T>
T take(Result<T>&& result) {
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
}  // namespace result_detail

}  // namespace nimbus

// `auto x = TRY(expr);` yields the value or returns the error from the enclosing function.
#define TRY(expr)                                                                  \
  ({                                                                               \
    auto nimbus_result_ = (expr);                                                  \
    if (!nimbus_result_) return ::nimbus::fail(std::move(nimbus_result_).error()); \
    ::nimbus::result_detail::take(std::move(nimbus_result_));                      \
  })

// The same, adding what this layer was doing.
#define TRY_IN(context, expr)                                                                  \
  ({                                                                                           \
    auto nimbus_result_ = (expr);                                                              \
    if (!nimbus_result_) return ::nimbus::fail(std::move(nimbus_result_).error().in(context)); \
    ::nimbus::result_detail::take(std::move(nimbus_result_));                                  \
  })

// Inside a coroutine a statement expression may not suspend, so these are statements:
//   CO_TRY(co_await store.write(...));
//   CO_TRY_ASSIGN(auto job, co_await store.read(...));
#define NIMBUS_CONCAT_INNER(a, b) a##b
#define NIMBUS_CONCAT(a, b) NIMBUS_CONCAT_INNER(a, b)
#define CO_TRY(expr) NIMBUS_CO_TRY_IMPL(NIMBUS_CONCAT(nimbus_result_, __LINE__), expr)
// The names are declared by these macros, where parentheses would be no C++.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define NIMBUS_CO_TRY_IMPL(name, expr) \
  auto name = (expr);                  \
  if (!name) co_return ::nimbus::fail(std::move(name).error())
#define CO_TRY_ASSIGN(target, expr) \
  NIMBUS_CO_TRY_ASSIGN_IMPL(NIMBUS_CONCAT(nimbus_result_, __LINE__), target, expr)
#define NIMBUS_CO_TRY_ASSIGN_IMPL(name, target, expr)           \
  auto name = (expr);                                           \
  if (!name) co_return ::nimbus::fail(std::move(name).error()); \
  target = ::nimbus::result_detail::take(std::move(name))
// NOLINTEND(bugprone-macro-parentheses)
