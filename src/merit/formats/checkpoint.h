// PyTorch checkpoints (.bin, .pt, .pth) as torch.save has written them since 1.6: a zip archive of stored entries with
// a pickle that describes the tensors (data.pkl) and a file of bytes for each storage (data/KEY).
// Source: torch.save's output; the pickle is read by pickle.h, which runs nothing.
#pragma once

#include <memory>

#include "merit/core/file.h"
#include "merit/formats/weights.h"

namespace merit::formats {

class CheckpointFile : public WeightSource {
 public:
  // Maps the file and reads its description of the tensors, and none of the tensors: each is a view of the mapped
  // bytes, tied tensors the same view. The exception is a tensor whose elements are not in row-major order, which is
  // copied. Tensors stand in the order of the dictionary; those of nested dictionaries have their keys joined by dots.
  // Error(kUnsupported): files from before torch 1.6 or that are no zip archive, TorchScript archives, big-endian
  // ones, pickles that hold more than plain tensors (pickle.h), compressed entries (zip.h). Error(kData) for all that
  // is malformed: a storage that is missing or of another size than stated, a tensor that reaches outside its storage.
  explicit CheckpointFile(const std::filesystem::path& path);
  // The same for bytes in memory, which must outlive the object.
  CheckpointFile(std::span<const std::byte> bytes, std::string where);

 private:
  void parse(std::span<const std::byte> bytes);

  std::unique_ptr<MappedFile> file_;
  std::vector<std::vector<std::byte>> copies_;  // of tensors that are not in row-major order
};

}  // namespace merit::formats
