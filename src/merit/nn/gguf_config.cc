#include "merit/nn/gguf_config.h"

#include <cmath>

#include "merit/core/error.h"
#include "merit/nn/architectures.h"

namespace merit::nn {
namespace {

std::string key_of(const formats::GgufFile& file, const char* suffix) {
  return file.get_string("general.architecture") + "." + suffix;
}

void require_whole_heads(const formats::GgufFile& file, const ModelConfig& c) {
  if (c.rope.dim == c.head_dim) return;
  fail(ErrorKind::kUnsupported, "{}: {} is {}, but the head size is {}: parts of heads are not turned here",
       file.where(), key_of(file, "rope.dimension_count"), c.rope.dim, c.head_dim);
}

// Keys with an effect that this architecture's mapping does not read.
void refuse(const formats::GgufFile& file, const ModelConfig& c, std::initializer_list<const char*> suffixes) {
  for (const char* suffix : suffixes) {
    const std::string key = key_of(file, suffix);
    if (!file.has(key)) continue;
    const double value = file.get_double_or(key, 0);
    const bool long_window = std::string_view(suffix) == "attention.sliding_window" && value >= c.max_positions;
    if (value != 0 && !long_window) {
      fail(ErrorKind::kUnsupported, "{}: {} has an effect merit does not compute", file.where(), key);
    }
  }
}

// Llama 3's scaling as GGUF has it, a tensor of divisors, back to the four numbers it was made from.
void read_rope_divisors(const formats::GgufFile& file, const formats::TensorView& tensor, Rope& rope) {
  std::vector<float> divisors(static_cast<size_t>(tensor.numel()));
  formats::to_float(tensor, divisors);
  const std::vector<double> base = rope.frequencies();
  for (double factor : {8.0, 32.0}) {
    Rope guess = rope;
    guess.scaling = RopeScaling::kLlama3;
    guess.factor = factor;
    guess.low_freq_factor = 1;
    guess.high_freq_factor = 4;
    guess.original_positions = 8192;
    const std::vector<double> scaled = guess.frequencies();
    bool same = divisors.size() == base.size();
    for (size_t i = 0; same && i < base.size(); ++i) same = std::abs(base[i] / scaled[i] / divisors[i] - 1) < 1e-4;
    if (same) {
      rope = guess;
      return;
    }
  }
  fail(ErrorKind::kUnsupported, "{}: the rotary divisors of {} are none of Llama 3's", file.where(),
       quote(tensor.name));
}

std::vector<double> factors(const formats::GgufFile& file, const char* name) {
  const formats::TensorView& tensor = file.at(name);
  std::vector<float> values(static_cast<size_t>(tensor.numel()));
  formats::to_float(tensor, values);
  return {values.begin(), values.end()};
}

void read_experts(const formats::GgufFile& file, ModelConfig& c) {
  c.experts = file.get_int(key_of(file, "expert_count"));
  c.experts_used = file.get_int(key_of(file, "expert_used_count"));
  c.experts_normalised = true;
}

void read_gemma(const formats::GgufFile& file, int64_t large, int64_t pattern, ModelConfig& c) {
  require_whole_heads(file, c);
  c.post_norm = true;
  c.activation = Activation::kGeluTanh;
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  // The scale is no key: it is the head size's, but for the model of `large` layers.
  const int64_t scalar = c.layers == large ? c.hidden_size / c.heads : c.head_dim;
  c.attention_scale = 1 / std::sqrt(static_cast<double>(scalar));
  c.logit_softcap = file.get_double_or(key_of(file, "final_logit_softcapping"), 0);
  c.window = file.get_int(key_of(file, "attention.sliding_window"));
  for (int64_t i = 0; c.window > 0 && i < c.layers; ++i) c.sliding.push_back((i + 1) % pattern != 0);
}

void layer_norm(const formats::GgufFile& file, ModelConfig& c) {
  c.norm = NormKind::kLayer;
  c.norm_eps = file.get_double(key_of(file, "attention.layer_norm_epsilon"));
  c.gated = false;
}

}  // namespace

void gguf_plain(const formats::GgufFile& file, ModelConfig& c) {
  require_whole_heads(file, c);
  refuse(file, c, {"expert_count", "attention.sliding_window", "attention.clamp_kqv", "logit_scale"});
}

void gguf_llama(const formats::GgufFile& file, ModelConfig& c) {
  require_whole_heads(file, c);
  refuse(file, c, {"attention.sliding_window", "attention.clamp_kqv", "logit_scale"});
  if (file.get_int_or(key_of(file, "expert_count"), 0) > 0) {
    read_experts(file, c);
    c.expert_ffn_size = c.ffn_size;
  }
  if (const formats::TensorView* divisors = file.find("rope_freqs.weight")) {
    check_config(c, file.where());
    read_rope_divisors(file, *divisors, c.rope);
  }
}

void gguf_qwen3(const formats::GgufFile& file, ModelConfig& c) {
  gguf_plain(file, c);
  c.qk_norm = QkNorm::kHead;
}

void gguf_qwen3_moe(const formats::GgufFile& file, ModelConfig& c) {
  require_whole_heads(file, c);
  refuse(file, c, {"attention.sliding_window", "attention.clamp_kqv", "logit_scale", "expert_shared_count"});
  c.qk_norm = QkNorm::kHead;
  read_experts(file, c);
  c.expert_ffn_size = file.get_int(key_of(file, "expert_feed_forward_length"));
}

void gguf_gemma2(const formats::GgufFile& file, ModelConfig& c) {
  read_gemma(file, 46, 2, c);
  c.attention_softcap = file.get_double_or(key_of(file, "attn_logit_softcapping"), 0);
}

void gguf_gemma3(const formats::GgufFile& file, ModelConfig& c) {
  read_gemma(file, 62, 6, c);
  c.qk_norm = QkNorm::kHead;
  if (c.window == 0) return;
  Rope local;
  local.dim = c.rope.dim;
  local.theta = file.get_double_or(key_of(file, "rope.freq_base_swa"), 10000);
  c.local_rope = local;
}

void gguf_granite(const formats::GgufFile& file, ModelConfig& c) {
  require_whole_heads(file, c);
  refuse(file, c, {"expert_count", "attention.sliding_window", "attention.clamp_kqv"});
  c.embedding_scale = file.get_double_or(key_of(file, "embedding_scale"), 1);
  c.residual_scale = file.get_double_or(key_of(file, "residual_scale"), 1);
  c.attention_scale = file.get_double_or(key_of(file, "attention.scale"), 0);
  c.logit_scale = 1 / file.get_double_or(key_of(file, "logit_scale"), 1);
}

void gguf_olmo2(const formats::GgufFile& file, ModelConfig& c) {
  gguf_plain(file, c);
  c.pre_norm = false;
  c.post_norm = true;
  c.qk_norm = QkNorm::kWhole;
}

void gguf_phi3(const formats::GgufFile& file, ModelConfig& c) {
  refuse(file, c, {"expert_count", "attention.clamp_kqv", "logit_scale"});
  c.window = file.get_int_or(key_of(file, "attention.sliding_window"), 0);
  if (!file.find("rope_factors_long.weight")) return;
  c.rope.scaling = RopeScaling::kLongRope;
  c.rope.original_positions = file.get_int(key_of(file, "rope.scaling.original_context_length"));
  c.rope.attention_factor = file.get_double(key_of(file, "rope.scaling.attn_factor"));
  c.rope.factor = std::max(1.0, static_cast<double>(c.max_positions) / static_cast<double>(c.rope.original_positions));
  c.rope.long_factors = factors(file, "rope_factors_long.weight");
  c.rope.short_factors = factors(file, "rope_factors_short.weight");
}

void gguf_gpt2(const formats::GgufFile& file, ModelConfig& c) {
  layer_norm(file, c);
  c.activation = Activation::kGeluTanh;
  c.learned_positions = true;
  c.rope = Rope();
}

void gguf_neox(const formats::GgufFile& file, ModelConfig& c) {
  layer_norm(file, c);
  c.activation = Activation::kGelu;
  c.parallel = file.get_bool_or(key_of(file, "use_parallel_residual"), true);
}

}  // namespace merit::nn
