// Where each parameter of the transformer stands in a file: tables that map names, and the order of rows there, onto
// the slots of Weights. GGUF names: the tensor list of the GGUF specification.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "merit/nn/config.h"

namespace merit::nn {

enum class Container { kHuggingFace, kGguf };

// A parameter of Weights or LayerWeights.
enum class Slot {
  kEmbedding,
  kPositions,
  kAttentionNorm,
  kQkv,
  kQueryNorm,
  kKeyNorm,
  kOut,
  kAttentionPostNorm,
  kMlpNorm,
  kGateUp,
  kDown,
  kMlpPostNorm,
  kRouter,
  kExpertGateUp,
  kExpertDown,
  kFinalNorm,
  kVocab,
};

// The part of a slot's rows that one tensor of a file holds.
enum class Piece { kWhole, kQuery, kKey, kValue, kGate, kUp };

// How rows lie in the file.
enum class Layout {
  kRows,         // as in the slot
  kColumns,      // transposed: [in, out]
  kHeadTriples,  // a whole qkv, head after head: its query, its key, its value
  kGroups,       // a whole qkv, key-value head after key-value head: its queries, its key, its value
  kRopePairs,    // a head's two halves of a rotary pair in neighbouring rows
  kStacked,      // all experts in one tensor, [experts, out, in]
};

struct WeightName {
  Slot slot;
  Piece piece;
  std::string_view pattern;  // "{L}" stands for the layer, "{E}" for the expert; ".weight" or ".bias" follows
  Layout layout = Layout::kRows;
};

// "model.layers.3.self_attn.q_proj.weight"
std::string weight_name(std::string_view pattern, int64_t layer = 0, int64_t expert = 0, bool bias = false);

// The rows of a slot that a piece is: [begin, begin + count).
struct RowRange {
  int64_t begin;
  int64_t count;
};
RowRange piece_rows(const ModelConfig& config, Slot slot, Piece piece);

// The row, counted from the piece's first, that row `row` of the file is. Columns and stacks are as they are.
int64_t row_in_slot(const ModelConfig& config, Layout layout, int64_t row);

// The tables, of Hugging Face folders and of GGUF files.
std::span<const WeightName> llama_names();
std::span<const WeightName> gemma_names();
std::span<const WeightName> phi3_names();
std::span<const WeightName> gpt2_names();
std::span<const WeightName> neox_names();
std::span<const WeightName> internlm2_names();
std::span<const WeightName> starcoder2_names();
std::span<const WeightName> olmo2_names();
std::span<const WeightName> mixtral_names();
std::span<const WeightName> gguf_names();        // of most architectures
std::span<const WeightName> gguf_llama_names();  // query and key rows in rotary pairs
std::span<const WeightName> gguf_fused_names();  // query, key and value in one tensor, gate and up in another

}  // namespace merit::nn
