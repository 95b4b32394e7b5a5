#include "telemetry/embedded_clickhouse.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "net/server.h"
#include "telemetry/chdb.h"
#include "telemetry/engine_hardening.h"
#include "telemetry/statement.h"

namespace nimbus::telemetry {
namespace {

using Connection = ChdbLibrary::Connection;

constexpr int kReaders = 3;
constexpr size_t kWaitingMax = 256;
constexpr size_t kInsertBytesMax = size_t{64} << 20;
constexpr int kTooManyQueries = 202;  // ClickHouse's TOO_MANY_SIMULTANEOUS_QUERIES
constexpr int kBadArguments = 36;     // BAD_ARGUMENTS

// Connections that serve one statement at a time. Belongs to the loop.
class Pool {
 public:
  explicit Pool(net::Loop& loop) : freed_(loop) {}
  void add(Connection* connection) { free_.push_back(connection); }
  // nullptr: too many wait already.
  Task<Connection*> acquire() {
    if (free_.empty() && freed_.waiting() >= kWaitingMax) co_return nullptr;
    while (free_.empty()) co_await freed_.wait(std::chrono::hours(1));
    Connection* connection = free_.back();
    free_.pop_back();
    co_return connection;
  }
  void release(Connection* connection) {
    free_.push_back(connection);
    freed_.notify_all();
  }

