// The image's users, read from the text of its /etc/passwd and /etc/group: whatever an image holds
// is taken as it is, lines that make no sense are passed over. Pure functions.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace nimbus::guest {

constexpr uid_t kFallbackUid = 1000;

struct Account {
  std::string name;
  uid_t uid = kFallbackUid;
  gid_t gid = kFallbackUid;
  std::vector<gid_t> groups;  // gid first
  std::string home;
  bool known = false;  // the image has it
};

// The account called `name`. An image without it gives uid and gid 1000 and /home/`name`, so that a
// job never runs as root because its image forgot a user.
Account find_account(std::string_view passwd, std::string_view group, std::string_view name);

}  // namespace nimbus::guest
