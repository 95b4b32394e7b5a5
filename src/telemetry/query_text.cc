#include "telemetry/query_text.h"

namespace nimbus::telemetry {

QueryText::QueryText(const access::OrgScope& orgs, std::string_view org_column) {
  if (orgs.is_all()) {
    conditions_ = "1";
  } else if (const auto org = orgs.single()) {
    conditions_ = "lower(" + std::string(org_column) + ") = {org:String}";
    parameters_.emplace_back("org", *org);
  } else {
    conditions_ = "0";
  }
}

QueryText& QueryText::where(std::string_view condition) {
  conditions_ += " AND ";
  conditions_ += condition;
  return *this;
}

QueryText& QueryText::bind(std::string_view name, std::string_view value) {
  parameters_.emplace_back(name, value);
  return *this;
}

}  // namespace nimbus::telemetry
