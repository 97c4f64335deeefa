// The GGUF metadata keys that all architectures share.
#include <cmath>

#include "merit/core/error.h"
#include "merit/nn/architectures.h"
#include "merit/nn/config.h"

namespace merit::nn {
namespace {

// Whether the file has the first layer's tensor of a slot, of any piece.
bool has_slot(const formats::GgufFile& file, const Architecture& architecture, Slot slot, bool bias) {
  for (const WeightName& row : architecture.gguf_names) {
    if (row.slot == slot && file.find(weight_name(row.pattern, 0, 0, bias))) return true;
  }
  return false;
}

void read_scaling(const formats::GgufFile& file, const std::string& name, Rope& rope) {
  const std::string prefix = name + ".rope.scaling.";
  const std::string type = file.get_string_or(prefix + "type", "none");
  if (type == "none" || type == "longrope") return;  // longrope: what its architecture reads
  rope.factor = file.get_double(prefix + "factor");
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
  } else if (type == "yarn") {
    rope.scaling = RopeScaling::kYarn;
    rope.original_positions = file.get_int(prefix + "original_context_length");
    rope.attention_factor = rope.factor <= 1 ? 1 : 1 + 0.1 * std::log(rope.factor);
    for (const char* key : {"attn_factor", "yarn_log_multiplier", "yarn_ext_factor", "yarn_attn_factor",
                            "yarn_beta_fast", "yarn_beta_slow"}) {
      if (file.has(prefix + key)) {
        fail(ErrorKind::kUnsupported, "{}: {}{} has an effect merit does not compute", file.where(), prefix, key);
      }
    }
  } else {
    fail(ErrorKind::kUnsupported, "{}: {}type {} is not computed", file.where(), prefix, quote(type));
  }
}

}  // namespace

ModelConfig config_from_gguf(const formats::GgufFile& file) {
  const std::string& name = file.get_string("general.architecture");
  const Architecture& architecture = gguf_architecture_of(file);
  auto key = [&](const char* suffix) { return name + "." + suffix; };
  ModelConfig c;
  c.architecture = architecture.model_type;
  c.hidden_size = file.get_int(key("embedding_length"));
  c.layers = file.get_int(key("block_count"));
  c.heads = file.get_int(key("attention.head_count"));
  c.kv_heads = file.get_int_or(key("attention.head_count_kv"), c.heads);
  if (c.heads < 1) fail(ErrorKind::kData, "{}: {} must be at least 1", file.where(), key("attention.head_count"));
  c.head_dim = file.get_int_or(key("attention.key_length"), c.hidden_size / c.heads);
  c.ffn_size = file.get_int(key("feed_forward_length"));
  c.max_positions = file.get_int(key("context_length"));
  if (file.has(key("attention.layer_norm_rms_epsilon"))) {
    c.norm_eps = file.get_double(key("attention.layer_norm_rms_epsilon"));
  } else if (!file.has(key("attention.layer_norm_epsilon"))) {
    fail(ErrorKind::kData, "{}: {} is missing", file.where(), key("attention.layer_norm_rms_epsilon"));
  }
  c.rope.theta = file.get_double_or(key("rope.freq_base"), 10000.0);
  c.rope.dim = file.get_int_or(key("rope.dimension_count"), c.head_dim);
  const int64_t value_length = file.get_int_or(key("attention.value_length"), c.head_dim);
  if (value_length != c.head_dim) {
    fail(ErrorKind::kUnsupported, "{}: head size {} and value size {} must be equal", file.where(), c.head_dim,
         value_length);
  }
  read_scaling(file, name, c.rope);
  const formats::TensorView& embedding = file.at("token_embd.weight");
  c.vocab_size = embedding.shape.empty() ? 0 : embedding.shape[0];
  c.tie_embeddings = !has_slot(file, architecture, Slot::kVocab, false);
  c.qkv_bias = has_slot(file, architecture, Slot::kQkv, true);
  c.out_bias = has_slot(file, architecture, Slot::kOut, true);
  c.mlp_bias = has_slot(file, architecture, Slot::kGateUp, true);
  architecture.read_gguf(file, c);
  c.bos_id = static_cast<int32_t>(file.get_int_or("tokenizer.ggml.bos_token_id", -1));
  c.pad_id = static_cast<int32_t>(file.get_int_or("tokenizer.ggml.padding_token_id", -1));
  const int64_t eos = file.get_int_or("tokenizer.ggml.eos_token_id", -1);
  if (eos >= 0) c.eos_ids = {static_cast<int32_t>(eos)};
  check_config(c, file.where());
  return c;
}

}  // namespace merit::nn
