// Low-rank adapters (LoRA: Hu et al. 2021, eq. 3): a matrix W of the model acts as W + scale B A. With a magnitude m
// (DoRA: Liu et al. 2024, eq. 5) each row of that is given the norm m; the norm counts as a constant for gradients, as
// section 4.3 of the paper has it.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "merit/nn/weight_names.h"

namespace merit::nn {

// An adapter of some rows of a matrix: query, key and value lie in one matrix, and each has its own.
struct LoraPiece {
  std::string module;    // in a Hugging Face folder: "model.layers.0.self_attn.q_proj"
  RowRange rows;         // of the matrix, that B gives
  Layout layout;         // how the folder has them
  at::Tensor a;          // [rank, in]
  at::Tensor b;          // [rows.count, rank]
  at::Tensor magnitude;  // [rows.count]; undefined: plain LoRA
  double scale = 1;      // alpha / rank, or alpha / sqrt(rank) where the ranks are stabilised (Kalajdzievski 2023)
};

using LoraPieces = std::vector<LoraPiece>;

// Which matrix of Weights.
struct MatrixPlace {
  Slot slot;
  int64_t layer = 0;
  int64_t expert = 0;
  auto operator<=>(const MatrixPlace&) const = default;
};

struct Adapter {
  std::map<MatrixPlace, LoraPieces> pieces;

  const LoraPieces& at(const MatrixPlace& place) const {
    static const LoraPieces kNone;
    const auto found = pieces.find(place);
    return found == pieces.end() ? kNone : found->second;
  }
};

}  // namespace merit::nn
