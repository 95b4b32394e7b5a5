#include "guest/lines.h"

#include <doctest/doctest.h>

#include <vector>

#include "base/encoding.h"

using namespace nimbus;
using namespace nimbus::guest;

namespace {

struct Seen {
  std::string text;
  bool partial;
  bool operator==(const Seen&) const = default;
};

struct Recorder {
  std::vector<Seen> lines;
  LineSplitter splitter;
  LineSplitter::Emit emit = [this](std::string_view text, bool partial) {
    lines.push_back({std::string(text), partial});
  };
  void feed(std::string_view bytes) { splitter.feed(bytes, emit); }
};

}  // namespace

TEST_CASE("lines are the same however their bytes are cut") {
  const std::string bytes = "one\n\ntwo \xc3\xa4\r\nthree";
  Recorder whole;
  whole.feed(bytes);
  whole.splitter.finish(whole.emit);
  Recorder single;
  for (const char c : bytes) single.feed({&c, 1});
  single.splitter.finish(single.emit);
  const std::vector<Seen> expected{
      {"one", false}, {"", false}, {"two \xc3\xa4", false}, {"three", false}};
  CHECK(whole.lines == expected);
  CHECK(single.lines == expected);
}

TEST_CASE("an unfinished line is shown as partial and its rest continues it") {
  Recorder recorder;
  recorder.feed("50 % \xe2\x82");  // two of the three bytes of a euro sign
  recorder.splitter.flush(recorder.emit);
  recorder.feed("\xac\n");
  const std::vector<Seen> expected{{"50 % ", true}, {"\xe2\x82\xac", false}};
  CHECK(recorder.lines == expected);
}

TEST_CASE("a stream that ends after a partial line adds nothing") {
  Recorder recorder;
  recorder.feed("prompt> ");
  recorder.splitter.flush(recorder.emit);
  recorder.splitter.finish(recorder.emit);
  CHECK(recorder.lines == std::vector<Seen>{{"prompt> ", true}});
}

TEST_CASE("NUL and bytes that are not UTF-8 are replaced") {
  Recorder recorder;
  recorder.feed(std::string_view("a\0b\xff\n", 5));
  CHECK(recorder.lines == std::vector<Seen>{{"a\xef\xbf\xbd"
                                             "b\xef\xbf\xbd",
                                             false}});
}

TEST_CASE("a line over the bound comes in pieces that cut no character") {
  std::string line;
  while (line.size() < 3 * model::kLogLineBytesMax) line += "\xe2\x82\xac";
  Recorder recorder;
  recorder.feed(line + "\n");
  std::string joined;
  for (const Seen& seen : recorder.lines) {
    CHECK(seen.text.size() <= model::kLogLineBytesMax);
    CHECK(is_utf8(seen.text));
    CHECK_EQ(seen.partial, &seen != &recorder.lines.back());
    joined += seen.text;
  }
  CHECK(joined == line);
}

TEST_CASE("a line of exactly the bound is one line") {
  Recorder recorder;
  recorder.feed(std::string(model::kLogLineBytesMax, 'x') + "\n");
  REQUIRE_EQ(recorder.lines.size(), 1);
  CHECK_FALSE(recorder.lines[0].partial);
}

TEST_CASE("a megabyte of bytes that each grow when made safe stays within the bound") {
  Recorder recorder;
  recorder.feed(std::string(size_t{1} << 20, '\xff') + "\n");
  size_t size = 0;
  for (const Seen& seen : recorder.lines) {
    CHECK(seen.text.size() <= model::kLogLineBytesMax);
    size += seen.text.size();
  }
  CHECK_EQ(size, 3 * (size_t{1} << 20));
}

TEST_CASE("lines are numbered from 1 over all streams and leave as JSON") {
  Outbox outbox;
  outbox.add(model::LogStream::out, "say \"hi\"\\\t\x01", 5, false);
  outbox.add(model::LogStream::err, "half", 6, true);
  CHECK_EQ(outbox.batch(),
           "{\"ts\":5,\"seq\":1,\"stream\":\"stdout\",\"text\":\"say \\\"hi\\\"\\\\\\t\\u0001\"}\n"
           "{\"ts\":6,\"seq\":2,\"stream\":\"stderr\",\"text\":\"half\",\"partial\":true}\n");
}

TEST_CASE("a batch in flight does not change, and goes only when all of it is acknowledged") {
  Outbox outbox;
  outbox.add(model::LogStream::out, "a", 1, false);
  outbox.add(model::LogStream::out, "b", 1, false);
  const std::string first(outbox.batch());
  outbox.add(model::LogStream::out, "c", 1, false);
  CHECK_EQ(outbox.batch(), first);
  CHECK_FALSE(outbox.acknowledge(1));
  CHECK_EQ(outbox.batch(), first);
  CHECK(outbox.acknowledge(2));
  CHECK(outbox.batch().find("\"seq\":3") != std::string_view::npos);
  CHECK(outbox.acknowledge(3));
  CHECK(outbox.empty());
}

TEST_CASE("batches are bounded and the outbox says when it is full") {
  Outbox outbox;
  const std::string text(60'000, 'x');
  while (!outbox.full()) outbox.add(model::LogStream::out, text, 1, false);
  int64_t acked = 0;
  while (!outbox.empty()) {
    CHECK(outbox.batch().size() <= kBatchBytesMax);
    acked = outbox.last_seq();
    CHECK(outbox.acknowledge(acked));
  }
  CHECK_FALSE(outbox.full());
}
