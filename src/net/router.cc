#include "net/router.h"

#include <map>

#include "base/check.h"
#include "base/text.h"

namespace nimbus::net {

struct Router::Entry {
  Handler handler;
  RouteOptions options;
  std::string method;
  std::string pattern;
};

struct Router::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
  std::unique_ptr<Node> parameter;
  std::vector<Entry> entries;       // of the pattern that ends here
  std::vector<Entry> rest_entries;  // of the pattern whose {name...} starts here

  // Every list of entries that matches `path`, best first, until `visit` returns true.
  template <typename Visit>
  bool walk(std::string_view path, const Visit& visit) const {
    if (path.empty()) return !entries.empty() && visit(entries);
    const size_t end = path.find('/', 1);
    const std::string_view segment = path.substr(1, end - 1);
    const std::string_view rest = end == std::string_view::npos ? "" : path.substr(end);
    const bool encoded = segment.find('%') != std::string_view::npos;
    const auto literal = encoded ? literals.find(percent_decode(segment)) : literals.find(segment);
    if (literal != literals.end() && literal->second->walk(rest, visit)) return true;
    if (parameter != nullptr && !segment.empty() && parameter->walk(rest, visit)) return true;
    return !rest_entries.empty() && visit(rest_entries);
  }
};

namespace {

struct Segment {
  std::string_view text;  // of a parameter: its name
  bool parameter = false;
  bool rest = false;
};

Segment parse_segment(std::string_view text) {
  if (!text.starts_with('{')) return {text};
  CHECK(text.ends_with('}'));
  text = text.substr(1, text.size() - 2);
  const bool rest = text.ends_with("...");
  if (rest) text.remove_suffix(3);
  CHECK(!text.empty());
  return {text, true, rest};
}

std::vector<Segment> parse_pattern(std::string_view pattern) {
  CHECK(pattern.starts_with('/'));
  std::vector<Segment> segments;
  for (const std::string_view part : split(pattern.substr(1), '/')) {
    CHECK(segments.empty() || !segments.back().rest);
    segments.push_back(parse_segment(part));
  }
  return segments;
}

void take_parameters(std::string_view pattern, std::string_view path,
                     std::vector<std::pair<std::string, std::string>>& out) {
  if (pattern.find('{') == std::string_view::npos) return;
  for (const std::string_view part : split(pattern.substr(1), '/')) {
    const Segment segment = parse_segment(part);
    const size_t end = segment.rest ? std::string_view::npos : path.find('/', 1);
    const std::string_view value = path.substr(1, segment.rest ? end : end - 1);
    if (segment.parameter) out.emplace_back(segment.text, percent_decode(value));
    path = end == std::string_view::npos ? "" : path.substr(end);
  }
}

}  // namespace

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;

void Router::get(std::string_view pattern, Handler handler, RouteOptions options) {
  add("GET", pattern, std::move(handler), options);
}
void Router::post(std::string_view pattern, Handler handler, RouteOptions options) {
  add("POST", pattern, std::move(handler), options);
}
void Router::put(std::string_view pattern, Handler handler, RouteOptions options) {
  add("PUT", pattern, std::move(handler), options);
}
void Router::del(std::string_view pattern, Handler handler, RouteOptions options) {
  add("DELETE", pattern, std::move(handler), options);
}

void Router::add(std::string_view method, std::string_view pattern, Handler handler,
                 RouteOptions options) {
  Node* node = root_.get();
  std::vector<Entry>* entries = nullptr;
  for (const Segment& segment : parse_pattern(pattern)) {
    if (segment.rest) {
      entries = &node->rest_entries;
      break;
    }
    auto& next = segment.parameter ? node->parameter : node->literals[std::string(segment.text)];
    if (next == nullptr) next = std::make_unique<Node>();
    node = next.get();
  }
  if (entries == nullptr) entries = &node->entries;
  for (const Entry& entry : *entries) CHECK(entry.method != method);
  entries->push_back({std::move(handler), options, std::string(method), std::string(pattern)});
}

void Router::fallback(Handler handler, RouteOptions options) {
  fallback_ = std::make_unique<Entry>(Entry{std::move(handler), options, "", "*"});
}

RouteMatch Router::match(std::string_view method, std::string_view path) const {
  const Entry* found = nullptr;
  std::vector<std::string_view> allowed;
  auto visit = [&](const std::vector<Entry>& entries) {
    for (const std::string_view wanted : {method, std::string_view("GET")}) {
      for (const Entry& entry : entries) {
        if (entry.method == wanted) found = &entry;
      }
      if (found != nullptr || method != "HEAD") break;
    }
    if (found != nullptr) return true;
    for (const Entry& entry : entries) allowed.push_back(entry.method);
    return false;
  };
  root_->walk(path, visit);
  RouteMatch match;
  if (found == nullptr && allowed.empty()) found = fallback_.get();
  if (found != nullptr) {
    match.handler = &found->handler;
    match.options = found->options;
    match.pattern = found->pattern;
    match.status = 200;
    if (found != fallback_.get()) take_parameters(found->pattern, path, match.parameters);
    return match;
  }
  for (const std::string_view one : allowed) {
    match.status = 405;
    if (match.allow.find(one) != std::string::npos) continue;
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += one;
    if (one == "GET") match.allow += ", HEAD";
  }
  return match;
}

std::vector<std::pair<std::string, std::string>> Router::routes() const {
  std::vector<std::pair<std::string, std::string>> out;
  auto collect = [&out](const auto& self, const Node& node) -> void {
    for (const auto* entries : {&node.entries, &node.rest_entries}) {
      for (const Entry& entry : *entries) out.emplace_back(entry.method, entry.pattern);
    }
    for (const auto& [text, child] : node.literals) self(self, *child);
    if (node.parameter != nullptr) self(self, *node.parameter);
  };
  collect(collect, *root_);
  return out;
}

}  // namespace nimbus::net
