#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>

#include "net/net_fixture.h"

using namespace nimbus;
using namespace nimbus::net;

namespace {

// A folder with a self-signed certificate for "localhost", which is its own authority.
class Certificates {
 public:
  Certificates() {
    static int count = 0;
    folder_ = std::filesystem::temp_directory_path() /
              ("nimbus-tls-" + std::to_string(getpid()) + "-" + std::to_string(++count));
    std::filesystem::create_directories(folder_);
  }
  ~Certificates() { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }
  TlsFiles files() const { return {path("cert.pem"), path("key.pem")}; }

  void make(const std::string& common_name) const {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    const auto* text = reinterpret_cast<const unsigned char*>(common_name.c_str());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    extend(certificate, NID_subject_alt_name, "DNS:" + common_name);
    extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(certificate, key, EVP_sha256());
    write("cert.pem", [&](FILE* file) { PEM_write_X509(file, certificate); });
    write("key.pem", [&](FILE* file) {
      PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    });
    X509_free(certificate);
    EVP_PKEY_free(key);
  }

 private:
  static void extend(X509* certificate, int kind, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  void write(const std::string& name, const std::function<void(FILE*)>& put) const {
    FILE* file = std::fopen(path(name).c_str(), "w");
    put(file);
    std::fclose(file);
  }
  std::filesystem::path folder_;
};

ServerOptions with_tls(const Certificates& certificates) {
  ServerOptions options;
  options.tls = certificates.files();
  return options;
}

std::string https(const RunningServer& running, const std::string& host, std::string_view path) {
  return "https://" + host + ":" + std::to_string(running.server->port()) + std::string(path);
}

ClientOptions trusting(const Certificates& certificates) {
  ClientOptions options;
  options.ca_file = certificates.path("cert.pem");
  return options;
}

}  // namespace

TEST_CASE("a request goes over TLS and says so") {
  Certificates certificates;
  certificates.make("localhost");
  Router router;
  router.post("/secure", [](Request& request) -> Task<Response> {
    co_return Response::text(200, (request.secure ? "secure " : "plain ") + request.body);
  });
  RunningServer running(std::move(router), with_tls(certificates));
  ClientRequest request;
  request.method = "POST";
  request.url = https(running, "localhost", "/secure");
  request.body = std::string(300'000, 'x');
  const auto answer = send_request(request, trusting(certificates));
  REQUIRE_MESSAGE(answer, (answer ? "" : answer.error().message));
  CHECK(answer->body == "secure " + request.body);
}

TEST_CASE("a certificate of an unknown authority is refused") {
  Certificates certificates;
  certificates.make("localhost");
  RunningServer running(echo_router(), with_tls(certificates));
  CHECK(get(https(running, "localhost", "/hello")).error().code == Code::unavailable);
}

TEST_CASE("a certificate of another host is refused") {
  Certificates certificates;
  certificates.make("example.org");
  RunningServer running(echo_router(), with_tls(certificates));
  CHECK(get(https(running, "localhost", "/hello"), trusting(certificates)).error().code ==
        Code::unavailable);
}

TEST_CASE("a reloaded certificate serves new connections") {
  Certificates certificates;
  certificates.make("example.org");
  RunningServer running(echo_router(), with_tls(certificates));
  certificates.make("localhost");
  CHECK(!get(https(running, "localhost", "/hello"), trusting(certificates)));
  std::atomic<int> reloaded = 0;
  running.loop.post([&] { reloaded = running.server->reload_tls() ? 1 : 2; });
  REQUIRE(wait_until([&] { return reloaded != 0; }));
  CHECK(reloaded == 1);
  CHECK(get(https(running, "localhost", "/hello"), trusting(certificates))->status == 200);
}

TEST_CASE("an unusable certificate leaves the old one in use") {
  Certificates certificates;
  certificates.make("localhost");
  const ClientOptions trust = trusting(certificates);
  RunningServer running(echo_router(), with_tls(certificates));
  Certificates other;
  other.make("localhost");
  std::filesystem::copy_file(other.path("key.pem"), certificates.path("key.pem"),
                             std::filesystem::copy_options::overwrite_existing);
  std::atomic<int> reloaded = 0;
  running.loop.post([&] { reloaded = running.server->reload_tls() ? 1 : 2; });
  REQUIRE(wait_until([&] { return reloaded != 0; }));
  CHECK(reloaded == 2);
  CHECK(get(https(running, "localhost", "/hello"), trust)->status == 200);
}

TEST_CASE("a server with unusable TLS files does not start") {
  Certificates certificates;
  Loop loop;
  const auto server = Server::listen(loop, Router(), with_tls(certificates));
  REQUIRE(!server);
  CHECK(server.error().code == Code::bad_request);
  CHECK(server.error().message.find("cert.pem") != std::string::npos);
}

TEST_CASE("a connection over TLS is kept across streamed answers") {
  Certificates certificates;
  certificates.make("localhost");
  Router router = echo_router();
  router.get("/stream", [](Request&) -> Task<Response> {
    co_return Response::streamed("text/plain", [](BodyWriter& writer) -> Task<void> {
      const std::string piece(40'000, 'y');
      for (int i = 0; i < 5; ++i) {
        if (!co_await writer.write(piece)) co_return;
      }
    });
  });
  RunningServer running(std::move(router), with_tls(certificates));
  const std::string url = https(running, "localhost", "/stream");
  const ClientOptions options = trusting(certificates);
  const size_t total = run_task<size_t>([url, options](Loop& loop) -> Task<size_t> {
    Client client(loop, options);
    ClientRequest request;
    request.url = url;
    size_t bytes = 0;
    for (int i = 0; i < 4; ++i) {
      auto answer = co_await client.send(request);
      if (answer) bytes += answer->body.size();
    }
    co_return bytes;
  });
  CHECK(total == 800'000);
}

TEST_CASE("a client that never finishes the handshake is let go") {
  Certificates certificates;
  certificates.make("localhost");
  ServerOptions options = with_tls(certificates);
  options.header_timeout = std::chrono::milliseconds(60);
  RunningServer running(echo_router(), options);
  RawPeer peer(running);
  CHECK(peer.closed());
}
