// Sends a head and a file's part over a connection. Private to this folder. Threads: the loop's.
#pragma once

#include <string_view>

#include "net/http.h"
#include "net/loop.h"
#include "net/transport.h"

namespace nimbus::net {

// Small parts go with the head in one system call; others by sendfile on a plain socket, read and
// encrypted under TLS. Pages that are not in memory are read on a blocking thread first, so that a
// slow disk never holds the loop. false: the peer is gone or too slow, or the file ended early; the
// connection cannot be used any more.
Task<bool> send_file(Loop& loop, Transport& transport, std::string_view head, FileBody file);

}  // namespace nimbus::net
