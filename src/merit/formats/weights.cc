#include "merit/formats/weights.h"

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/core/strings.h"
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

// A Hugging Face folder whose weights are spread over several safetensors files.
class ShardedWeights : public WeightSource {
 public:
  explicit ShardedWeights(const fs::path& index) : WeightSource(index.string()) {
    const std::map<std::string, std::string> shard_of = read_map(index);
    for (const auto& [tensor, shard] : shard_of) shards_.try_emplace(shard);
    for (auto& [name, shard] : shards_) {
      shard = std::make_unique<SafetensorsFile>(index.parent_path() / name);
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

 private:
  // An index must not reach outside its folder.
  static bool is_plain_name(const std::string& file) {
    return file.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos &&
           fs::path(file).extension() == ".safetensors";
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
        fail(ErrorKind::kData, "{}: tensor {}: expected the plain name of a .safetensors file in this folder, got {}",
             where(), quote(tensor), quote(dump_json(file)));
      }
      shard_of.emplace(tensor, shard);
    }
    return shard_of;
  }

  std::map<std::string, std::unique_ptr<SafetensorsFile>> shards_;
};

std::shared_ptr<const WeightSource> open_folder(const fs::path& folder) {
  const fs::path single = folder / "model.safetensors";
  if (fs::exists(single)) return std::make_shared<SafetensorsFile>(single);
  const fs::path index = folder / "model.safetensors.index.json";
  if (fs::exists(index)) return std::make_shared<ShardedWeights>(index);
  if (fs::exists(folder / "pytorch_model.bin") || fs::exists(folder / "pytorch_model.bin.index.json")) {
    fail(ErrorKind::kUnsupported,
         "{}: holds only PyTorch pickles, which can run code when read; save the model as safetensors",
         folder.string());
  }
  fail(ErrorKind::kIo, "{}: has neither model.safetensors nor model.safetensors.index.json", folder.string());
}

}  // namespace

std::shared_ptr<const WeightSource> open_weights(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return open_folder(path);
  if (path.extension() == ".safetensors") return std::make_shared<SafetensorsFile>(path);
  if (path.extension() == ".gguf") return std::make_shared<GgufFile>(path);
  if (!fs::exists(path, ignored)) fail(ErrorKind::kIo, "cannot open {}: no such file or folder", path.string());
  fail(ErrorKind::kUnsupported, "{}: expected a model folder, a .safetensors file or a .gguf file", path.string());
}

}  // namespace merit::formats
