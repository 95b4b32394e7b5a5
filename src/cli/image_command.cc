// nimbus image list|build|import|inspect|verify|remove: the images of this host. They work on the
// data directory itself, so they need no running server; the agent sees what they change at its
// next job.
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/data_directory.h"
#include "cli/installation.h"
#include "cli/option_checks.h"
#include "image/build.h"
#include "image/store.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

const Option kDataOption = {"--data", "DIR", "Data directory (default ./nimbus-data)"};
const Option kJsonOption = {"--json", "", "Print JSON for scripts"};

constexpr size_t kDigestShown = 7 + 12;  // "sha256:" and enough to tell images apart

std::string megabytes(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

// No client command makes a data directory: one in the wrong place would be believed in later.
Result<std::unique_ptr<image::Store>> open_store(const Arguments& arguments) {
  const std::string data = arguments.find("--data").value_or(kDataDirectoryDefault);
  if (access(data.c_str(), F_OK) != 0) {
    return fail(Code::not_found, "no data directory " + data,
                "name it with --data, or make it with nimbus up");
  }
  const std::string own = data + "/nimbus.toml";
  const Config config =
      TRY(load_config(access(own.c_str(), F_OK) == 0 ? own : "",
                      [](const std::string& name) { return getenv(name.c_str()); }));
  const Installation installation = TRY(find_installation(config));
  return image::Store::open(
      {.directory = data + "/agent/images", .archives = installation.image_archives});
}

json::array to_json(const std::vector<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

json::object to_json(const image::Image& image) {
  return {{"name", image.name},
          {"digest", image.digest},
          {"size_bytes", image.size_bytes},
          {"layers", image.layers},
          {"created", image.created},
          {"source", image.source},
          {"env", to_json(image.config.env)},
          {"user", image.config.user},
          {"workdir", image.config.working_dir},
          {"entrypoint", to_json(image.config.entrypoint)},
          {"command", to_json(image.config.command)}};
}

void print_json(const json::value& value) { std::printf("%s\n", json::serialize(value).c_str()); }

void print_row(const std::string& name, const std::string& digest, const std::string& size,
               const std::string& from) {
  std::printf("%-28s %-20s %10s  %s\n", name.c_str(), digest.substr(0, kDigestShown).c_str(),
              size.c_str(), from.c_str());
}

// Images of the store, then those that wait in an archive until a job needs them.
Result<void> list(const Arguments& arguments) {
  const auto store = TRY(open_store(arguments));
  const std::vector<image::Image> images = TRY(store->list());
  std::vector<image::ArchivedName> waiting = store->archived();
  for (const image::Image& image : images)
    std::erase_if(waiting, [&](const auto& archived) { return archived.name == image.name; });
  if (arguments.has("--json")) {
    json::array items;
    for (const image::Image& image : images) items.push_back(to_json(image));
    for (const image::ArchivedName& archived : waiting)
      items.push_back(json::object{{"name", archived.name}, {"archive", archived.path}});
    print_json(items);
    return {};
  }
  if (images.empty() && waiting.empty()) {
    std::fprintf(stderr,
                 "no images; build them (make images) or import one (nimbus image import FILE)\n");
    return {};
  }
  print_row("NAME", "DIGEST", "SIZE", "FROM");
  for (const image::Image& image : images) {
    print_row(image.name, image.digest, megabytes(image.size_bytes),
              image.source.empty() ? "import" : image.source);
  }
  for (const image::ArchivedName& archived : waiting)
    print_row(archived.name, "not imported yet", "", archived.path);
  return {};
}

Result<void> build(const Arguments& arguments) {
  image::BuildOptions options;
  options.output = arguments.find("--output").value_or(options.output);
  options.mirror = arguments.find("--mirror").value_or("");
  options.fresh = arguments.has("--fresh");
  options.on_step = [](std::string_view step) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(step.size()), step.data());
  };
  if (arguments.has("--verbose")) {
    options.on_line = [](std::string_view line) {
      std::fprintf(stderr, "  %.*s\n", static_cast<int>(line.size()), line.data());
    };
  }
  json::array items;
  for (const std::string& folder : arguments.words()) {
    const image::BuiltImage built = TRY(image::build_image(folder, options));
    items.push_back(json::object{{"name", built.name},
                                 {"digest", built.digest},
                                 {"archive", built.archive},
                                 {"size_bytes", built.size_bytes},
                                 {"changed", built.changed}});
    if (!arguments.has("--json")) {
      print_row(built.name, built.digest, megabytes(built.size_bytes),
                built.archive + (built.changed ? "" : " (unchanged)"));
    }
  }
  if (arguments.has("--json")) print_json(items);
  return {};
}

