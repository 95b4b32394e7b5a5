#include "telemetry/chdb.h"

#include <dlfcn.h>

#include <charconv>
#include <cstring>

namespace nimbus::telemetry {
namespace {

// The shapes of the library's handles; only it looks inside.
struct ChdbResult {
  void* internal;
};
struct ChdbConnection {
  void* internal;
};

int code_in(std::string_view error) {
  constexpr std::string_view kPrefix = "Code: ";
  const size_t at = error.find(kPrefix);
  if (at == std::string_view::npos) return 0;
  int code = 0;
  const char* begin = error.data() + at + kPrefix.size();
  std::from_chars(begin, error.data() + error.size(), code);
  return code;
}

}  // namespace

struct ChdbLibrary::Functions {
  void* library = nullptr;
  ChdbConnection** (*connect)(int, char**) = nullptr;
  void (*close)(ChdbConnection**) = nullptr;
  ChdbResult* (*query)(ChdbConnection*, const char*, size_t, const char*, size_t,
                       const char* const*, const size_t*, const char* const*, const size_t*,
                       size_t) = nullptr;
  void (*destroy)(ChdbResult*) = nullptr;
  char* (*buffer)(ChdbResult*) = nullptr;
  size_t (*length)(ChdbResult*) = nullptr;
  const char* (*error)(ChdbResult*) = nullptr;
};

struct ChdbLibrary::Connection::State {
  const Functions& functions;
  ChdbConnection** handle = nullptr;
};

ChdbLibrary::ChdbLibrary(std::unique_ptr<Functions> functions) : functions_(std::move(functions)) {}
// The library stays loaded: its threads do not survive an unload.
ChdbLibrary::~ChdbLibrary() = default;

Result<std::unique_ptr<ChdbLibrary>> ChdbLibrary::load(const std::string& path) {
  auto functions = std::make_unique<Functions>();
  functions->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (functions->library == nullptr) {
    const char* reason = dlerror();
    return fail(Code::unavailable, "loading libchdb: " + std::string(reason ? reason : path),
                "install it with `make deps`, or set telemetry.clickhouse to a server's URL");
  }
  std::string missing;
  auto look_up = [&](auto& target, const char* name) {
    void* symbol = dlsym(functions->library, name);
    if (symbol == nullptr) missing += std::string(missing.empty() ? "" : ", ") + name;
    std::memcpy(&target, &symbol, sizeof(symbol));
  };
  look_up(functions->connect, "chdb_connect");
  look_up(functions->close, "chdb_close_conn");
  look_up(functions->query, "chdb_query_with_params_n");
  look_up(functions->destroy, "chdb_destroy_query_result");
  look_up(functions->buffer, "chdb_result_buffer");
  look_up(functions->length, "chdb_result_length");
  look_up(functions->error, "chdb_result_error");
  if (!missing.empty()) {
    return fail(Code::unavailable, "loading libchdb: " + path + " has no " + missing,
                "install the version that package-lock.json names");
  }
  // Its own handlers of deadly signals hold a dying process for minutes; ours must end at once.
  void (*handle_signals)(int) = nullptr;
  void* symbol = dlsym(functions->library, "chdb_set_signal_handlers_enabled");
  std::memcpy(&handle_signals, &symbol, sizeof(symbol));
  if (handle_signals != nullptr) handle_signals(0);
  return std::unique_ptr<ChdbLibrary>(new ChdbLibrary(std::move(functions)));
}

Result<std::unique_ptr<ChdbLibrary::Connection>> ChdbLibrary::connect(
    const std::string& directory) const {
  std::string program = "clickhouse";
  std::string path = "--path=" + directory;
  char* arguments[] = {program.data(), path.data(), nullptr};
  auto state = std::make_unique<Connection::State>(Connection::State{*functions_});
  state->handle = functions_->connect(2, arguments);
  if (state->handle == nullptr || *state->handle == nullptr) {
    return fail(Code::unavailable, "opening the ClickHouse directory " + directory + ": refused",
                "another process may have it open");
  }
  return std::unique_ptr<Connection>(new Connection(std::move(state)));
}

ChdbLibrary::Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChdbLibrary::Connection::~Connection() { state_->functions.close(state_->handle); }

ChdbAnswer ChdbLibrary::Connection::query(std::string_view sql, std::string_view format,
                                          const ChdbParameters& parameters) {
  std::vector<const char*> names, values;
  std::vector<size_t> name_sizes, value_sizes;
  for (const auto& [name, value] : parameters) {
    names.push_back(name.data());
    name_sizes.push_back(name.size());
    values.push_back(value.data());
    value_sizes.push_back(value.size());
  }
  const Functions& f = state_->functions;
  ChdbResult* result =
      f.query(*state_->handle, sql.data(), sql.size(), format.data(), format.size(), names.data(),
              name_sizes.data(), values.data(), value_sizes.data(), names.size());
  ChdbAnswer answer;
  if (result == nullptr) {
    answer.error = "the library gave no answer";
    return answer;
  }
  if (const char* error = f.error(result); error != nullptr && *error != '\0') {
    answer.error = error;
    answer.exception_code = code_in(answer.error);
  } else if (const char* data = f.buffer(result); data != nullptr) {
    answer.data.assign(data, f.length(result));
  }
  f.destroy(result);
  return answer;
}

}  // namespace nimbus::telemetry
