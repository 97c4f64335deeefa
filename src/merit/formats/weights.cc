#include "merit/formats/weights.h"

#include <map>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/core/strings.h"
#include "merit/formats/checkpoint.h"
#include "merit/formats/gguf.h"
#include "merit/formats/safetensors.h"

namespace merit::formats {
namespace fs = std::filesystem;

int64_t TensorView::numel() const {
  const std::optional<int64_t> count = element_count(shape);
  MERIT_CHECK(count.has_value());
  return *count;
}

const TensorView* WeightSource::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorView& WeightSource::at(std::string_view name) const {
  if (const TensorView* tensor = find(name)) return *tensor;
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const TensorView& tensor : tensors_) names.push_back(tensor.name);
  const std::string near = closest(name, names);
  fail(ErrorKind::kData, "{}: there is no tensor {} among its {}{}", where_, quote(name), tensors_.size(),
       near.empty() ? "" : "; the nearest is " + quote(near));
}

void WeightSource::add(TensorView tensor) {
  const auto [entry, added] = index_.emplace(tensor.name, tensors_.size());
  if (!added) fail(ErrorKind::kData, "{}: tensor {} is there twice", where_, quote(tensor.name));
  tensors_.push_back(std::move(tensor));
}

TensorView rows(const TensorView& tensor, int64_t begin, int64_t end) {
  MERIT_CHECK(!tensor.shape.empty());
  MERIT_CHECK(0 <= begin && begin <= end && end <= tensor.shape[0]);
  TensorView part = tensor;
  part.shape[0] = begin;
  const std::optional<int64_t> offset = byte_count(part.dtype, part.shape);
  part.shape[0] = end - begin;
  const std::optional<int64_t> size = byte_count(part.dtype, part.shape);
  MERIT_CHECK(offset && size);  // fails for a quantised vector cut inside a block
  part.bytes = tensor.bytes.subspan(static_cast<size_t>(*offset), static_cast<size_t>(*size));
  return part;
}

namespace {

constexpr uint64_t kMaxIndexBytes = 100'000'000;

std::unique_ptr<WeightSource> open_file(const fs::path& path);

// A Hugging Face folder whose weights are spread over several files of one kind.
class ShardedWeights : public WeightSource {
 public:
  // `extension` of the shards: ".safetensors" or ".bin".
  ShardedWeights(const fs::path& index, std::string extension)
      : WeightSource(index.string()), extension_(std::move(extension)) {
    const std::map<std::string, std::string> shard_of = read_map(index);
    for (const auto& [tensor, shard] : shard_of) shards_.try_emplace(shard);
    for (auto& [name, shard] : shards_) {
      shard = open_file(index.parent_path() / name);
      for (const TensorView& tensor : shard->tensors()) {
        const auto entry = shard_of.find(tensor.name);
        if (entry == shard_of.end() || entry->second != name) {
          fail(ErrorKind::kData, "{}: tensor {} stands in {} but the map {}", where(), quote(tensor.name), quote(name),
               entry == shard_of.end() ? "does not name it" : "places it in " + quote(entry->second));
        }
        add(tensor);
      }
    }
    for (const auto& [tensor, shard] : shard_of) {
      if (find(tensor) == nullptr) {
        fail(ErrorKind::kData, "{}: the map places tensor {} in {}, which does not have it", where(), quote(tensor),
             quote(shard));
      }
    }
  }

  void release(const TensorView& tensor) const override {
    for (const auto& [name, shard] : shards_) shard->release(tensor);
  }

 private:
  // An index must not reach outside its folder.
  bool is_plain_name(const std::string& file) const {
    return file.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos &&
           fs::path(file).extension() == extension_;
  }

  std::map<std::string, std::string> read_map(const fs::path& index) const {
    const Json json = parse_json(read_file(index, kMaxIndexBytes), where());
    const auto map = json.is_object() ? json.find("weight_map") : json.end();
    if (map == json.end() || !map->is_object() || map->empty()) {
      fail(ErrorKind::kData, "{}: expected an object \"weight_map\" from tensor names to files", where());
    }
    std::map<std::string, std::string> shard_of;
    for (const auto& [tensor, file] : map->items()) {
      const std::string shard = file.is_string() ? file.get<std::string>() : "";
      if (!is_plain_name(shard)) {
        fail(ErrorKind::kData, "{}: tensor {}: expected the plain name of a {} file in this folder, got {}", where(),
             quote(tensor), extension_, quote(dump_json(file)));
      }
      shard_of.emplace(tensor, shard);
    }
    return shard_of;
  }

  std::string extension_;
  std::map<std::string, std::unique_ptr<WeightSource>> shards_;
};

std::unique_ptr<WeightSource> open_file(const fs::path& path) {
  const fs::path extension = path.extension();
  if (extension == ".safetensors") return std::make_unique<SafetensorsFile>(path);
  if (extension == ".gguf") return std::make_unique<GgufFile>(path);
  if (extension == ".bin" || extension == ".pt" || extension == ".pth") return std::make_unique<CheckpointFile>(path);
  return nullptr;
}

// In the order of preference, as transformers has it.
std::shared_ptr<const WeightSource> open_folder(const fs::path& folder) {
  for (const char* single : {"model.safetensors", "pytorch_model.bin"}) {
    const std::string extension = fs::path(single).extension();
    if (fs::exists(folder / single)) return open_file(folder / single);
    const fs::path index = folder / (std::string(single) + ".index.json");
    if (fs::exists(index)) return std::make_shared<ShardedWeights>(index, extension);
  }
  fail(ErrorKind::kIo, "{}: has neither model.safetensors nor pytorch_model.bin, nor an index of one (.index.json)",
       folder.string());
}

}  // namespace

std::shared_ptr<const WeightSource> open_weights(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return open_folder(path);
  if (auto file = open_file(path)) return file;
  if (!fs::exists(path, ignored)) fail(ErrorKind::kIo, "cannot open {}: no such file or folder", path.string());
  fail(ErrorKind::kUnsupported, "{}: expected a model folder, or a .safetensors, .gguf, .bin, .pt or .pth file",
       path.string());
}

}  // namespace merit::formats
