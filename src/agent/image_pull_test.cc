#include "agent/image_pull.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <optional>

#include "net/server.h"
#include "os/atomic_file.h"

using namespace nimbus;
using namespace nimbus::agent;

namespace {

// A registry of what it is given, on a port of its own.
struct FakeRegistry {
  FakeRegistry() {
    router.get("/v2/{path...}", [this](net::Request& request) -> Task<net::Response> {
      asked.push_back(request.target);
      bearer = request.bearer().value_or("");
      const auto found = answers.find(request.path);
      if (found == answers.end()) co_return net::problem(404, "nothing here");
      net::Response response = net::Response::text(200, found->second.bytes);
      response.headers.set("Content-Type", found->second.media_type);
      response.headers.set("Docker-Content-Digest", image::digest_of(found->second.bytes));
      co_return response;
    });
    auto listening = net::Server::listen(loop, std::move(router), {});
    REQUIRE(listening);
    server = std::move(*listening);
    url = "http://127.0.0.1:" + std::to_string(server->port());
    char pattern[] = "/tmp/nimbus-pull-XXXXXX";
    directory = std::string(::mkdtemp(pattern)) + "/layout";
    control.emplace(client, url, system_clock());
    image_pull.emplace(loop, *control, directory, Secret("token"));
  }
  ~FakeRegistry() {
    loop.end_tasks();
    std::filesystem::remove_all(std::filesystem::path(directory).parent_path());
  }

  struct Answer {
    std::string media_type;
    std::string bytes;
  };
  image::Descriptor add(const std::string& kind, std::string_view media_type,
                        const std::string& bytes) {
    image::Descriptor descriptor;
    descriptor.media_type = media_type;
    descriptor.digest = image::digest_of(bytes);
    descriptor.size = static_cast<int64_t>(bytes.size());
    answers["/v2/acme/own/" + kind + "/" + descriptor.digest] = {std::string(media_type), bytes};
    return descriptor;
  }
  image::Descriptor add_image() {
    image::Manifest manifest;
    manifest.config = add("blobs", image::kConfigMediaType, "{}");
    manifest.layers = {add("blobs", "application/vnd.oci.image.layer.v1.tar", "layer")};
    const std::string bytes = image::to_json(manifest);
    answers["/v2/acme/own/manifests/2"] = {std::string(image::kManifestMediaType), bytes};
    return add("manifests", image::kManifestMediaType, bytes);
  }

  Result<void> pull(const std::string& name) {
    std::optional<Result<void>> outcome;
    loop.spawn(run(name, outcome), "pull");
    while (!outcome) loop.run();
    return *outcome;
  }
  Task<void> run(std::string name, std::optional<Result<void>>& outcome) {
    const auto resolved = co_await image_pull->resolve(std::move(name));
    Result<void> done;
    if (resolved) {
      done = co_await image_pull->fetch();
    } else {
      done = fail(resolved.error());
    }
    outcome = done;
    loop.stop();
  }

  net::Loop loop;
  net::Router router;
  std::map<std::string, Answer> answers;
  std::vector<std::string> asked;
  std::string bearer;
  std::unique_ptr<net::Server> server;
  std::string url;
  std::string directory;
  net::Client client{loop};
  std::optional<ControlClient> control;
  std::optional<ImagePull> image_pull;
};

}  // namespace

TEST_CASE("an image becomes a layout of its blobs, asked for with the credential") {
  FakeRegistry registry;
  const image::Descriptor manifest = registry.add_image();
  REQUIRE(registry.pull("acme/own:2"));
  CHECK_EQ(registry.bearer, "token");
  const std::string layer = image::digest_of("layer");
  const auto bytes = os::read_file(
      registry.directory + "/blobs/sha256/" + std::string(image::digest_hex(layer)), 100);
  REQUIRE(bytes);
  CHECK_EQ(*bytes, "layer");
  const auto index = os::read_file(registry.directory + "/index.json", 10'000);
  REQUIRE(index);
  CHECK_EQ(image::parse_index(*index)->at(0).digest, manifest.digest);
  CHECK_EQ(registry.image_pull->local_name("Acme"),
           "pulled/acme/acme/own/" + std::string(image::digest_hex(manifest.digest)));
}

TEST_CASE("an index stands for the manifest of this machine") {
  FakeRegistry registry;
  image::Descriptor fits = registry.add_image();
  fits.os = "linux";
  fits.architecture = image::machine_architecture();
  image::Descriptor other = fits;
  other.digest = "sha256:" + std::string(64, '0');
  other.architecture = "s390x";
  registry.answers["/v2/acme/own/manifests/2"] = {
      std::string(image::kIndexMediaType),
      image::to_json(std::vector<image::Descriptor>{other, fits})};
  registry.add("manifests", image::kIndexMediaType,
               registry.answers["/v2/acme/own/manifests/2"].bytes);
  REQUIRE(registry.pull("acme/own:2"));
  CHECK(registry.asked.back().find("blobs") != std::string::npos);
}

TEST_CASE("bytes that are not their digest's are refused") {
  FakeRegistry registry;
  registry.add_image();
  registry.answers["/v2/acme/own/blobs/" + image::digest_of("layer")].bytes = "lawyer";
  const auto pulled = registry.pull("acme/own:2");
  REQUIRE_FALSE(pulled);
  registry.answers["/v2/acme/own/blobs/" + image::digest_of("layer")].bytes = "lager";
  const auto same_size = registry.pull("acme/own:2");
  REQUIRE_FALSE(same_size);
  CHECK(same_size.error().code == Code::corrupt);
}

TEST_CASE("what the registry has not got is not found, and a host in the name is a mirror's") {
  FakeRegistry registry;
  const auto pulled = registry.pull("mirrored.example/acme/own:2");
  REQUIRE_FALSE(pulled);
  CHECK(pulled.error().code == Code::not_found);
  CHECK_EQ(registry.asked.back(), "/v2/acme/own/manifests/2?ns=mirrored.example");
}
