// TLS contexts with this project's minimum: TLS 1.2, forward secrecy, no compression, http/1.1 by
// ALPN. Private to this folder. Threads: any.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace boost::asio::ssl {
class context;
}

namespace nimbus::net {

using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

// bad_request: a file that cannot be read, is not PEM, or a key that is not the certificate's; the
// message names the file.
Result<TlsContext> make_server_tls(const std::string& certificate, const std::string& key);
// Trusts the system's authorities and, when named, those of `ca_file`.
Result<TlsContext> make_client_tls(const std::string& ca_file);

}  // namespace nimbus::net
