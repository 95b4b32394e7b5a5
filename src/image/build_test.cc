#include "image/build.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "image/command.h"
#include "image/pack.h"
#include "image/recipe.h"
#include "image/stage.h"
#include "image/store.h"
#include "image/test_archive.h"

using namespace nimbus;
using namespace nimbus::image;

namespace {

namespace fs = std::filesystem;

struct Recipes {
  TestFolder folder;
  BuildOptions options;
  int steps = 0;

  Recipes() {
    options.output = folder.path("out");
    options.on_step = [this](std::string_view) { ++steps; };
    write_text(
        folder.path("low/image.toml"),
        "name = \"t/low\"\n[[copy]]\nfrom = \"files\"\nto = \"/\"\n[[mode]]\npath = \"/bin/run\"\n"
        "mode = 0o4755\n[[directory]]\npath = \"/home/u\"\nowner = 1000\nmode = 0o700\n"
        "[config]\nenv = [\"A=1\", \"B=1\"]\nuser = \"u\"\nworkdir = \"/home/u\"\n");
    write_text(folder.path("low/files/bin/run"), "run");
    write_text(folder.path("low/files/etc/note"), "low");
    write_text(
        folder.path("high/image.toml"),
        "name = \"t/high\"\nfrom = \"../low\"\n[[copy]]\nfrom = \"note\"\nto = \"/etc/note\"\n"
        "[[link]]\npath = \"/go\"\nto = \"bin/run\"\n[config]\nenv = [\"B=2\"]\n"
        "entrypoint = [\"/go\"]\n");
    write_text(folder.path("high/note"), "high");
  }

  BuiltImage build(const std::string& name) {
    auto built = build_image(folder.path(name), options);
    REQUIRE_MESSAGE(built, (built ? "" : built.error().message));
    return *built;
  }

