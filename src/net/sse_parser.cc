#include "net/client.h"

namespace nimbus::net {

std::vector<SseParser::Event> SseParser::feed(std::string_view bytes) {
  std::vector<Event> events;
  for (const char c : bytes) {
    const bool lf_of_crlf = after_cr_ && c == '\n';
    after_cr_ = c == '\r';
    if (lf_of_crlf) continue;
    if (c == '\r' || c == '\n') {
      end_line(events);
    } else if (line_.size() < kLineBytesMax) {
      line_ += c;
    }
  }
  return events;
}

void SseParser::end_line(std::vector<Event>& events) {
  std::string_view line = line_;
  if (first_line_) {
    first_line_ = false;
    if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  }
  if (line.empty()) {
    if (has_data_) {
      event_.id = last_id_;
      events.push_back(std::move(event_));
    }
    event_ = {};
    has_data_ = false;
  } else if (line[0] != ':') {
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    take_field(name, value);
  }
  line_.clear();
}

void SseParser::take_field(std::string_view name, std::string_view value) {
  if (name == "data") {
    if (event_.data.size() + value.size() >= kEventBytesMax) return;
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  } else if (name == "event") {
    event_.event = value.empty() ? "message" : std::string(value);
  } else if (name == "id" && value.find('\0') == std::string_view::npos) {
    last_id_ = value;
  }
}

}  // namespace nimbus::net
