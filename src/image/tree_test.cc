#include "image/tree.h"

#include <doctest/doctest.h>

#include <string>

using namespace nimbus;
using namespace nimbus::image;

namespace {

Entry file(int layer, int64_t position = 0) {
  Entry entry;
  entry.layer = layer;
  entry.position = position;
  entry.size = 1;
  return entry;
}

Entry of_type(EntryType type, int layer, std::string link = "") {
  Entry entry = file(layer);
  entry.type = type;
  entry.size = 0;
  entry.link = std::move(link);
  return entry;
}

Entry directory(int layer) { return of_type(EntryType::directory, layer); }
Entry symlink_to(int layer, std::string to) {
  return of_type(EntryType::symlink, layer, std::move(to));
}
Entry hardlink(int layer, std::string to) {
  return of_type(EntryType::hardlink, layer, std::move(to));
}

std::string paths(const Tree& tree) {
  std::string all;
  tree.walk([&](const std::string& path, const Node&) { all += path + " "; });
  return all;
}

Code refusal(Tree& tree, std::string_view path, Entry entry) {
  const auto applied = tree.apply(path, std::move(entry));
  REQUIRE_FALSE(applied);
  return applied.error().code;
}

}  // namespace

TEST_CASE("a later layer's file replaces an earlier one") {
  Tree tree;
  REQUIRE(tree.apply("etc/os", file(0)));
  REQUIRE(tree.apply("etc/os", file(1, 7)));
  CHECK(paths(tree) == "etc etc/os ");
  CHECK(tree.find("etc/os")->entry->layer == 1);
  CHECK(tree.find("etc/os")->entry->position == 7);
}

TEST_CASE("a path that begins with / or ./ is within the image") {
  Tree tree;
  REQUIRE(tree.apply("/a", file(0)));
  REQUIRE(tree.apply("./b", file(0)));
  REQUIRE(tree.apply("c//d/./e", file(0)));
  CHECK(paths(tree) == "a b c c/d c/d/e ");
}

TEST_CASE("a path that climbs out is refused") {
  Tree tree;
  CHECK(refusal(tree, "../etc/passwd", file(0)) == Code::bad_request);
  CHECK(refusal(tree, "a/../../b", file(0)) == Code::bad_request);
  CHECK(refusal(tree, std::string("a\0b", 3), file(0)) == Code::bad_request);
  CHECK(refusal(tree, std::string(5000, 'a'), file(0)) == Code::bad_request);
  CHECK(refusal(tree, std::string(300, 'a'), file(0)) == Code::bad_request);
}

TEST_CASE("a whiteout hides what lower layers put there, and nothing of its own layer") {
  Tree tree;
  REQUIRE(tree.apply("opt/old", file(0)));
  REQUIRE(tree.apply("opt/tool/bin", file(0)));
  REQUIRE(tree.apply("opt/.wh.old", file(1)));
  REQUIRE(tree.apply("opt/tool/new", file(1)));
  REQUIRE(tree.apply("opt/.wh.tool", file(1)));
  REQUIRE(tree.apply("opt/.wh.never-there", file(1)));
  CHECK(paths(tree) == "opt opt/tool opt/tool/new ");
}

TEST_CASE("an opaque directory hides all of the lower layers, wherever its marker stands") {
  for (const bool marker_first : {true, false}) {
    Tree tree;
    REQUIRE(tree.apply("d/a", file(0)));
    REQUIRE(tree.apply("d/sub/b", file(0)));
    if (marker_first) REQUIRE(tree.apply("d/.wh..wh..opq", file(1)));
    REQUIRE(tree.apply("d/c", file(1)));
    REQUIRE(tree.apply("d/sub/e", file(1)));
    if (!marker_first) REQUIRE(tree.apply("d/.wh..wh..opq", file(1)));
    CHECK(paths(tree) == "d d/c d/sub d/sub/e ");
  }
}

TEST_CASE("a whiteout that names nothing or a parent is refused") {
  Tree tree;
  CHECK(refusal(tree, "a/.wh.", file(1)) == Code::bad_request);
  CHECK(refusal(tree, "a/.wh...", file(1)) == Code::bad_request);
  CHECK(refusal(tree, "a/.wh..", file(1)) == Code::bad_request);
}