 private:
  std::vector<Connection*> free_;
  net::Notifier freed_;
};

net::Response exception(int code, std::string text) {
  net::Response response = net::Response::text(code == kBadArguments ? 400 : 500, std::move(text));
  response.headers.add("X-ClickHouse-Exception-Code", std::to_string(code));
  return response;
}

// Data goes to the engine through a file of its own in memory, never inside the statement.
ChdbAnswer run_insert(Connection& connection, const EngineStatement& statement,
                      std::string_view data) {
  const int fd = memfd_create("insert", MFD_CLOEXEC);
  ChdbAnswer answer;
  if (fd < 0) {
    answer.error = "memfd_create: " + std::string(std::strerror(errno));
    return answer;
  }
  size_t written = 0;
  while (written < data.size()) {
    const ssize_t n = write(fd, data.data() + written, data.size() - written);
    if (n <= 0) break;
    written += static_cast<size_t>(n);
  }
  if (written == data.size()) {
    const std::string sql = insert_from(statement, "/proc/self/fd/" + std::to_string(fd));
    answer = connection.query(sql, "Null", statement.parameters);
  } else {
    answer.error = "no memory for the data";
  }
  close(fd);
  return answer;
}

struct Engine {
  explicit Engine(net::Loop& l) : loop(l), readers(l), writers(l) {}
  net::Loop& loop;
  Pool readers;
  Pool writers;
};

Task<net::Response> answer_query(Engine& engine, net::Request& request) {
  const auto statement = parse_statement(request.query, request.body);
  if (!statement) co_return exception(kBadArguments, statement.error().message + "\n");
  const bool inserts = statement->kind == EngineStatement::Kind::insert;
  Pool& pool = statement->kind == EngineStatement::Kind::read ? engine.readers : engine.writers;
  Connection* connection = co_await pool.acquire();
  if (connection == nullptr) co_return exception(kTooManyQueries, "too many statements wait\n");
  std::function<ChdbAnswer()> work = [&statement, &request, connection, inserts] {
    return inserts ? run_insert(*connection, *statement, request.body)
                   : connection->query(statement->sql, statement->format, statement->parameters);
  };
  ChdbAnswer answer = co_await engine.loop.blocking<ChdbAnswer>(std::move(work));
  pool.release(connection);
  if (!answer.error.empty()) co_return exception(answer.exception_code, answer.error + "\n");
  net::Response response = net::Response::text(200, std::move(answer.data));
  response.headers.set("Content-Type", "application/octet-stream");
  co_return response;
}

int refuse(const std::string& what) {
  std::fprintf(stderr, "clickhouse-embedded: %s\n", what.c_str());
  return 1;
}

// Held for the life of the process; -1 when another one has it.
int lock_directory(const std::string& directory) {
  const int fd = open((directory + "/nimbus.lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

Result<std::unique_ptr<Connection>> open_connection(const ChdbLibrary& library,
                                                    const std::string& directory) {
  auto connection = TRY(library.connect(directory));
  for (const char* sql : {"CREATE DATABASE IF NOT EXISTS nimbus", "USE nimbus"}) {
    const ChdbAnswer answer = connection->query(sql, "Null", {});
    if (!answer.error.empty()) return fail(Code::unavailable, answer.error);
  }
  return connection;
}

net::Router make_router(Engine& engine) {
  net::Router router;
  router.get("/ping", [](net::Request&) -> Task<net::Response> {
    co_return net::Response::text(200, "Ok.\n");
  });
  router.post("/",
              [&engine](net::Request& request) -> Task<net::Response> {
                return answer_query(engine, request);
              },
              {.body_bytes_max = kInsertBytesMax});
  return router;
}

Result<void> serve(const ChdbLibrary& library, const EmbeddedClickhouseOptions& options) {
  net::Loop loop(kReaders + 1);
  Engine engine(loop);
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i <= kReaders; ++i) {
    connections.push_back(TRY(open_connection(library, options.directory)));
    (i == 0 ? engine.writers : engine.readers).add(connections.back().get());
  }
  net::ServerOptions server_options;
  server_options.address = "unix:" + options.socket;
  server_options.body_timeout = std::chrono::seconds(60);
  auto server = TRY(net::Server::listen(loop, make_router(engine), server_options));
  boost::asio::signal_set signals(loop.context(), SIGTERM);
  // No orderly close: parts are whole after any death, and taking the library down can hang.
  signals.async_wait([&options](const boost::system::error_code&, int) {
    unlink(options.socket.c_str());
    _exit(0);
  });
  loop.run();
  return {};
}

}  // namespace

bool parse_embedded_options(int argc, const char* const* argv, EmbeddedClickhouseOptions& options) {
  for (int i = 0; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--path") options.directory = argv[i + 1];
    if (name == "--socket") options.socket = argv[i + 1];
    if (name == "--library") options.library = argv[i + 1];
  }
  if (!options.directory.empty() && !options.socket.empty() && !options.library.empty())
    return true;
  refuse("takes --path DIR --socket SOCKET --library LIBCHDB; nimbus starts it itself");
  return false;
}

int run_embedded_clickhouse(const EmbeddedClickhouseOptions& given) {
  const char* parent = std::getenv("NIMBUS_ENGINE_PARENT");
  if (!die_with_parent(parent != nullptr ? std::atoi(parent) : 0)) return 1;
  prctl(PR_SET_NAME, "nimbus-clickh");  // started as /proc/self/exe, it would be called "exe"
  // Freed blocks go back to the system: this process idles most of its life.
  mallopt(M_ARENA_MAX, 2);
  EmbeddedClickhouseOptions options = given;
  mkdir(options.directory.c_str(), 0700);
  char resolved[PATH_MAX];
  // The engine syncs by absolute paths only.
  if (realpath(options.directory.c_str(), resolved) == nullptr) {
    return refuse(errno_error("opening " + options.directory, errno).message);
  }
  options.directory = resolved;
  if (lock_directory(options.directory) < 0) {
    return refuse("another process has " + options.directory + " open");
  }
  auto library = ChdbLibrary::load(options.library);
  if (!library) return refuse(library.error().message);
  // The engine takes whatever standard input has as data of an insert.
  if (const int null = open("/dev/null", O_RDWR | O_CLOEXEC); null >= 0) dup2(null, STDIN_FILENO);
  const size_t slash = options.socket.rfind('/');
  give_up_privileges({options.directory,
                      slash == std::string::npos ? "." : options.socket.substr(0, slash + 1),
                      options.library});
  const auto served = serve(**library, options);
  if (!served) refuse(served.error().message);
  _exit(served ? 0 : 1);
}

}  // namespace nimbus::telemetry
