#include "dashboard/session_routes.h"

#include <boost/json.hpp>

#include "access/access_fixture.h"
#include "api/request_rules.h"
#include "base/json.h"

using namespace nimbus;
using namespace nimbus::access;
using namespace nimbus::dashboard;

namespace {

struct SignIn : AccessFixture {
  SessionRoutes routes{{authenticator, tokens, sessions}};
  net::Router router;
  SignIn() {
    routes.add_to(router);
    router.guard(api::request_rules());
  }

  net::Response sign_in(const std::string& token) {
    return serve(router, "POST", "/api/v1/session", "", "{\"token\":\"" + token + "\"}");
  }
  // The cookie's value in an answer.
  static std::string cookie_of(const net::Response& response) {
    const std::string header(response.headers.find("Set-Cookie").value_or(""));
    const size_t start = header.find('=') + 1;
    return header.substr(start, header.find(';') - start);
  }
  static std::string csrf_of(const net::Response& response) {
    return std::string(parse_json_object(response.body)->at("csrf").as_string());
  }
  net::Response with(std::string method, const std::string& cookie, const std::string& csrf = "") {
    net::Request made = request(std::move(method), "/api/v1/session");
    made.headers.set("Cookie", "nimbus_session=" + cookie);
    if (!csrf.empty()) made.headers.set(kCsrfHeader, csrf);
    return serve(router, std::move(made));
  }
};

}  // namespace

TEST_CASE_FIXTURE(SignIn,
                  "a token is traded for a cookie that scripts and other sites cannot use") {
  const auto response = sign_in(token(Role::operator_, "Acme"));
  CHECK_EQ(response.status, 200);
  const auto body = *parse_json_object(response.body);
  CHECK_EQ(body.at("role").as_string(), "operator");
  CHECK_EQ(body.at("org").as_string(), "Acme");
  const std::string header(response.headers.find("Set-Cookie").value_or(""));
  CHECK(header.starts_with("nimbus_session=nbs_"));
  CHECK_NE(header.find("; HttpOnly"), std::string::npos);
  CHECK_NE(header.find("; SameSite=Strict"), std::string::npos);
  CHECK_NE(header.find("; Path=/;"), std::string::npos);
  CHECK_EQ(header.find("Secure"), std::string::npos);
}

TEST_CASE_FIXTURE(SignIn, "over TLS the cookie is for TLS alone") {
  net::Request made =
      request("POST", "/api/v1/session", "", "{\"token\":\"" + token(Role::viewer, "*") + "\"}");
  made.secure = true;
  CHECK_NE(serve(router, std::move(made)).headers.find("Set-Cookie")->find("; Secure"),
           std::string_view::npos);
}

TEST_CASE_FIXTURE(SignIn, "what is no operator's token signs nobody in") {
  CHECK_EQ(sign_in("nbt_wrong").status, 401);
  CHECK_EQ(sign_in("").status, 401);
  CHECK_EQ(sign_in(token_of(TokenKind::ingest, "acme")).status, 403);
  CHECK_EQ(sign_in(token_of(TokenKind::agent, "", "agent-1")).status, 403);
  CHECK_EQ(sign_in(token_of(TokenKind::enrolment)).status, 403);
  CHECK_EQ(sign_in(job_tokens.sign(claims())).status, 403);
  for (const auto* body : {"", "[]", "{}", "{\"token\":1}", "{\"token\":\"x\",\"more\":1}"}) {
    CHECK_EQ(serve(router, "POST", "/api/v1/session", "", body).status, 400);
  }
}

TEST_CASE_FIXTURE(SignIn, "a page of another site cannot sign anybody in") {
  net::Request made =
      request("POST", "/api/v1/session", "", "{\"token\":\"" + token(Role::viewer, "*") + "\"}");
  net::Request own = made;
  made.headers.set("Sec-Fetch-Site", "cross-site");
  own.headers.set("Sec-Fetch-Site", "same-origin");
  CHECK_EQ(serve(router, std::move(made)).status, 403);
  CHECK_EQ(serve(router, std::move(own)).status, 200);
}

TEST_CASE_FIXTURE(SignIn, "guessing tokens at the door is stopped") {
  int status = 0;
  for (int i = 0; i < 200 && status != 429; ++i)
    status = sign_in("nbt_" + std::to_string(i)).status;
  CHECK_EQ(status, 429);
}

TEST_CASE_FIXTURE(SignIn, "the session is shown to its own page, and to nobody without it") {
  const auto opened = sign_in(token(Role::viewer, "acme"));
  const auto shown = with("GET", cookie_of(opened));
  CHECK_EQ(shown.status, 200);
  CHECK_EQ(csrf_of(shown), csrf_of(opened));
  CHECK_EQ(with("GET", "nbs_wrong").status, 401);
  CHECK_EQ(serve(router, "GET", "/api/v1/session", "").status, 401);
  CHECK_EQ(csrf_of(serve(router, "GET", "/api/v1/session", token(Role::viewer, "acme"))), "");
}

TEST_CASE_FIXTURE(SignIn, "signing out ends the session and needs the page's own value") {
  const auto opened = sign_in(token(Role::viewer, "acme"));
  const std::string cookie = cookie_of(opened);
  CHECK_EQ(with("DELETE", cookie).status, 403);
  CHECK_EQ(with("GET", cookie).status, 200);
  const auto closed = with("DELETE", cookie, csrf_of(opened));
  CHECK_EQ(closed.status, 204);
  CHECK_EQ(cookie_of(closed), "");
  CHECK_EQ(with("GET", cookie).status, 401);
  CHECK_EQ(with("DELETE", cookie).status, 204);
  CHECK_EQ(serve(router, "DELETE", "/api/v1/session", "").status, 204);
}
