// safetensors: an eight-byte header length, a JSON header that maps names to dtype, shape and byte range, the bytes.
// Source: the format section of the safetensors README (Hugging Face).
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "merit/core/file.h"
#include "merit/formats/weights.h"

namespace merit::formats {

class SafetensorsFile : public WeightSource {
 public:
  // Maps and checks the file. Refused as Error(kData), naming the file and the tensor: a header that is longer than
  // the file or 100 MB, is not an object, names a tensor twice or has unknown members; byte ranges that are not
  // exactly shape times dtype, overlap, leave a hole or do not end with the file; metadata that is not text.
  // Error(kUnsupported): a dtype that merit does not read.
  explicit SafetensorsFile(const std::filesystem::path& path);
  // The same for bytes in memory, which must outlive the object.
  SafetensorsFile(std::span<const std::byte> bytes, std::string where);

  void release(const TensorView& tensor) const override;

  // The header's "__metadata__"; empty if there is none.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  void parse(std::span<const std::byte> bytes);

  std::unique_ptr<MappedFile> file_;
  std::map<std::string, std::string> metadata_;
};

using ByteSink = std::function<void(std::span<const std::byte>)>;

struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  // Hands the tensor's bytes to the sink, in order and in pieces of any size; called once, when its turn comes, so a
  // large model is never in memory twice.
  std::function<void(const ByteSink& sink)> produce;
};

// Writes the file atomically: an error, of `produce` too, leaves what stood there before. Tensors are laid out by
// falling element size and then by name, and the header is padded to 8 bytes, so each tensor is aligned to its
// element and equal input gives equal bytes. transformers wants metadata {"format": "pt"}.
// Error(kData) for a name given twice, kUnsupported for a quantised dtype.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});

// The weights of a model folder as transformers writes them: model.safetensors, or where the tensors take more than
// `shard_bytes`, model-0000i-of-0000n.safetensors, filled in the order given, and model.safetensors.index.json. A
// tensor is never cut, so one larger than a shard is a shard by itself. The index is written last, and weights of that
// naming that stood in the folder before and are not of this model are removed after it. Errors as above.
inline constexpr int64_t kShardBytes = 5'000'000'000;
void write_model_safetensors(const std::filesystem::path& folder, std::span<const TensorToWrite> tensors,
                             int64_t shard_bytes = kShardBytes);

}  // namespace merit::formats
