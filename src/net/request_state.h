// The parser of the request that a connection reads. Private to this folder.
#pragma once

#include <optional>

#include "net/message_parser.h"

namespace nimbus::net {

struct RequestState {
  std::optional<MessageParser<true>> parser;
};

}  // namespace nimbus::net
