// A request's body in large pieces: the store writes those fastest.
//
// Threads: the loop's.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "base/task.h"
#include "net/http.h"

namespace nimbus::cache {

class BodyPieces {
 public:
  static constexpr size_t kPieceBytes = size_t{512} << 10;

  explicit BodyPieces(net::BodyReader& body) : body_(body) {}

  // The next piece, empty at the end. Errors as BodyReader::read's.
  Task<Result<std::string>> next() {
    std::string piece;
    while (piece.size() < kPieceBytes) {
      CO_TRY_ASSIGN(std::string more, co_await body_.read());
      if (more.empty()) break;
      if (piece.empty()) {
        piece = std::move(more);
      } else {
        piece += more;
      }
    }
    co_return piece;
  }

 private:
  net::BodyReader& body_;
};

}  // namespace nimbus::cache
