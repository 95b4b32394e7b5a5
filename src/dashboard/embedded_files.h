// The files of web/dist as they were when the program was built; none when the dashboard had not
// been built. The bytes live in the program's read-only memory. Threads: any.
#pragma once

#include <span>
#include <string_view>

namespace nimbus::dashboard {

struct EmbeddedFile {
  std::string_view path;  // "/index.html"
  std::string_view bytes;
  std::string_view gzip;    // empty: not worth it
  std::string_view brotli;  // empty: not worth it
};

std::span<const EmbeddedFile> embedded_files();

}  // namespace nimbus::dashboard
