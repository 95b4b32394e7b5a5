#include "net/tls.h"

#include <openssl/ssl.h>

#include <boost/asio/ssl/context.hpp>
#include <string_view>

namespace nimbus::net {
namespace {

namespace asio = boost::asio;
using error_code = boost::system::error_code;

int select_http11(SSL*, const unsigned char** out, unsigned char* out_size,
                  const unsigned char* offered, unsigned offered_size, void*) {
  static constexpr std::string_view kHttp11 = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  const int result = SSL_select_next_proto(
      &chosen, out_size, reinterpret_cast<const unsigned char*>(kHttp11.data()),
      static_cast<unsigned>(kHttp11.size()), offered, offered_size);
  *out = chosen;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

void harden(asio::ssl::context& context) {
  SSL_CTX* raw = context.native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  // Idle connections give their 34 KiB of record buffers back.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_cipher_list(raw, "ECDHE+AESGCM:ECDHE+CHACHA20");
}

}  // namespace

Result<TlsContext> make_server_tls(const std::string& certificate, const std::string& key) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  harden(*context);
  SSL_CTX_set_alpn_select_cb(context->native_handle(), select_http11, nullptr);
  error_code ec;
  context->use_certificate_chain_file(certificate, ec);
  if (ec) {
    return fail(Code::bad_request,
                "reading the TLS certificate " + certificate + ": " + ec.message(),
                "give a PEM file with the certificate first and its intermediates after it");
  }
  context->use_private_key_file(key, asio::ssl::context::pem, ec);
  if (ec) {
    return fail(Code::bad_request, "reading the TLS key " + key + ": " + ec.message(),
                "give the PEM private key that belongs to " + certificate);
  }
  if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
    return fail(Code::bad_request, "the TLS key " + key + " does not belong to " + certificate);
  }
  return context;
}

Result<TlsContext> make_client_tls(const std::string& ca_file) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  harden(*context);
  error_code ec;
  context->set_default_verify_paths(ec);
  if (!ca_file.empty()) {
    context->load_verify_file(ca_file, ec);
    if (ec) {
      return fail(Code::bad_request, "reading the CA file " + ca_file + ": " + ec.message());
    }
  }
  return context;
}

}  // namespace nimbus::net
