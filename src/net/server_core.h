// What a server's connections share. Private to this folder. Threads: the loop's.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "net/loop.h"
#include "net/request_metrics.h"
#include "net/router.h"
#include "net/server.h"
#include "net/tls.h"

namespace nimbus::net {

class Connection;

struct ServerCore {
  ServerCore(Loop& l, Router r, ServerOptions o);

  Loop& loop;
  Router router;
  ServerOptions options;
  TlsContext tls;  // null: plain
  RequestMetrics metrics;
  std::list<Connection*> connections;
  Notifier connection_closed;
  bool draining = false;

  // The Date field's value; formatted once a second.
  std::string_view date(Duration now);
  std::string next_request_id();

 private:
  std::string date_;
  Duration date_until_{0};
  uint64_t id_seed_;
  uint64_t id_count_ = 0;
};

}  // namespace nimbus::net
