// SHA-256 and HMAC-SHA256 (FIPS 180-4, RFC 2104), and the one comparison that secrets may use.
// Digests are raw 32-byte strings; use to_hex for their text form. Threads: free functions any;
// a Sha256 belongs to one thread at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace nimbus {

std::string sha256(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);

// Compares in time that depends on the lengths alone, never on where the texts differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

// A digest over bytes that arrive in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::string_view bytes);
  std::string finish();  // the digest; the object is spent afterwards

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// The same key over many messages, without the key schedule each time.
class HmacKey {
 public:
  explicit HmacKey(std::string_view key);
  ~HmacKey();
  HmacKey(HmacKey&&) noexcept;
  HmacKey& operator=(HmacKey&&) noexcept;

  std::string sign(std::string_view bytes) const;
  std::string sign(std::string_view first, std::string_view second) const;  // over both, joined

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nimbus
