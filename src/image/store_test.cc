#include "image/store.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "image/command.h"
#include "image/manifest.h"
#include "image/test_archive.h"

using namespace nimbus;
using namespace nimbus::image;

namespace {

namespace fs = std::filesystem;

struct Fixture {
  TestFolder folder;
  std::unique_ptr<Store> store = open();

  std::unique_ptr<Store> open() {
    fs::create_directories(folder.path("archives"));
    auto opened = Store::open({folder.path("store"), {folder.path("archives")}});
    REQUIRE(opened);
    return std::move(*opened);
  }

  // An image named "app" of these layers, imported from a layout directory.
  std::string import(const std::vector<std::vector<TarEntry>>& layers,
                     const std::string& name = "app") {
    const std::string layout = folder.path("layout-" + std::to_string(++layouts));
    std::vector<std::string> tars;
    for (const auto& entries : layers) tars.push_back(make_tar(entries));
    make_layout(layout, name, tars);
    const auto imported = store->import_archive(layout);
    REQUIRE_MESSAGE(imported, (imported ? "" : imported.error().message));
    return imported->front().digest;
  }

  // What is in an image's file system: "mode owner path [-> link]" a line, from unsquashfs.
  std::vector<std::string> listing(const std::string& name) {
    const auto root = store->root_filesystem(name);
    REQUIRE_MESSAGE(root, (root ? "" : root.error().message));
    std::vector<std::string> lines;
    Command command;
    command.argv = {"unsquashfs", "-lln", root->path};
    command.on_line = [&](std::string_view line) { lines.emplace_back(line); };
    REQUIRE(run(command));
    return lines;
  }

  std::string contents(const std::string& name, const std::string& path) {
    const auto root = store->root_filesystem(name);
    REQUIRE(root);
    std::string text;
    Command command;
    command.argv = {"unsquashfs", "-cat", root->path, path};
    command.on_line = [&](std::string_view line) { text += line; };
    REQUIRE(run(command));
    return text;
  }

  bool has_line(const std::vector<std::string>& lines, const std::string& start,
                const std::string& end) {
    for (const std::string& line : lines)
      if (line.starts_with(start) && line.ends_with(end)) return true;
    return false;
  }

  std::vector<std::string> left_in(const std::string& name) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder.path("store/" + name)))
      names.push_back(entry.path().filename().string());
    return names;
  }

  int layouts = 0;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture,
                  "an imported image is found by name and by digest, and survives reopening") {
  const std::string digest = import({{{"hello", 'f', "world"}}});
  store = open();
  for (const std::string& ref :
       {std::string("app"), std::string("app:latest"), digest, "app@" + digest}) {
    const auto found = store->find(ref);
    REQUIRE(found);
    REQUIRE(*found);
    CHECK((*found)->digest == digest);
    CHECK((*found)->config.user == "runner");
  }
  CHECK_FALSE(store->find("other")->has_value());
  const auto missing = store->read("other");
  CHECK(missing.error().code == Code::not_found);
  CHECK(missing.error().hint.starts_with("import it with `nimbus image import FILE`"));
  CHECK(missing.error().hint.ends_with("there are: app"));
  CHECK(store->verify("app"));
}

