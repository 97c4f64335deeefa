// Score heads inside model folders, in the layouts that reward models are published with: which tensors, which layers
// and which position, from tensor names and config.json. docs/heads.md has the table.
#pragma once

#include <filesystem>

#include "merit/nn/head.h"

namespace merit::formats {
struct TensorView;
}

namespace merit::nn {

// float32, or float64 for a float64 tensor. Error(kData) for another number of dimensions.
at::Tensor read_head_tensor(const formats::TensorView& view, int dimensions);

// Error(kData): no head, two heads, shapes that disagree with config.json. Error(kUnsupported), by name: gated and
// multi-objective heads, layers whose activation is not known, a pooling that is not computed.
// Of a token classifier with two labels the head gives the second label's logit less the first's: the log-odds.
ScalarHead load_published_head(const std::filesystem::path& folder);
bool has_published_head(const std::filesystem::path& folder);

}  // namespace merit::nn
