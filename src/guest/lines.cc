#include "guest/lines.h"

#include <algorithm>

#include "base/check.h"
#include "base/encoding.h"

namespace nimbus::guest {
namespace {

constexpr size_t kLineBytesMax = model::kLogLineBytesMax;

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; }

// How many bytes at the end of `text` are the start of a UTF-8 sequence that is not complete yet.
size_t unfinished_tail(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0U) == 0x80U) continue;
    const size_t wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return wanted > back ? back : 0;
  }
  return 0;
}

// The longest start of `text` of at most `size` bytes that cuts no UTF-8 sequence.
size_t whole_characters(std::string_view text, size_t size) {
  if (text.size() <= size) return text.size();
  size_t cut = size;
  while (cut > 0 && size - cut < 4 && continues(text[cut])) --cut;
  return cut == 0 || continues(text[cut]) ? size : cut;
}

void append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out.append(text.substr(start, i - start));
    start = i + 1;
    switch (byte) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        out += "\\u00";
        out += kHex[byte >> 4U];
        out += kHex[byte & 15U];
    }
  }
  out.append(text.substr(start));
}

}  // namespace

void LineSplitter::emit_line(std::string_view raw, bool partial, const Emit& emit) {
  std::string safe;
  if (raw.find('\0') != std::string_view::npos || !is_utf8(raw)) {
    const std::string lossy = to_utf8_lossy(raw);
    for (const char c : lossy) {
      if (c == '\0') {
        safe += "\xef\xbf\xbd";
      } else {
        safe += c;
      }
    }
    raw = safe;
  }
  // Replacement makes text longer, so the bound is applied to what comes out.
  while (raw.size() > kLineBytesMax) {
    const size_t cut = whole_characters(raw, kLineBytesMax);
    emit(raw.substr(0, cut), true);
    raw.remove_prefix(cut);
  }
  emit(raw, partial);
}

void LineSplitter::feed(std::string_view bytes, const Emit& emit) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    std::string_view line = bytes.substr(0, end);
    if (end != std::string_view::npos && pending_.size() + line.size() <= kLineBytesMax) {
      if (!pending_.empty()) {
        pending_ += line;
        line = pending_;
      }
      if (line.ends_with('\r')) line.remove_suffix(1);
      emit_line(line, false, emit);
      pending_.clear();
      bytes.remove_prefix(end + 1);
      continue;
    }
    // No end in sight, or a line over the bound: a piece of it at a time.
    const size_t take = std::min(line.size(), kLineBytesMax + 1 - pending_.size());
    pending_ += line.substr(0, take);
    bytes.remove_prefix(take);
    if (pending_.size() > kLineBytesMax) {
      const size_t cut = whole_characters(pending_, kLineBytesMax);
      emit_line(std::string_view(pending_).substr(0, cut), true, emit);
      pending_.erase(0, cut);
    }
  }
}

void LineSplitter::flush(const Emit& emit) {
  const size_t size = pending_.size() - unfinished_tail(pending_);
  // A CR may be half of a line end that is still to come.
  const size_t whole = size > 0 && pending_[size - 1] == '\r' ? size - 1 : size;
  if (whole == 0) return;
  emit_line(std::string_view(pending_).substr(0, whole), true, emit);
  pending_.erase(0, whole);
}

void LineSplitter::finish(const Emit& emit) {
  if (pending_.empty()) return;
  emit_line(pending_, false, emit);
  pending_.clear();
}

void Outbox::add(model::LogStream stream, std::string_view text, int64_t ts_ns, bool partial) {
  std::string line;
  line.reserve(text.size() + text.size() / 16 + 96);
  line += "{\"ts\":";
  line += std::to_string(ts_ns);
  line += ",\"seq\":";
  line += std::to_string(++last_seq_);
  line += ",\"stream\":\"";
  line += to_string(stream);
  line += "\",\"text\":\"";
  append_escaped(line, text);
  line += partial ? "\",\"partial\":true}\n" : "\"}\n";

  const bool first_is_closed = in_flight_ && batches_.size() == 1;
  if (batches_.empty() || first_is_closed ||
      batches_.back().ndjson.size() + line.size() > kBatchBytesMax) {
    batches_.emplace_back();
  }
  bytes_ += line.size();
  batches_.back().ndjson += line;
  batches_.back().last_seq = last_seq_;
}

std::string_view Outbox::batch() {
  CHECK(!batches_.empty());
  in_flight_ = true;
  return batches_.front().ndjson;
}

bool Outbox::acknowledge(int64_t seq) {
  if (batches_.empty() || seq < batches_.front().last_seq) return false;
  bytes_ -= batches_.front().ndjson.size();
  batches_.pop_front();
  in_flight_ = false;
  return true;
}

}  // namespace nimbus::guest
