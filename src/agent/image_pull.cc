#include "agent/image_pull.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/text.h"
#include "model/image_reference.h"
#include "os/atomic_file.h"
#include "os/unique_fd.h"

namespace nimbus::agent {
namespace {

constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view kLayoutFile = R"({"imageLayoutVersion":"1.0.0"})";
constexpr Duration kHeadPatience = std::chrono::minutes(10);

std::string accepted_types() {
  std::string out;
  for (const std::string_view type :
       {image::kManifestMediaType, image::kIndexMediaType, kDockerManifest, kDockerList}) {
    if (!out.empty()) out += ", ";
    out += type;
  }
  return out;
}

// As image names have it: what stands before the first slash is a host when it cannot be anything
// else.
bool is_host(std::string_view component) {
  return component == "localhost" || component.find_first_of(".:") != std::string_view::npos;
}

Result<void> refusal(int status, std::string_view what) {
  const std::string said = std::string(what) + ": the registry answered " + std::to_string(status);
  if (status == 401 || status == 403 || status == 404) return fail(Code::not_found, said);
  return fail(status == 429 || status >= 500 ? Code::unavailable : Code::bad_request, said);
}

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail(errno_error("writing a layer", errno));
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return {};
}

}  // namespace

ImagePull::ImagePull(net::Loop& loop, ControlClient& control, std::string directory, Secret token)
    : loop_(loop), control_(control), directory_(std::move(directory)), token_(std::move(token)) {}

std::string ImagePull::local_name(std::string_view org) const {
  std::string host = ns_;
  std::replace(host.begin(), host.end(), ':', '-');
  return "pulled/" + to_lower(org) + "/" + (host.empty() ? "" : host + "/") + repository_ + "/" +
         std::string(image::digest_hex(digest_));
}

std::string ImagePull::blob_file(std::string_view digest) const {
  return directory_ + "/blobs/sha256/" + std::string(image::digest_hex(digest));
}

std::string ImagePull::target(std::string_view kind, const std::string& reference) const {
  std::string out = "/v2/" + repository_ + "/" + std::string(kind) + "/" + reference;
  if (!ns_.empty()) out += "?ns=" + net::percent_encode(ns_);
  return out;
}

Task<Result<void>> ImagePull::write(const std::string& path, const std::string& bytes) {
  std::function<Result<void>()> call = [&path, &bytes] {
    return os::write_file_atomically(path, bytes);
  };
  co_return co_await loop_.blocking(std::move(call));
}

Task<Result<ImagePull::Document>> ImagePull::fetch_manifest(const std::string& reference) {
  net::ClientRequest request;
  request.headers.set("Accept", accepted_types());
  request.answer_bytes_max = image::kDocumentBytesMax;
  std::string path = target("manifests", reference);
  Secret token = token_;
  CO_TRY_ASSIGN(auto answer,
                co_await control_.forward(std::move(request), std::move(path), std::move(token)));
  if (answer.status != 200) {
    CO_TRY(refusal(answer.status, reference));
  }
  const bool named = reference.find(':') != std::string::npos;
  if (named && image::digest_of(answer.body) != reference) {
    co_return fail(Code::corrupt, "the registry's manifest is not " + reference);
  }
  std::string type(answer.headers.find("Content-Type").value_or(""));
  co_return Document{std::move(type), std::move(answer.body)};
}

// The manifest for this machine, written into the layout.
Task<Result<image::Descriptor>> ImagePull::choose_manifest(const std::string& reference) {
  CO_TRY_ASSIGN(Document document, co_await fetch_manifest(reference));
  if (document.media_type == image::kIndexMediaType || document.media_type == kDockerList) {
    CO_TRY_ASSIGN(const auto entries, image::parse_index(document.bytes));
    const auto fits = std::find_if(entries.begin(), entries.end(), [](const auto& entry) {
      return image::is_manifest(entry) && (entry.os.empty() || entry.os == "linux") &&
             (entry.architecture.empty() || entry.architecture == image::machine_architecture());
    });
    if (fits == entries.end()) {
      co_return fail(Code::bad_request, "the image has no variant for this machine");
    }
    const std::string chosen = fits->digest;
    CO_TRY_ASSIGN(document, co_await fetch_manifest(chosen));
  }
  image::Descriptor descriptor;
  descriptor.media_type = document.media_type;
  descriptor.digest = image::digest_of(document.bytes);
  descriptor.size = static_cast<int64_t>(document.bytes.size());
  const std::string file = blob_file(descriptor.digest);
  CO_TRY(co_await write(file, document.bytes));
  CO_TRY_ASSIGN(const image::Manifest manifest, image::parse_manifest(document.bytes));
  CO_TRY(co_await fetch_blob(manifest.config));
  for (const image::Descriptor& layer : manifest.layers) {
    CO_TRY(co_await fetch_blob(layer));
  }
  co_return descriptor;
}

