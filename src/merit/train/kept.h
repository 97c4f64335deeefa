// What reading a frozen model gave, kept on disk so that a stopped run reads it back: one safetensors file under the
// hash of everything the numbers depend on.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <span>

#include "merit/reward/model.h"

namespace merit::train {

// The tensor kept in `folder` for these paths of the model (its identity, dtype, the ids and what is asked of each), or
// what `compute` gives, which is then kept there. An empty folder keeps nothing. Error(kData) for a
// file without it or with another number of values.
at::Tensor kept_or_computed(const std::filesystem::path& folder, const reward::Model& model,
                            std::span<const nn::PathRequest> paths, int64_t values,
                            const std::function<at::Tensor()>& compute);

}  // namespace merit::train
