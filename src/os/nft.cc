#include "os/nft.h"

#include <nftables/libnftables.h>

#include <memory>
#include <mutex>

#include "base/text.h"

namespace nimbus::os {

namespace {

struct FreeContext {
  void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

Result<std::string> run(const std::string& text, unsigned flags) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  // Made afresh each time: its socket belongs to the namespace the thread is in now.
  const std::unique_ptr<nft_ctx, FreeContext> context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context) return fail(Code::internal, "nftables: no memory or no netlink socket");
  nft_ctx_output_set_flags(context.get(), flags);
  nft_ctx_buffer_output(context.get());
  nft_ctx_buffer_error(context.get());
  if (nft_run_cmd_from_buffer(context.get(), text.c_str()) != 0) {
    const std::string_view said = trim(nft_ctx_get_error_buffer(context.get()));
    return fail(Code::internal, "nftables: " + std::string(said.substr(0, 2000)));
  }
  return std::string(nft_ctx_get_output_buffer(context.get()));
}

}  // namespace

Result<void> run_nft(const std::string& ruleset) {
  TRY(run(ruleset, 0));
  return {};
}

Result<std::string> list_nft(const std::string& command) {
  return run(command, NFT_CTX_OUTPUT_JSON);
}

}  // namespace nimbus::os
