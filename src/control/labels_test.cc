#include "control/labels.h"

#include <doctest/doctest.h>

using namespace nimbus;
using namespace nimbus::control;

namespace {

const std::vector<Profile> kProfiles = {
    {.name = "nimbus", .image = "nimbus/base", .entry = {"true"}, .resources = {2, 2048, 10240}},
    {.name = "eval",
     .image = "nimbus/ai-eval-runner",
     .entry = {"eval"},
     .resources = {4, 8192, 1}},
    {.name = "gpu", .image = "nimbus/gpu", .entry = {}, .resources = {8, 8192, 1}}};

std::optional<LabelMatch> match(const std::vector<std::string>& labels) {
  return match_labels(labels, kProfiles);
}

}  // namespace

TEST_CASE("a profile's label picks the profile whatever its case") {
  const auto found = match({"self-hosted", "Linux", "X64", "NIMBUS"});
  REQUIRE(found);
  CHECK_EQ(found->profile->name, "nimbus");
  CHECK_EQ(found->resources.cpus, 2);
}

TEST_CASE("a size label changes the size of the profile nimbus") {
  CHECK_EQ(match({"nimbus-4cpu-8gb"})->resources.cpus, 4);
  CHECK_EQ(match({"nimbus-4cpu-8gb"})->resources.memory_mb, 8192);
  CHECK_EQ(match({"nimbus-16cpu"})->resources.memory_mb, 2048);
  CHECK_EQ(match({"Nimbus-32GB"})->resources.cpus, 2);
  CHECK_EQ(match({"nimbus", "nimbus-4cpu"})->resources.cpus, 4);
}

TEST_CASE("a size that is none is somebody else's label") {
  for (const char* label :
       {"nimbus-0cpu", "nimbus-04cpu", "nimbus-65cpu", "nimbus-4", "nimbus-", "nimbus-4cpu-4cpu",
        "nimbus-8gb-4cpu", "nimbus-4cpu-8gb-1", "nimbus-+4cpu", "nimbus-99999999999cpu",
        "nimbus-513gb", "nimbus-gb", "nimbus-4cpu-"}) {
    CHECK_MESSAGE(!match({label}), label);
  }
}

TEST_CASE("a job for other machines does not match") {
  CHECK_FALSE(match({}));
  CHECK_FALSE(match({"self-hosted", "linux"}));
  CHECK_FALSE(match({"ubuntu-latest"}));
  CHECK_FALSE(match({"nimbus", "windows"}));
  CHECK_FALSE(match({"nimbus", "arm64"}));
  CHECK_FALSE(match({"nimbus", std::string(kLabelBytesMax + 1, 'a')}));
}

TEST_CASE("a more particular profile wins over nimbus, two of them contradict each other") {
  CHECK_EQ(match({"nimbus", "eval"})->profile->name, "eval");
  CHECK_EQ(match({"eval", "nimbus"})->profile->name, "eval");
  CHECK_EQ(match({"nimbus-2cpu", "eval"})->resources.cpus, 2);
  CHECK_EQ(match({"nimbus-2cpu", "eval"})->profile->name, "eval");
  CHECK_FALSE(match({"gpu", "eval"}));
}

TEST_CASE("parameters become metadata and environment, meta becomes metadata") {
  const auto found = match({"nimbus", "param:suite.name=Smoke=1", "Meta:team", "meta:tier=gold"});
  REQUIRE(found);
  CHECK_EQ(found->metadata, std::map<std::string, std::string>{
                                {"suite.name", "Smoke=1"}, {"team", "true"}, {"tier", "gold"}});
  CHECK_EQ(found->env, std::map<std::string, std::string>{{"NIMBUS_PARAM_SUITE_NAME", "Smoke=1"}});
}

TEST_CASE("parameters that are not plain are refused") {
  CHECK_FALSE(match({"nimbus", "param:suite"}));
  CHECK_FALSE(match({"nimbus", "param:=x"}));
  CHECK_FALSE(match({"nimbus", "param:a b=x"}));
  CHECK_FALSE(match({"nimbus", "param:a=x\ny"}));
  CHECK_FALSE(match({"nimbus", "meta:"}));
  std::vector<std::string> many = {"nimbus"};
  for (size_t i = 0; i <= kMetadataMax; ++i) many.push_back("meta:k" + std::to_string(i));
  CHECK_FALSE(match(many));
}
