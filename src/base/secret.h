// A Secret holds a credential and cannot be printed by accident: it has no stream or format
// operator, and `reveal` is the only way to its text. Threads: values.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace nimbus {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  const std::string& reveal() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  std::string text_;
};

inline std::string_view to_string(const Secret&) { return "***"; }

}  // namespace nimbus