TEST_CASE_FIXTURE(Fixture,
                  "layers become one file system with owners, modes, links and times kept") {
  import({{{"etc", 'd', "", 0755},
           {"etc/gone", 'f', "x"},
           {"bin/tool", 'f', "#!", 04755},
           {"dir/old", 'f', "x"},
           {"dev", 'd', "", 0755},
           {"dev/null", 'c', ""},
           {"home/u", 'd', "", 0700, 1000},
           {"l\xC5\x91", 'l', "/a/very/long/target/" + std::string(120, 'x') + "/\xC5\x91"}},
          {{"etc/.wh.gone"},
           {"dir/.wh..wh..opq"},
           {"dir/new", 'f', "second"},
           {"bin/same", 'h', "bin/tool"},
           {"caps/" + std::string(120, 'p'), 'f', "cap", 0755, 0,
            std::string("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)}}});
  const auto lines = listing("app");
  CHECK(has_line(lines, "-rwsr-xr-x 0/0", "squashfs-root/bin/tool"));
  CHECK(has_line(lines, "-rwsr-xr-x 0/0", "squashfs-root/bin/same"));
  CHECK(has_line(lines, "drwx------ 1000/1000", "squashfs-root/home/u"));
  CHECK(has_line(lines, "drwxr-xr-x 0/0", "squashfs-root/dev"));
  CHECK(has_line(lines, "l", "-> /a/very/long/target/" + std::string(120, 'x') + "/\xC5\x91"));
  CHECK(has_line(lines, "-", "squashfs-root/dir/new"));
  for (const char* hidden : {"gone", "old", "null", ".wh"})
    for (const std::string& line : lines) CHECK(line.find(hidden) == std::string::npos);
  CHECK(contents("app", "dir/new") == "second");
  CHECK(contents("app", "bin/same") == "#!");
}

TEST_CASE_FIXTURE(Fixture, "a file's capabilities are in the file system") {
  const std::string capability("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  import({{{"deep/" + std::string(120, 'p'), 'f', "x", 0755, 0, capability}, {"plain", 'f', "x"}}});
  const auto root = store->root_filesystem("app");
  REQUIRE(root);
  std::string text;
  Command command;
  command.argv = {"unsquashfs", "-s", root->path};
  command.on_line = [&](std::string_view line) { text += std::string(line) + "\n"; };
  REQUIRE(run(command));
  CHECK(text.find("Number of xattr ids 1") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "hostile layers are refused and write nothing outside the store") {
  struct Attack {
    const char* what;
    std::vector<TarEntry> layer;
  };
  const std::string outside = folder.path("outside");
  write_text(outside + "/victim", "safe");
  const std::vector<Attack> refused = {
      {"climbing path", {{"../../../../" + outside + "/victim", 'f', "owned"}}},
      {"hard link outward", {{"x", 'h', "../../../../../../../" + outside + "/victim"}}},
      {"circle", {{"a", 'l', "b"}, {"b", 'l', "a"}, {"a/x", 'f', "owned"}}},
  };
  for (const Attack& attack : refused) {
    CAPTURE(attack.what);
    import({attack.layer}, "attack");
    CHECK(store->root_filesystem("attack").error().code == Code::bad_request);
    CHECK(read_text_file(outside + "/victim") == "safe");
  }
  // What an extraction onto the disk would follow: here it stays inside the image.
  import({{{"out", 'l', outside}, {"out/victim", 'f', "owned"}, {outside + "/new", 'f', "owned"}}},
         "inside");
  CHECK(has_line(listing("inside"), "-", "squashfs-root" + outside + "/victim"));
  CHECK(read_text_file(outside + "/victim") == "safe");
  CHECK_FALSE(fs::exists(outside + "/new"));
  CHECK(left_in("tmp").empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "a blob that is not what its digest says is refused and leaves nothing") {
  const std::string layout = folder.path("layout");
  make_layout(layout, "bad", {make_tar({{"a", 'f', "b"}})});
  for (const auto& blob : fs::directory_iterator(layout + "/blobs/sha256")) {
    CAPTURE(blob.path().string());
    const std::string good = read_text_file(blob.path().string());
    for (const std::string& damaged :
         {good + "x", good.substr(0, good.size() / 2), std::string()}) {
      write_text(blob.path().string(), damaged);
      pack_layout(layout, folder.path("bad.oci.tar"));
      CHECK(store->import_archive(layout).error().code == Code::corrupt);
      CHECK(store->import_archive(folder.path("bad.oci.tar")).error().code == Code::corrupt);
    }
    write_text(blob.path().string(), good);
  }
  CHECK(store->list()->empty());
  CHECK(left_in("tmp").empty());
  CHECK(left_in("blobs/sha256").empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "a truncated archive, another kind of file and a missing blob are refused") {
  const std::string layout = folder.path("layout");
  const std::string archive_path = folder.path("app.oci.tar");
  make_layout(layout, "app", {make_tar({{"a", 'f', std::string(100'000, 'x')}})});
  pack_layout(layout, archive_path);
  const std::string whole = read_text_file(archive_path);
  for (const size_t size : {size_t{0}, size_t{100}, size_t{512}, size_t{5000}, whole.size() / 2}) {
    write_text(archive_path, whole.substr(0, size));
    CHECK_FALSE(store->import_archive(archive_path));
  }
  write_text(archive_path, "certainly not a tar archive");
  CHECK_FALSE(store->import_archive(archive_path));
  CHECK(store->import_archive(folder.path("absent")).error().code == Code::not_found);
  fs::remove(*fs::directory_iterator(layout + "/blobs/sha256"));
  CHECK(store->import_archive(layout).error().code == Code::corrupt);
  CHECK(store->list()->empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "an archive's odd entries are ignored: links, climbing names, repeated blobs") {
  const std::string layout = folder.path("layout");
  make_layout(layout, "app", {make_tar({{"a", 'f', "b"}})});
  const std::string hex =
      fs::directory_iterator(layout + "/blobs/sha256")->path().filename().string();
  pack_layout(layout, folder.path("odd.oci.tar"),
              {{"../../climbed", 'f', "owned"},
               {"/absolute", 'f', "owned"},
               {"blobs/sha256/../../../climbed", 'f', "owned"},
               {"blobs/sha256/" + std::string(64, 'b'), 'l', "/etc/passwd"},
               {"index.json", 'l', "/etc/passwd"}});
  CHECK(store->import_archive(folder.path("odd.oci.tar")));
  CHECK(left_in("blobs/sha256").size() == 3);
  CHECK_FALSE(fs::exists(folder.path("climbed")));
}

TEST_CASE_FIXTURE(Fixture, "an image for another machine is refused by name") {
  make_layout(folder.path("layout"), "app", {}, "s390x");
  const auto imported = store->import_archive(folder.path("layout"));
  REQUIRE_FALSE(imported);
  CHECK(imported.error().message.find("s390x") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "an archive without a name needs one") {
  make_layout(folder.path("layout"), "", {make_tar({{"a", 'f', "b"}})});
  CHECK(store->import_archive(folder.path("layout")).error().code == Code::bad_request);
  CHECK(store->import_archive(folder.path("layout"), "two words").error().code ==
        Code::bad_request);
  REQUIRE(store->import_archive(folder.path("layout"), "mine:2"));
  CHECK(store->find("mine:2")->has_value());
}

TEST_CASE_FIXTURE(Fixture, "ensure takes an image from an archive, and again when it was rebuilt") {
  CHECK(store->ensure("app").error().code == Code::not_found);
  const std::string first = make_layout(folder.path("one"), "app", {make_tar({{"a", 'f', "1"}})});
  pack_layout(folder.path("one"), folder.path("archives/app.oci.tar"));
  CHECK(store->ensure("app")->digest == first);
  const auto old_root = store->root_filesystem("app");
  REQUIRE(old_root);

  const std::string second =
      make_layout(folder.path("two"), "app", {make_tar({{"a", 'f', "two"}})});
  pack_layout(folder.path("two"), folder.path("archives/app.oci.tar"));
  CHECK(store->ensure("app")->digest == second);
  CHECK(store->find("app@" + first)->has_value());
  CHECK_MESSAGE(fs::exists(old_root->path),
                "a machine that is being booted from it still finds it");
  CHECK(contents("app", "a") == "two");
}

TEST_CASE_FIXTURE(Fixture, "ensure never replaces an image that was imported explicitly") {
  const std::string mine = import({{{"a", 'f', "mine"}}});
  make_layout(folder.path("one"), "app", {make_tar({{"a", 'f', "1"}})});
  pack_layout(folder.path("one"), folder.path("archives/app.oci.tar"));
  CHECK(store->ensure("app")->digest == mine);
}

TEST_CASE_FIXTURE(Fixture, "a digest is never satisfied by another image of the same name") {
  const std::string other = "sha256:" + std::string(64, '1');
  import({{{"a", 'f', "x"}}});
  CHECK(store->ensure("app@" + other).error().code == Code::not_found);
  CHECK(store->root_filesystem("app@" + other).error().code == Code::not_found);
}

TEST_CASE_FIXTURE(Fixture, "a layer changed in the store is noticed by verify and never booted") {
  import({{{"a", 'f', std::string(5000, 'x')}}});
  std::string largest;
  for (const auto& blob : fs::directory_iterator(folder.path("store/blobs/sha256")))
    if (largest.empty() || fs::file_size(blob.path()) > fs::file_size(largest))
      largest = blob.path().string();
  std::string bytes = read_text_file(largest);
  bytes[1500] ^= 1;
  write_text(largest, bytes);
  CHECK(store->verify("app").error().code == Code::corrupt);
  CHECK(store->root_filesystem("app").error().code == Code::corrupt);
  CHECK(left_in("rootfs").empty());
}

TEST_CASE_FIXTURE(Fixture, "a damaged store is healed by importing again") {
  const std::string digest = import({{{"a", 'f', "x"}}});
  for (const auto& blob : fs::directory_iterator(folder.path("store/blobs/sha256")))
    write_text(blob.path().string(), "damaged");
  store = open();
  CHECK(store->verify("app").error().code == Code::corrupt);
  REQUIRE(store->import_archive(folder.path("layout-1")));
  CHECK(store->verify("app"));
  CHECK(store->read("app")->digest == digest);
}

TEST_CASE_FIXTURE(Fixture, "verify notices a squashfs file that was changed after it was built") {
  import({{{"a", 'f', "x"}}});
  const auto root = store->root_filesystem("app");
  REQUIRE(root);
  CHECK(store->verify("app"));
  ::chmod(root->path.c_str(), 0644);
  write_text(root->path, read_text_file(root->path) + "x");
  CHECK(store->verify("app").error().code == Code::corrupt);
}

TEST_CASE_FIXTURE(Fixture, "what a crash left in tmp is removed, what is in use is not") {
  write_text(folder.path("store/tmp/0123456789abcdef.lock"), "");
  write_text(folder.path("store/tmp/0123456789abcdef/half"), "half");
  store = open();
  CHECK(left_in("tmp").empty());
}

TEST_CASE_FIXTURE(Fixture, "many callers at once build a file system once") {
  import({{{"a", 'f', std::string(200'000, 'x')}}});
  auto other = open();
  std::vector<std::string> paths(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < paths.size(); ++i)
    threads.emplace_back([&, i] {
      auto root = (i % 2 == 0 ? store : other)->root_filesystem("app");
      if (root) paths[i] = root->path;
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& path : paths) CHECK(path == paths[0]);
  CHECK_FALSE(paths[0].empty());
  CHECK(left_in("rootfs").size() == 2);  // the file and its digest
  CHECK(left_in("tmp").empty());
}

TEST_CASE_FIXTURE(Fixture, "remove frees what no other image needs") {
  const std::vector<TarEntry> shared = {{"base", 'f', std::string(1000, 'b')}};
  import({shared}, "one");
  import({shared, {{"extra", 'f', "e"}}}, "two");
  REQUIRE(store->root_filesystem("one"));
  REQUIRE(store->root_filesystem("two"));
  REQUIRE(store->remove("two"));
  CHECK(store->verify("one"));
  CHECK(left_in("rootfs").size() == 2);
  CHECK(left_in("blobs/sha256").size() == 3);
  REQUIRE(store->remove("one"));
  CHECK(left_in("blobs/sha256").empty());
  CHECK(store->remove("one").error().code == Code::not_found);
}
