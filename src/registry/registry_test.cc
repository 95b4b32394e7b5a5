#include "registry/registry.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "access/access_fixture.h"
#include "api/openapi.h"
#include "base/json.h"
#include "blob/disk_store.h"
#include "registry/tables.h"

using namespace nimbus;
using namespace nimbus::registry;

namespace {

struct RegistryFixture : access::AccessFixture {
  RegistryFixture() {
    migrate(blob::blob_migrations());
    migrate(registry_migrations());
    registry.add_routes(router);
  }
  ~RegistryFixture() { loop.end_tasks(); }

  std::unique_ptr<blob::DiskStore> open_store() {
    auto opened = blob::DiskStore::open_directory(loop, {.directory = dir + "/blobs"});
    REQUIRE(opened);
    return std::move(*opened);
  }
  static blob::QuotaBook::Options no_limits() {
    blob::QuotaBook::Options options;
    options.limits = [](db::Transaction&, const std::string&,
                        blob::Use) -> Result<blob::QuotaLimits> { return blob::QuotaLimits{}; };
    return options;
  }

  Metrics metrics;
  std::unique_ptr<blob::DiskStore> store = open_store();
  blob::QuotaBook quota{*database, *store, no_limits()};
  blob::LossBook losses;
  Registry registry{{loop, *database, *store, quota, losses, authenticator, metrics, clock,
                     Secret("0123456789abcdef0123456789abcdef")},
                    Options()};
  net::Router router;
};

}  // namespace

TEST_CASE_FIXTURE(RegistryFixture,
                  "every route is described, and every described one of the registry is served") {
  CHECK_EQ(api::undocumented_routes(router.routes()), std::vector<std::string>{});
  const std::vector<std::string_view> tags = {"registry"};
  CHECK_EQ(api::unserved_routes(router.routes(), tags), std::vector<std::string>{});
}

TEST_CASE_FIXTURE(RegistryFixture, "answers are as described") {
  const auto as_described = [&](std::string_view schema, const net::Response& response) {
    CHECK_EQ(api::schema_faults(schema, *parse_json(response.body)), std::vector<std::string>{});
  };
  const std::string admin = token(access::Role::admin, "*");
  as_described("RepositoryList", serve(router, "GET", "/api/v1/repositories", admin));
  as_described("RepositoryUsageList", serve(router, "GET", "/api/v1/repository-usage", admin));
  as_described("RegistryToken", serve(router, "GET", "/v2/token", admin));
  const net::Response refused = serve(router, "GET", "/v2/acme/app/tags/list", "");
  CHECK_EQ(refused.status, 401);
  as_described("RegistryErrors", refused);
}