Task<Result<void>> ImagePull::fetch_blob(const image::Descriptor& blob) {
  if (blob.size > image::kBlobBytesMax) co_return fail(Code::too_large, "a layer is too large");
  const std::string file = blob_file(blob.digest);
  os::UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) co_return fail(errno_error("making " + file, errno));
  Sha256 hash;
  int64_t size = 0;
  int status = 0;
  Result<void> written;
  std::function<void(const net::ClientResponse&)> on_head =
      [&status](const net::ClientResponse& head) { status = head.status; };
  std::function<Task<bool>(std::string_view)> on_bytes = [&](std::string_view bytes) -> Task<bool> {
    size += static_cast<int64_t>(bytes.size());
    if (status != 200 || size > blob.size) co_return false;
    std::function<Result<void>()> call = [&hash, &fd, bytes] {
      hash.update(bytes);
      return write_all(fd.get(), bytes);
    };
    written = co_await loop_.blocking(std::move(call));
    co_return written.has_value();
  };
  net::ClientRequest request;
  request.timeout = kHeadPatience;  // a mirror fetches the whole blob first
  std::string path = target("blobs", blob.digest);
  Secret token = token_;
  CO_TRY(co_await control_.forward_stream(std::move(request), std::move(path), std::move(token),
                                          std::move(on_head), std::move(on_bytes)));
  if (status != 200) co_return refusal(status, blob.digest);
  CO_TRY(written);
  if (size != blob.size || "sha256:" + to_hex(hash.finish()) != blob.digest) {
    co_return fail(Code::corrupt, "the registry's blob is not " + blob.digest);
  }
  co_return Result<void>();
}

Task<Result<std::string>> ImagePull::resolve(std::string name) {
  CO_TRY_ASSIGN(const model::ImageReference reference, model::parse_image_reference(name));
  repository_ = reference.name;
  const size_t slash = repository_.find('/');
  if (slash != std::string::npos && is_host(repository_.substr(0, slash))) {
    ns_ = repository_.substr(0, slash);
    repository_.erase(0, slash + 1);
  }
  if (repository_.empty()) co_return fail(Code::not_found, "a digest alone names no repository");
  digest_ = reference.digest;
  if (!digest_.empty()) co_return digest_;
  net::ClientRequest request;
  request.method = "HEAD";
  request.headers.set("Accept", accepted_types());
  std::string path = target("manifests", reference.tag.empty() ? "latest" : reference.tag);
  Secret token = token_;
  CO_TRY_ASSIGN(const auto answer,
                co_await control_.forward(std::move(request), std::move(path), std::move(token)));
  if (answer.status != 200) {
    CO_TRY(refusal(answer.status, name));
  }
  digest_ = answer.headers.find("Docker-Content-Digest").value_or("");
  CO_TRY(image::check_digest(digest_));
  co_return digest_;
}

Task<Result<void>> ImagePull::fetch() {
  CO_TRY(os::make_directories(directory_ + "/blobs/sha256"));
  CO_TRY_ASSIGN(const image::Descriptor manifest, co_await choose_manifest(digest_));
  const std::string index_file = directory_ + "/index.json";
  const std::string index = image::to_json(std::vector<image::Descriptor>{manifest});
  CO_TRY(co_await write(index_file, index));
  const std::string layout_file = directory_ + "/oci-layout";
  const std::string layout(kLayoutFile);
  co_return co_await write(layout_file, layout);
}

}  // namespace nimbus::agent
