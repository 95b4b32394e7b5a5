// Images that this host has not got, from the registry of the agent's server: a name is a
// repository there, one with a registry's host in front is asked for as a mirrored image
// (`?ns=HOST`). What comes is written as an OCI image layout and checked against its digests on the
// way; the image store checks it again when it takes it.
//
// Threads: the loop's; the disk is written on blocking threads.
#pragma once

#include <string>
#include <vector>

#include "agent/control_client.h"
#include "base/result.h"
#include "image/manifest.h"
#include "net/loop.h"

namespace nimbus::agent {

class ImagePull {
 public:
  // `directory` is made by `fetch`, and holds the layout when that has succeeded; the caller
  // removes it. `token` is the job's or the agent's own.
  ImagePull(net::Loop& loop, ControlClient& control, std::string directory, Secret token);

  // Asks what the name stands for now: a digest. not_found: the registry has no such image for this
  // credential. unavailable: the server is away.
  Task<Result<std::string>> resolve(std::string name);
  // Fetches what `resolve` found. corrupt: bytes are not what their digest says. bad_request: not
  // an image for this machine.
  Task<Result<void>> fetch();
  // What this host calls it. An image that was pulled for one org is no other org's: the name says
  // whose it is, and another's job has to ask the registry with its own credential.
  std::string local_name(std::string_view org) const;

 private:
  struct Document {
    std::string media_type;
    std::string bytes;
  };
  Task<Result<Document>> fetch_manifest(const std::string& reference);
  Task<Result<image::Descriptor>> choose_manifest(const std::string& reference);
  Task<Result<void>> fetch_blob(const image::Descriptor& blob);
  Task<Result<void>> write(const std::string& path, const std::string& bytes);
  std::string blob_file(std::string_view digest) const;
  std::string target(std::string_view kind, const std::string& reference) const;

  net::Loop& loop_;
  ControlClient& control_;
  std::string directory_;
  Secret token_;
  std::string repository_;
  std::string ns_;      // the host in the name, or ""
  std::string digest_;  // what the name stands for
};

}  // namespace nimbus::agent