  Error refused(const std::string& toml) {
    auto recipe = parse_recipe(toml, "/r");
    REQUIRE_FALSE(recipe);
    return recipe.error();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Recipes,
                  "an image is its base's layers with its own on top, and the store takes it") {
  const BuiltImage built = build("high");
  CHECK(built.name == "t/high");
  CHECK(built.changed);
  auto store = Store::open({folder.path("store"), {folder.path("out")}});
  REQUIRE(store);
  const auto image = (*store)->ensure("t/high");
  REQUIRE(image);
  CHECK(image->digest == built.digest);
  CHECK(image->layers == 2);
  CHECK(image->config.env == std::vector<std::string>{"A=1", "B=2"});
  CHECK(image->config.user == "u");
  CHECK(image->config.entrypoint == std::vector<std::string>{"/go"});
  const auto root = (*store)->root_filesystem("t/high");
  REQUIRE(root);
  std::string listing;
  Command command;
  command.argv = {"unsquashfs", "-lln", root->path};
  command.on_line = [&](std::string_view line) { listing += std::string(line) + "\n"; };
  REQUIRE(run(command));
  CHECK(listing.find("-rwsr-xr-x 0/0") != std::string::npos);
  CHECK(listing.find("drwx------ 1000/1000") != std::string::npos);
  CHECK(listing.find("squashfs-root/go -> bin/run") != std::string::npos);
  CHECK((*store)->verify("t/high"));
}

TEST_CASE_FIXTURE(Recipes, "the same recipe gives the same bytes, elsewhere and later") {
  const BuiltImage first = build("high");
  options.output = folder.path("again");
  fs::last_write_time(folder.path("high/note"), fs::file_time_type::clock::now());
  const BuiltImage second = build("high");
  CHECK(first.digest == second.digest);
  CHECK(read_text_file(first.archive) == read_text_file(second.archive));
}

TEST_CASE_FIXTURE(Recipes, "only what changed is made again") {
  const std::string low = build("low").digest;
  const std::string high = build("high").digest;
  steps = 0;
  CHECK_FALSE(build("low").changed);
  CHECK_FALSE(build("high").changed);
  CHECK(steps == 0);

  write_text(folder.path("high/note"), "changed");
  CHECK(build("low").digest == low);
  CHECK(build("high").digest != high);

  steps = 0;
  options.fresh = true;
  CHECK_FALSE(build("low").changed);
  CHECK(steps > 0);
}

TEST_CASE_FIXTURE(Recipes, "a failed build leaves no archive and no half layer") {
  write_text(folder.path("bad/image.toml"),
             "name = \"t/bad\"\n[[copy]]\nfrom = \"absent\"\nto = \"/x\"\n");
  CHECK(build_image(folder.path("bad"), options).error().code == Code::not_found);
  CHECK_FALSE(fs::exists(folder.path("out/bad.oci.tar")));
  CHECK_FALSE(fs::exists(folder.path("out/cache/bad")));
}

TEST_CASE_FIXTURE(Recipes, "a base that leads back to its image is refused") {
  write_text(folder.path("a/image.toml"), "name = \"t/a\"\nfrom = \"../b\"\n");
  write_text(folder.path("b/image.toml"), "name = \"t/b\"\nfrom = \"../a\"\n");
  CHECK(build_image(folder.path("a"), options).error().code == Code::bad_request);
}

TEST_CASE_FIXTURE(Recipes, "a copy through a link of the image cannot leave the tree") {
  const std::string outside = folder.path("outside");
  fs::create_directories(outside);
  fs::create_directories(folder.path("evil/files"));
  fs::create_symlink(outside, folder.path("evil/files/out"));
  write_text(folder.path("evil/note"), "owned");
  write_text(
      folder.path("evil/image.toml"),
      "name = \"t/evil\"\n[[copy]]\nfrom = \"files\"\nto = \"/\"\n[[copy]]\nfrom = \"note\"\nto = "
      "\"/out/note\"\n");
  CHECK(build_image(folder.path("evil"), options).error().code == Code::bad_request);
  CHECK(fs::is_empty(outside));
}

TEST_CASE_FIXTURE(Recipes, "a recipe's mistakes are named with line and suggestion") {
  CHECK(refused("nam = \"x\"").message.find("`name` is missing") != std::string::npos);
  CHECK(refused("name = \"x\"\nsumary = \"y\"\n").hint == "did you mean `summary`?");
  CHECK(refused("name = \"x\"\nsumary = \"y\"\n").message.find("image.toml:2") !=
        std::string::npos);
  CHECK(refused("name = 7").message.find("must be a string") != std::string::npos);
  CHECK(refused("name = \"x:1\"").message.find("without tag") != std::string::npos);
  CHECK(refused("name = \"x\"\n[[link]]\npath = \"relative\"\nto = \"y\"\n")
            .message.find("absolute") != std::string::npos);
  CHECK(refused("name = \"x\"\nremove = [\"/a/../../b\"]\n").message.find("absolute") !=
        std::string::npos);
  CHECK(refused("name = \"x\"\n[[user]]\nname = \"u\"\nid = 1\nhome = \"/h\"\n")
            .message.find("[debian]") != std::string::npos);
  CHECK(refused("name = \"x\"\n[[mode]]\npath = \"/a\"\nmode = \"755\"\n").message.find("number") !=
        std::string::npos);
  CHECK(refused("name = \"x\"\n[config]\nenv = [\"NOVALUE\"]\n").message.find("NAME=value") !=
        std::string::npos);
  CHECK(refused("name = ").message.find("image.toml:1") != std::string::npos);
}

TEST_CASE("a failing program is told with its last words, a missing one with what to do") {
  Command command;
  command.argv = {"sh", "-c", "echo first; echo the reason >&2; exit 3"};
  const auto failed = run(command);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message.find("exit code 3") != std::string::npos);
  CHECK(failed.error().message.find("the reason") != std::string::npos);
  command.argv = {"no-such-program-of-ours"};
  CHECK(run(command).error().code == Code::not_found);
}

TEST_CASE("feeding a program that stops reading ends with the program's own failure") {
  Command command;
  command.argv = {"sh", "-c", "echo full >&2; exit 1"};
  const auto fed = run_fed(command, [](Feed& feed) -> Result<void> {
    for (int i = 0; i < 1000; ++i) TRY(feed.write(std::string(65536, 'x')));
    return {};
  });
  REQUIRE_FALSE(fed);
  CHECK(fed.error().message.find("full") != std::string::npos);
}
