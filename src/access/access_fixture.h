// For tests here and in the folders that serve these credentials: a database of its own with the
// access tables, a clock that stands still, and one of everything. Threads: one.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "access/authenticator.h"
#include "base/fake_clock.h"
#include "base/random.h"
#include "db/database.h"
#include "db/migrate.h"
#include "net/loop.h"
#include "net/router.h"

namespace nimbus::access {

struct AccessFixture {
  std::string dir = make_dir();
  FakeClock clock;
  SeededRandom random{7};
  net::Loop loop{1};
  std::unique_ptr<db::Database> database = open(dir);
  TokenBook tokens{*database, clock, random};
  SessionBook sessions{*database, tokens, clock, random};
  JobTokens job_tokens{{Secret("0123456789abcdef0123456789abcdef")}};
  EndedLeases ended_leases{*database, clock};
  Authenticator authenticator{{tokens, sessions, job_tokens, ended_leases, clock}};

  AccessFixture() { migrate(access_migrations()); }
  ~AccessFixture() {
    database.reset();
    std::filesystem::remove_all(dir);
  }

  void migrate(const db::MigrationSet& set) {
    REQUIRE(db::migrate(*database, set, clock.now()).has_value());
  }

  // Runs a Task to its end on the loop.
  template <typename T>
  T run(Task<T> task) {
    std::optional<T> outcome;
    loop.spawn(collect<T>(std::move(task), outcome), "test");
    loop.run();
    REQUIRE(outcome.has_value());
    return std::move(*outcome);
  }
  // The same for one that must succeed.
  template <typename T>
  T must(Task<Result<T>> task) {
    auto outcome = run(std::move(task));
    INFO((outcome ? std::string() : outcome.error().message));
    REQUIRE(outcome.has_value());
    if constexpr (!std::is_void_v<T>) return std::move(*outcome);
  }

  // Waits for the writes that nobody waits for.
  void settle() {
    REQUIRE(database->write_now([](db::Transaction&) -> Result<void> { return {}; }).has_value());
  }

  // A new token's text.
  std::string token(Role role, std::string_view org, std::optional<Time> expires_at = {}) {
    TokenRequest request;
    request.name = "test";
    request.role = role;
    request.orgs = OrgScope::parse(org);
    request.expires_at = expires_at;
    return must(tokens.issue(std::move(request), "test")).text.reveal();
  }
  std::string token_of(TokenKind kind, std::string_view org = "", std::string_view agent = "") {
    TokenRequest request;
    request.kind = kind;
    request.name = "test";
    request.orgs = OrgScope::parse(org);
    request.agent = {std::string(agent)};
    if (kind == TokenKind::enrolment) request.expires_at = clock.now() + kEnrolmentTtl;
    return must(tokens.issue(std::move(request), "test")).text.reveal();
  }
  JobClaims claims(std::string org = "acme") {
    return make_job_claims({.org = std::move(org),
                            .repo = "app",
                            .ref = "refs/heads/main",
                            .base_ref = "",
                            .default_ref = "refs/heads/main",
                            .job = {12},
                            .fence = {3},
                            .now = clock.now(),
                            .expires_at = clock.now() + std::chrono::seconds(60)});
  }

  static net::Request request(std::string method, std::string path, std::string_view bearer = "",
                              std::string body = "") {
    net::Request request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.target = request.path;
    request.peer_address = "192.0.2.1";
    request.body = std::move(body);
    if (!request.body.empty()) request.headers.set("Content-Type", "application/json");
    if (!bearer.empty()) request.headers.set("Authorization", "Bearer " + std::string(bearer));
    return request;
  }

  // What the router's handler answers, as the server would call it.
  net::Response serve(const net::Router& router, net::Request request) {
    const net::RouteMatch match = router.match(request.method, request.path);
    if (match.handler == nullptr) return net::problem(match.status, "no handler");
    request.parameters = match.parameters;
    if (auto refused = router.refuse(match, request)) return std::move(*refused);
    return run((*match.handler)(request));
  }
  net::Response serve(const net::Router& router, std::string method, std::string path,
                      std::string_view bearer, std::string body = "") {
    std::string query;
    if (const size_t mark = path.find('?'); mark != std::string::npos) {
      query = path.substr(mark + 1);
      path.resize(mark);
    }
    net::Request made = request(std::move(method), std::move(path), bearer, std::move(body));
    while (!query.empty()) {
      const std::string pair = query.substr(0, query.find('&'));
      query.erase(0, pair.size() + 1);
      made.query.emplace_back(pair.substr(0, pair.find('=')), pair.substr(pair.find('=') + 1));
    }
    return serve(router, std::move(made));
  }

 private:
  static std::string make_dir() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "nimbus-access-XXXXXX").string();
    return mkdtemp(pattern.data());
  }
  static std::unique_ptr<db::Database> open(const std::string& dir) {
    auto opened = db::Database::open({.url = "sqlite:" + dir + "/test.db"});
    REQUIRE(opened.has_value());
    return std::move(*opened);
  }
  template <typename T>
  static Task<void> collect(Task<T> task, std::optional<T>& outcome) {
    outcome.emplace(co_await std::move(task));
  }
};

}  // namespace nimbus::access
