// Weights as they stand in files: named views into mapped bytes, whatever the container.
//
//   auto weights = open_weights("models/smol");            // a folder, a .safetensors or a .gguf file
//   const TensorView& embed = weights->at("model.embed_tokens.weight");
//   std::vector<float> row(576);
//   to_float(rows(embed, 17, 18), row);
//
// Opening reads and checks the whole header, and no weight. Everything here is immutable after opening and may be
// used from any number of threads. The host is little-endian, as the files are; that is checked at compile time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "merit/formats/dtype.h"

namespace merit::formats {

// One tensor. `bytes` lives as long as the source it came from and is not necessarily aligned to the element.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // outermost first, row-major; empty for a scalar
  std::span<const std::byte> bytes;

  int64_t numel() const;
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  WeightSource(const WeightSource&) = delete;
  WeightSource& operator=(const WeightSource&) = delete;

  // In the order of their bytes in the file; shard after shard in a sharded folder.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  // Null if there is none.
  const TensorView* find(std::string_view name) const;
  // Error(kData) naming the file, the tensor and the nearest name there is.
  const TensorView& at(std::string_view name) const;
  // Lets go of the memory that holds the tensor's bytes, if they are mapped from a file; they can be read again.
  virtual void release(const TensorView&) const {}
  // The path, for messages.
  const std::string& where() const { return where_; }

 protected:
  explicit WeightSource(std::string where) : where_(std::move(where)) {}
  // Error(kData) for a name that is already taken.
  void add(TensorView tensor);

 private:
  std::string where_;
  std::vector<TensorView> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

// Opens
//  - a folder with model.safetensors, or else model.safetensors.index.json and the shards it names, which must agree:
//    every tensor of the map stands in the file the map names, and no shard holds a tensor the map does not know;
//    without either, the same with pytorch_model.bin;
//  - a .safetensors file;
//  - a .gguf file (the first part, if it is split);
//  - a PyTorch checkpoint of plain tensors (.bin, .pt, .pth; checkpoint.h).
// Error(kIo) for what cannot be read, kData for what is malformed, kUnsupported for other formats.
std::shared_ptr<const WeightSource> open_weights(const std::filesystem::path& path);

// Every element as float32. `out` has numel() places. Plain types are converted with rounding to nearest; quantised
// ones are dequantised as ggml defines them, in float32, product before sum, so the bits are those of the gguf package.
// Bool gives 0 and 1.
void to_float(const TensorView& tensor, std::span<float> out);

// The part [begin, end) of the outermost dimension, 0 <= begin <= end <= shape[0]; the tensor is not a scalar. A
// quantised tensor of one dimension can be cut at whole blocks only.
TensorView rows(const TensorView& tensor, int64_t begin, int64_t end);

}  // namespace merit::formats
