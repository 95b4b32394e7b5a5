#include "cli/command.h"

#include <doctest/doctest.h>

#include "cli/option_checks.h"

using namespace nimbus;
using namespace nimbus::cli;

namespace {

Command sample() {
  return {.noun = "job",
          .verb = "logs",
          .summary = "Print a job's log",
          .example = "nimbus job logs -f 12",
          .options = {{"--follow", "", "Go on until the job has ended", false, "-f"},
                      {"", "", "selection"},
                      {"--after", "SEQ", "Only lines after this number (default 0)"},
                      {"--label", "LABEL", "With this label", true}},
          .words = {"ID"},
          .notes = "Lines come in order."};
}

Result<Arguments> parse(const Command& command, const std::vector<std::string>& words) {
  return parse_arguments(command, words);
}

}  // namespace

TEST_CASE("options and words are found wherever they stand") {
  const auto arguments = parse(sample(), {"--after", "3", "12", "-f", "--label=a", "--label", "b"});
  REQUIRE(arguments.has_value());
  CHECK(arguments->has("--follow"));
  CHECK(arguments->find("--after") == "3");
  CHECK(arguments->all("--label") == std::vector<std::string>{"a", "b"});
  CHECK(arguments->words() == std::vector<std::string>{"12"});
}

TEST_CASE("an unknown option suggests the nearest one") {
  const auto arguments = parse(sample(), {"--folow", "12"});
  REQUIRE(!arguments.has_value());
  CHECK(arguments.error().message == "unknown option '--folow'");
  CHECK(arguments.error().hint == "did you mean '--follow'?");
}

TEST_CASE("a heading among the options cannot be typed") {
  CHECK(!parse(sample(), {"12", "--"}).has_value());
}

TEST_CASE("a missing value, a value too much and a repeated option are refused") {
  CHECK(!parse(sample(), {"12", "--after"}).has_value());
  CHECK(!parse(sample(), {"12", "--follow=yes"}).has_value());
  CHECK(!parse(sample(), {"12", "--after", "1", "--after", "2"}).has_value());
}

TEST_CASE("a missing word and a word too much are refused with the usage") {
  CHECK(parse(sample(), {}).error().message == "ID is missing");
  CHECK(parse(sample(), {"1", "2"}).error().hint.starts_with("usage: nimbus job logs"));
}

TEST_CASE("what follows -- belongs to the job's command, options too") {
  Command run = {.noun = "run",
                 .summary = "Run",
                 .options = {{"--env", "NAME=VALUE", "", true}},
                 .takes_rest = true};
  const auto arguments = parse(run, {"--env", "A=1", "--", "sh", "-c", "echo --env"});
  REQUIRE(arguments.has_value());
  CHECK(arguments->rest() == std::vector<std::string>{"sh", "-c", "echo --env"});
  CHECK(!parse(run, {"--env", "A=1"}).has_value());
}

TEST_CASE("a whole number outside its bounds is refused by the option's name") {
  const auto arguments = parse(sample(), {"12", "--after", "12x"});
  REQUIRE(arguments.has_value());
  const auto number = arguments->find_integer("--after", 0, 10);
  REQUIRE(!number.has_value());
  CHECK(number.error().message == "--after '12x' is not a whole number from 0 to 10");
}

TEST_CASE("help shows an example first, then usage, then options under their headings") {
  CHECK(command_help(sample()) ==
        "Print a job's log\n"
        "\n"
        "  $ nimbus job logs -f 12\n"
        "\n"
        "usage: nimbus job logs [options] ID\n"
        "\n"
        "options:\n"
        "  -f, --follow              Go on until the job has ended\n"
        "\n"
        "selection:\n"
        "  --after SEQ               Only lines after this number (default 0)\n"
        "  --label LABEL             With this label; may be repeated\n"
        "\n"
        "Lines come in order.\n");
}

TEST_CASE("a value that does not suit its option is refused with what is right") {
  const auto message = [](const Option& option, const std::string& value) {
    const Command command = {.noun = "x", .summary = "X", .options = {option}};
    const auto parsed = parse(command, {std::string(option.name), value});
    return parsed ? std::string() : parsed.error().message;
  };
  const auto with = [](OptionCheck check) { return Option{"--o", "V", "", false, "", check}; };
  const auto one_of = [](Choices choices) {
    return Option{"--o", "V", "", false, "", nullptr, choices};
  };
  CHECK(message(with(page_limit), "x") == "--o 'x' is not a whole number from 1 to 1000");
  CHECK(message(with(page_limit), "1001") == "--o '1001' is not a whole number from 1 to 1000");
  CHECK(
      message(with(job_states), "queued,nope").starts_with("--o 'queued,nope' is none of queued,"));
  CHECK(message(one_of(token_roles), "nope") ==
        "--o 'nope' is none of viewer, operator, admin, ingest");
  CHECK(message(one_of(monitor_names), "nope") == "--o 'nope' is none of auto, qemu, firecracker");
  CHECK(message(with(listen_address), "nope").starts_with("--o 'nope' is not ADDRESS:PORT"));
  CHECK(message(with(image_name), "A/b").starts_with("--o 'A/b' is no image name"));
  CHECK(message(with(key_and_value), "k") == "--o 'k' is not KEY=VALUE");
  CHECK(message(with(variable), "1=x").starts_with("--o '1=x' has no good name"));
  CHECK(message(with(variable), "NIMBUS_ORG=x").find("Nimbus's own") != std::string::npos);
  CHECK(message(one_of(monitor_names), "qemu").empty());
  CHECK(message(with(page_limit), "7").empty());
  CHECK(message(with(job_states), "queued,timed_out").empty());
  CHECK(message(with(listen_address), "[::1]:0").empty());
  CHECK(message(with(variable), "A=b=c").empty());
}

TEST_CASE("an unknown option that is near to none is answered with those that there are") {
  CHECK(parse(sample(), {"--zzzzzzzz", "12"}).error().hint == "one of --follow, --after, --label");
}
