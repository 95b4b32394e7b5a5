// Blobs on their way in: one request with the bytes, a session of chunks, a stream that is appended
// to, or a mount of what the org has already. A session survives a dropped connection and a restart
// of the process; the client asks how far it came and goes on from there.
//
// What a session has received is reserved in the org's quota. Chunks come in order; one that leaves
// a gap or repeats bytes gets 416 and changes nothing. A blob is visible after the whole of it was
// checked against its digest, and never before.
//
// Threads: the loop's.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "registry/core.h"
#include "registry/visit.h"

namespace nimbus::registry {

constexpr size_t kBlobBytesMax = size_t{64} << 30;

class UploadRequests {
 public:
  explicit UploadRequests(Core& core) : core_(core) {}

  Task<net::Response> start(Visit& visit);   // POST: session, monolithic or mount
  Task<net::Response> append(Visit& visit);  // PATCH
  Task<net::Response> finish(Visit& visit);  // PUT
  Task<net::Response> status(Visit& visit);  // GET
  Task<net::Response> cancel(Visit& visit);  // DELETE

  // Ends the sessions that began before `before` and of which nothing is under way.
  Task<Result<void>> end_old(Time before);

 private:
  struct Session {
    std::string repository;
    blob::Reservation reservation;
    int64_t size = 0;
    bool busy = false;
  };
  // A session taken for one request: nobody else writes to it meanwhile.
  struct Claim {
    std::shared_ptr<Session> session;
    std::unique_ptr<blob::Upload> upload;
    ~Claim() {
      if (session) session->busy = false;
    }
    Claim() = default;
    Claim(Claim&&) = default;
    Claim& operator=(Claim&&) = default;
  };

  Task<std::optional<net::Response>> mount(Visit& visit);
  Task<net::Response> take_whole(Visit& visit, const blob::Digest& digest);
  Task<Result<Claim>> claim(const Visit& visit);
  Task<Result<std::shared_ptr<Session>>> find_session(const Visit& visit);
  Task<Result<void>> receive(Visit& visit, Session& session, blob::Upload& upload);
  Task<Result<void>> reserve(Session& session, int64_t bytes);
  Task<Result<void>> commit(const std::string& repository, blob::Upload& upload,
                            const blob::Digest& digest, const std::string& session_id);
  // On failure the session has ended.
  Task<Result<void>> suspend(const std::string& id, Claim& claim);
  Task<void> end_session(const std::string& id);
  void forget(const std::string& id);

  Core& core_;
  std::map<std::string, std::shared_ptr<Session>> sessions_;  // of this process
};

}  // namespace nimbus::registry
