#include "merit/train/kept.h"

#include "merit/core/error.h"
#include "merit/core/hash.h"
#include "merit/core/version.h"
#include "merit/nn/tensor_file.h"

namespace merit::train {
namespace {

std::string key_of(const reward::Model& model, std::span<const nn::PathRequest> paths) {
  Hasher hasher;
  hasher.update(fmt::format("{} {} {}\n", kVersion, model.identity(), static_cast<int>(model.dtype())));
  for (const nn::PathRequest& path : paths) {
    for (const int32_t id : path.ids) hasher.update(fmt::format("{} ", id));
    hasher.update(fmt::format("logps {} hidden", path.logps_from));
    for (const int32_t position : path.hidden_at) hasher.update(fmt::format(" {}", position));
    hasher.update("\n");
  }
  return hasher.hex();
}

}  // namespace

at::Tensor kept_or_computed(const std::filesystem::path& folder, const reward::Model& model,
                            std::span<const nn::PathRequest> paths, int64_t values,
                            const std::function<at::Tensor()>& compute) {
  if (folder.empty()) return compute();
  constexpr const char* kName = "values";
  const std::filesystem::path file = folder / (key_of(model, paths) + ".safetensors");
  if (std::filesystem::exists(file)) {
    const auto tensors = nn::load_tensors(file);
    const auto found = tensors.find(kName);
    if (found == tensors.end() || found->second.numel() != values) {
      fail(ErrorKind::kData, "{}: expected {} values; remove the file", file.string(), values);
    }
    return found->second;
  }
  const at::Tensor computed = compute();
  std::filesystem::create_directories(folder);
  nn::save_tensors(file, {{kName, computed}});
  return computed;
}

}  // namespace merit::train
