#include "registry/names.h"

#include <charconv>

#include "base/text.h"

namespace nimbus::registry {
namespace {

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_component(std::string_view text) {
  size_t at = 0;
  for (;;) {
    const size_t word = at;
    while (at < text.size() && is_alphanumeric(text[at])) ++at;
    if (at == word) return false;
    if (at == text.size()) return true;
    const char separator = text[at];
    const size_t begin = at;
    while (at < text.size() && text[at] == separator) ++at;
    const size_t length = at - begin;
    const bool joins =
        separator == '-' || (separator == '.' && length == 1) || (separator == '_' && length <= 2);
    if (!joins) return false;
  }
}

bool read_number(std::string_view text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 0;
}

// "/NAME" taken off the end of `text`: NAME, or nullopt when there is no slash.
std::optional<std::string_view> take_last(std::string_view& text) {
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view last = text.substr(slash + 1);
  text = text.substr(0, slash);
  return last;
}

Place place(Resource resource, std::string_view repository, std::string_view reference) {
  return {resource, std::string(repository), std::string(reference)};
}

}  // namespace

Result<void> check_repository(std::string_view name) {
  if (name.size() > kRepositoryBytesMax) {
    return fail(Code::bad_request,
                "the repository's name is over " + std::to_string(kRepositoryBytesMax) + " bytes");
  }
  const auto components = split(name, '/');
  for (const std::string_view component : components) {
    if (!is_component(component)) {
      return fail(Code::bad_request,
                  "the repository's name has a component that is not lower-case letters and "
                  "digits joined by '.', '_', '__' or '-'");
    }
  }
  if (components.size() < 2) {
    return fail(Code::bad_request, "the repository's name has no org", "write it ORG/NAME");
  }
  return {};
}

bool is_tag(std::string_view text) {
  if (text.empty() || text.size() > kTagBytesMax) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool word = is_alphanumeric(c) || (c >= 'A' && c <= 'Z') || c == '_';
    if (!word && (i == 0 || (c != '.' && c != '-'))) return false;
  }
  return true;
}

std::string_view org_of(std::string_view repository) {
  return repository.substr(0, repository.find('/'));
}

std::string_view name_in_org(std::string_view repository) {
  const size_t slash = repository.find('/');
  return slash == std::string_view::npos ? std::string_view() : repository.substr(slash + 1);
}

std::optional<Place> parse_place(std::string_view rest) {
  if (rest.empty()) return Place{};
  if (rest.ends_with("/blobs/uploads/")) rest.remove_suffix(1);
  const auto last = take_last(rest);
  const auto before = last ? take_last(rest) : std::nullopt;
  if (!before || rest.empty() || last->empty()) return std::nullopt;
  if (*before == "manifests") return place(Resource::manifest, rest, *last);
  if (*before == "referrers") return place(Resource::referrers, rest, *last);
  if (*before == "tags" && *last == "list") return place(Resource::tags, rest, "");
  if (*before == "blobs" && *last == "uploads") return place(Resource::upload_start, rest, "");
  if (*before == "blobs") return place(Resource::blob, rest, *last);
  const auto third = *before == "uploads" ? take_last(rest) : std::nullopt;
  if (third && *third == "blobs" && !rest.empty()) return place(Resource::upload, rest, *last);
  return std::nullopt;
}

Result<ChunkRange> parse_chunk_range(std::string_view text) {
  std::string_view range = trim(text);
  if (range.starts_with("bytes ")) {
    range.remove_prefix(6);
    range = range.substr(0, range.find('/'));
  }
  const size_t dash = range.find('-');
  ChunkRange chunk;
  if (dash == std::string_view::npos || !read_number(range.substr(0, dash), chunk.first) ||
      !read_number(range.substr(dash + 1), chunk.last) || chunk.last < chunk.first ||
      chunk.last == INT64_MAX) {
    return fail(Code::bad_request, "Content-Range is not FIRST-LAST", "write it like 0-1048575");
  }
  return chunk;
}

}  // namespace nimbus::registry
