// Named tensors of our own making in a safetensors file: adapters, optimiser states, caches.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace merit::nn {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// Atomically, each in its own dtype: float32, float64, bfloat16 or int64.
void save_tensors(const std::filesystem::path& file, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata = {});

// float64 and int64 stay; every other type comes as float32. Copies: the file may go.
std::map<std::string, at::Tensor> load_tensors(const std::filesystem::path& file);

}  // namespace merit::nn