Result<void> import(const Arguments& arguments) {
  const std::string& file = arguments.words().front();
  if (access(file.c_str(), R_OK) != 0) return fail(errno_error("reading " + file, errno));
  const auto store = TRY(open_store(arguments));
  const auto images = TRY(store->import_archive(file, arguments.find("--name").value_or("")));
  json::array items;
  for (const image::Image& image : images) {
    items.push_back(to_json(image));
    if (!arguments.has("--json"))
      print_row(image.name, image.digest, megabytes(image.size_bytes), "import");
  }
  if (arguments.has("--json")) print_json(items);
  std::fprintf(stderr, "next: nimbus run --image %s -- COMMAND\n", images.front().name.c_str());
  return {};
}

Result<void> inspect(const Arguments& arguments) {
  const auto store = TRY(open_store(arguments));
  const image::Image image = TRY(store->ensure(arguments.words().front()));
  if (arguments.has("--json")) {
    print_json(to_json(image));
    return {};
  }
  const auto line = [](const char* name, const std::string& value) {
    if (!value.empty()) std::printf("%-12s %s\n", name, value.c_str());
  };
  line("name", image.name);
  line("digest", image.digest);
  line("size", megabytes(image.size_bytes) + " in " + std::to_string(image.layers) + " layers");
  line("created", image.created);
  line("source", image.source.empty() ? "explicit import" : image.source);
  line("user", image.config.user);
  line("workdir", image.config.working_dir);
  line("entrypoint", join(image.config.entrypoint, " "));
  line("command", join(image.config.command, " "));
  for (const std::string& variable : image.config.env) line("env", variable);
  return {};
}

Result<void> verify(const Arguments& arguments) {
  const auto store = TRY(open_store(arguments));
  std::vector<std::string> names = arguments.words();
  if (names.empty())
    for (const image::Image& image : TRY(store->list())) names.push_back(image.name);
  json::array items;
  std::vector<std::string> bad;
  for (const std::string& name : names) {
    const auto verified = store->verify(name);
    if (!verified) bad.push_back(name);
    const std::string fault = verified ? "" : verified.error().message;
    items.push_back(json::object{{"name", name},
                                 {"whole", verified.has_value()},
                                 {"error", verified ? json::value(nullptr) : json::value(fault)}});
    if (arguments.has("--json")) continue;
    std::printf("%s: %s\n", name.c_str(),
                verified ? "every byte is what its digest says" : fault.c_str());
  }
  if (arguments.has("--json")) print_json(items);
  if (bad.empty()) return {};
  return fail(Code::corrupt, "not whole: " + join(bad, ", "),
              "remove what is not whole and import it again");
}

Result<void> remove(const Arguments& arguments) {
  const auto store = TRY(open_store(arguments));
  json::array items;
  for (const std::string& name : arguments.words()) {
    TRY(store->remove(name));
    items.push_back(json::object{{"name", name}, {"removed", true}});
    if (!arguments.has("--json")) std::printf("%s removed\n", name.c_str());
  }
  if (arguments.has("--json")) print_json(items);
  return {};
}

std::function<int(const Arguments&)> command(Result<void> (*run)(const Arguments&)) {
  return [run](const Arguments& arguments) {
    const Result<void> done = run(arguments);
    return done ? kExitDone : complain(done.error());
  };
}

}  // namespace

std::vector<Command> image_commands() {
  return {
      {.noun = "image",
       .verb = "list",
       .summary = "List the images of this host",
       .example = "nimbus image list",
       .options = {kDataOption, kJsonOption},
       .run = command(list)},
      {.noun = "image",
       .verb = "build",
       .summary = "Build images from recipes (folders with image.toml)",
       .example = "nimbus image build images/base",
       .options = {{"--output", "DIR", "Where the archives go (default build/images)"},
                   {"--fresh", "", "Make every layer again, with the newest packages"},
                   {"--mirror", "URL", "Debian mirror (default: Debian's own)"},
                   {"--verbose", "", "Show what mmdebstrap and npm print"},
                   kJsonOption},
       .words = {"DIR..."},
       .run = command(build)},
      {.noun = "image",
       .verb = "import",
       .summary = "Take the images of an OCI archive or layout directory",
       .example = "nimbus image import app.oci.tar --name acme/app",
       .options = {{"--name", "NAME", "Name of the image, when the archive has none or another",
                    false, "", image_name},
                   kDataOption,
                   kJsonOption},
       .words = {"FILE"},
       .run = command(import)},
      {.noun = "image",
       .verb = "inspect",
       .summary = "Show what an image says about itself",
       .example = "nimbus image inspect nimbus/base",
       .options = {kDataOption, kJsonOption},
       .words = {"IMAGE"},
       .run = command(inspect)},
      {.noun = "image",
       .verb = "verify",
       .summary = "Check every byte of images against their digests",
       .example = "nimbus image verify nimbus/base",
       .options = {kDataOption, kJsonOption},
       .words = {"[IMAGE...]"},
       .notes = "Exits with 1 when one is not whole.",
       .run = command(verify)},
      {.noun = "image",
       .verb = "remove",
       .summary = "Forget images and free what no other needs",
       .example = "nimbus image remove acme/app",
       .options = {kDataOption, kJsonOption},
       .words = {"IMAGE..."},
       .run = command(remove)},
  };
}

}  // namespace nimbus::cli