TEST_CASE("a file below a symbolic link lands where the link leads, inside the image") {
  Tree tree;
  REQUIRE(tree.apply("usr/bin", directory(0)));
  REQUIRE(tree.apply("bin", symlink_to(0, "usr/bin")));
  REQUIRE(tree.apply("escape", symlink_to(0, "../../../../etc")));
  REQUIRE(tree.apply("absolute", symlink_to(0, "/usr/bin")));
  REQUIRE(tree.apply("bin/tool", file(1)));
  REQUIRE(tree.apply("escape/passwd", file(1)));
  REQUIRE(tree.apply("absolute/other", file(1)));
  CHECK(paths(tree) ==
        "absolute bin escape etc etc/passwd usr usr/bin usr/bin/other usr/bin/tool ");
}

TEST_CASE("symbolic links that lead in a circle, or through a file, are refused") {
  Tree tree;
  REQUIRE(tree.apply("a", symlink_to(0, "b")));
  REQUIRE(tree.apply("b", symlink_to(0, "a")));
  REQUIRE(tree.apply("file", file(0)));
  CHECK(refusal(tree, "a/x", file(0)) == Code::bad_request);
  CHECK(refusal(tree, "file/x", file(0)) == Code::bad_request);
}

TEST_CASE("links cannot make a tree deeper than paths may be") {
  Tree tree;
  std::string deep = "d";
  for (int i = 0; i < 100; ++i) deep += "/d";
  REQUIRE(tree.apply("one", symlink_to(0, deep)));
  REQUIRE(tree.apply("one/two", symlink_to(0, deep)));
  CHECK(refusal(tree, "one/two/x", file(0)) == Code::bad_request);
}

TEST_CASE("a folder named like a whiteout is refused, from a path and from a link") {
  Tree tree;
  REQUIRE(tree.apply("l", symlink_to(0, ".wh.x")));
  CHECK(refusal(tree, ".wh.x/y", file(0)) == Code::bad_request);
  CHECK(refusal(tree, "l/y", file(0)) == Code::bad_request);
}

TEST_CASE("a symbolic link's last part is replaced, never followed") {
  Tree tree;
  REQUIRE(tree.apply("target", file(0)));
  REQUIRE(tree.apply("link", symlink_to(0, "target")));
  REQUIRE(tree.apply("link", file(1)));
  CHECK(tree.find("link")->entry->type == EntryType::file);
  CHECK(tree.find("target")->entry->layer == 0);
}

TEST_CASE("a directory replaces a file and a file a whole directory") {
  Tree tree;
  REQUIRE(tree.apply("x", file(0)));
  REQUIRE(tree.apply("x", directory(1)));
  REQUIRE(tree.apply("x/y", file(1)));
  CHECK(paths(tree) == "x x/y ");
  REQUIRE(tree.apply("x", file(2)));
  CHECK(paths(tree) == "x ");
}

TEST_CASE("hard links share contents, also when the first name is hidden later") {
  Tree tree;
  REQUIRE(tree.apply("a", file(0, 3)));
  REQUIRE(tree.apply("b", hardlink(0, "a")));
  CHECK(tree.find("a")->entry == tree.find("b")->entry);
  REQUIRE(tree.apply(".wh.a", file(1)));
  CHECK(paths(tree) == "b ");
  CHECK(tree.find("b")->entry->position == 3);
}

TEST_CASE("a hard link to nothing, to a directory or out of the image is refused") {
  Tree tree;
  REQUIRE(tree.apply("d", directory(0)));
  CHECK(refusal(tree, "x", hardlink(0, "nothing")) == Code::bad_request);
  CHECK(refusal(tree, "x", hardlink(0, "d")) == Code::bad_request);
  CHECK(refusal(tree, "x", hardlink(0, "../../etc/shadow")) == Code::bad_request);
}

TEST_CASE("devices and sockets are left out") {
  Tree tree;
  REQUIRE(tree.apply("dev/sda", of_type(EntryType::other, 0)));
  CHECK(tree.find("dev/sda") == nullptr);
}

TEST_CASE("contents beyond the limit are refused") {
  Tree tree;
  Entry huge = file(0);
  huge.size = kTreeBytesMax;
  REQUIRE(tree.apply("a", huge));
  CHECK(refusal(tree, "b", file(0)) == Code::too_large);
}
