#include "blob/blob_fixture.h"

namespace nimbus::blob {
namespace {

// What a client of the server would see.
class Client final : public net::BodyWriter {
 public:
  Task<Result<void>> write(std::string_view bytes) override {
    received += bytes;
    co_return Result<void>();
  }
  bool peer_gone() const override { return false; }
  void break_off() override { broken = true; }
  std::string received;
  bool broken = false;
  bool ended = false;
};

Task<void> read(net::Response response, Client& client) {
  co_await response.stream(client);
  client.ended = true;
}

struct GrowingFixture : StoreFixture {
  void follow(const OpenBlob& blob, Client& client, std::string_view range = "") {
    net::Request request;
    request.method = "GET";
    if (!range.empty()) request.headers.set("Range", range);
    net::Response response = blob.respond(request, {});
    REQUIRE(response.stream);
    CHECK(*response.stream_bytes > 0);
    loop.spawn(read(std::move(response), client), "reader");
  }
  void settle(const std::function<bool()>& reached) {
    for (int turn = 0; turn < 5000 && !reached(); ++turn) {
      run([](net::Loop& l) -> Task<bool> {
        co_await l.sleep(std::chrono::milliseconds(1));
        co_return true;
      }(loop));
    }
    CHECK(reached());
  }
  void until_ended(const Client& reader) {
    settle([&reader] { return reader.ended; });
  }
  void until_received(const Client& reader, size_t bytes) {
    settle([&reader, bytes] { return reader.received.size() == bytes; });
  }
  Client client;
};

}  // namespace

TEST_CASE_FIXTURE(GrowingFixture, "a reader follows an upload, and gets its last byte at the end") {
  const Digest digest = digest_of("hello world");
  auto upload = begin();
  REQUIRE(run(upload->write("hello ")));
  const auto blob = upload->follow({digest, 11});
  follow(*blob, client);
  until_received(client, 6);
  REQUIRE(run(upload->write("world")));
  until_received(client, 10);
  REQUIRE(run(upload->commit(digest)));
  until_ended(client);
  CHECK(client.received == "hello world");
  CHECK_FALSE(client.broken);
  CHECK(*run(blob->read_all(11)) == "hello world");
}

TEST_CASE_FIXTURE(GrowingFixture, "a range waits for the bytes it names and no longer") {
  auto upload = begin();
  REQUIRE(run(upload->write("hello ")));
  const auto blob = upload->follow({digest_of("hello world"), 11});
  follow(*blob, client, "bytes=1-3");
  until_ended(client);
  CHECK(client.received == "ell");
  CHECK_FALSE(client.broken);
}

TEST_CASE_FIXTURE(GrowingFixture, "what is not its digest's breaks off before the last byte") {
  const Digest digest = digest_of("hello world");
  auto upload = begin();
  const auto blob = upload->follow({digest, 11});
  follow(*blob, client);
  REQUIRE(run(upload->write("hello_world")));
  until_received(client, 10);
  CHECK_FALSE(run(upload->commit(digest)));
  upload.reset();
  until_ended(client);
  CHECK(client.broken);
  CHECK(client.received.size() == 10);
  CHECK(run(blob->read_all(11)).error().code == Code::unavailable);
}

TEST_CASE_FIXTURE(GrowingFixture, "an upload of another size than was told breaks off") {
  const Digest digest = digest_of("hello world");
  auto upload = begin();
  const auto blob = upload->follow({digest, 20});
  follow(*blob, client);
  REQUIRE(run(upload->write("hello world")));
  REQUIRE(run(upload->commit(digest)));
  until_ended(client);
  CHECK(client.broken);
  Client other;
  auto longer = begin();
  const auto cut = longer->follow({digest, 5});
  follow(*cut, other);
  REQUIRE(run(longer->write("hello world")));
  until_ended(other);
  CHECK(other.broken);
}

TEST_CASE_FIXTURE(GrowingFixture, "an upload that is given up breaks off") {
  auto upload = begin();
  REQUIRE(run(upload->write("hello ")));
  const auto blob = upload->follow({digest_of("hello world"), 11});
  follow(*blob, client);
  until_received(client, 6);
  upload.reset();
  until_ended(client);
  CHECK(client.broken);
}

}  // namespace nimbus::blob
