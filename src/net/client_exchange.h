// The client's end of a connection: sends one request and reads its answer. Private to this folder.
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/client.h"
#include "net/transport.h"
#include "net/url.h"

namespace nimbus::net {

struct ClientConnection {
  explicit ClientConnection(Transport::Socket socket) : transport(std::move(socket)) {}
  Transport transport;
  Duration idle_since{0};
  bool used = false;  // it has carried an exchange before
  bool timed_out = false;
};

struct Exchange {
  const ClientRequest& request;
  const Url& url;
  std::function<void(const ClientResponse&)> on_head;  // may be empty
  std::function<Task<bool>(std::string_view)> on_bytes;
  // Told when the head is there: the deadline then ends for streams.
  std::function<void()> head_came;
  std::function<void(bool)> waiting;  // for body bytes (true), no more (false); may be empty
  Loop& loop;

  bool answer_begun = false;  // any byte of the answer has come
  bool keep = false;          // the connection can carry another exchange
  ClientResponse response{};  // without body
};

// Runs the exchange on `connection`. Errors as Client's.
Task<Result<void>> run_exchange(ClientConnection& connection, Exchange& exchange);

// The request's bytes up to its body. bad_request: a method or field that cannot stand in a head.
Result<std::string> format_request(const ClientRequest& request, const Url& url);

}  // namespace nimbus::net
