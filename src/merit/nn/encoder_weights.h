// A bidirectional encoder's parameters in the compute dtype, by one table of names an architecture. Query, key and
// value are one product, as in weights.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "merit/nn/encoder_config.h"
#include "merit/nn/linear.h"

namespace merit::formats {
class WeightSource;
}

namespace merit::nn {

struct LayerNormWeights {
  at::Tensor weight;  // [hidden]; undefined: no norm
  at::Tensor bias;    // [hidden] or undefined
};

struct EncoderLayer {
  Linear qkv;  // hidden -> 3 * hidden: query, then key, then value
  Linear out;
  LayerNormWeights attention_norm;  // undefined in ModernBERT's first layer
  Linear up;                        // hidden -> ffn, or 2 * ffn (the activated half first) if the block is gated
  Linear down;
  LayerNormWeights mlp_norm;
  Linear distance_key, distance_query;  // of DeBERTa where distances do not share the content's products
};

struct EncoderWeights {
  at::Tensor words;      // [vocab, embedding]
  at::Tensor positions;  // [places, embedding] or undefined
  at::Tensor segments;   // [segments, embedding] or undefined
  Linear projection;     // embedding -> hidden, where the two differ
  LayerNormWeights embedding_norm;
  at::Tensor distances;  // [2 * relative_span, hidden] of DeBERTa, or undefined
  LayerNormWeights distance_norm;
  std::vector<EncoderLayer> layers;
  LayerNormWeights final_norm;

  at::ScalarType dtype() const { return words.scalar_type(); }
};

// Reads every tensor of the config, with or without the prefix that a model with a head has ("bert."). Error(kData)
// names the tensor, the shape wanted and the shape found. Tensors the encoder does not use (heads) are left alone.
EncoderWeights load_encoder_weights(const EncoderConfig& config, const formats::WeightSource& source,
                                    at::ScalarType dtype);

}  // namespace merit::nn
