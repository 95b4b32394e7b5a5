#include "blob/disk_upload.h"

#include "blob/growing_file.h"
#include "blob/upload_file.h"

namespace nimbus::blob {

DiskUpload::DiskUpload(net::Loop& loop, PinBoard& pins, UploadPlace& place,
                       std::shared_ptr<UploadFile> file)
    : loop_(loop), pins_(pins), place_(place), file_(std::move(file)) {}

DiskUpload::~DiskUpload() { file_->give_up(); }

const std::string& DiskUpload::id() const { return file_->id(); }
int64_t DiskUpload::size() const { return file_->size(); }

Task<Result<void>> DiskUpload::write(std::string bytes) {
  const int64_t offset = file_->size();
  return file_->write_at(offset, std::move(bytes));
}

Task<Result<void>> DiskUpload::write_at(int64_t offset, std::string bytes) {
  return file_->write_at(offset, std::move(bytes));
}

Task<Result<void>> DiskUpload::arrange(std::vector<Extent> parts) {
  return file_->arrange(std::move(parts));
}

Task<Result<BlobInfo>> DiskUpload::commit(std::optional<Digest> want) {
  const Algorithm algorithm = want ? want->algorithm : Algorithm::sha256;
  CO_TRY_ASSIGN(Digest digest, co_await file_->finish(algorithm));
  if (want && digest != *want) {
    co_return fail(Code::bad_request,
                   "the bytes are " + to_string(digest) + ", not " + to_string(*want));
  }
  const BlobInfo info{digest, file_->size()};
  if (want) file_->verified();
  pin_ = co_await pins_.pin(digest);
  std::function<Result<void>()> call = [file = file_, &place = place_, info]() -> Result<void> {
    TRY(file->sync());
    TRY(place.place(file->path(), info));
    file->keep();
    return {};
  };
  CO_TRY(co_await loop_.blocking(std::move(call)));
  co_return info;
}

std::shared_ptr<const OpenBlob> DiskUpload::follow(BlobInfo will_be) {
  file_->show();
  return std::make_shared<GrowingFile>(loop_, file_, std::move(will_be));
}

Task<Result<void>> DiskUpload::suspend() {
  CO_TRY(co_await file_->drain());
  place_.keep_suspended(file_);
  co_return Result<void>();
}

}  // namespace nimbus::blob
