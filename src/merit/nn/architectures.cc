#include "merit/nn/architectures.h"

#include <cmath>

#include "merit/core/error.h"
#include "merit/nn/gguf_config.h"

namespace merit::nn {
namespace {

void read_llama(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults;
  read_sizes(f, defaults, c);
  read_attention_bias(f, false, c);
  c.mlp_bias = f.flag("mlp_bias", false);
  read_rope(f, defaults, 0, c);
}

void read_mistral(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults{.max_positions = 4096 * 32};
  read_sizes(f, defaults, c);
  read_rope(f, defaults, 0, c);
  read_window(f, 4096, nullptr, c);
}

// Layers from max_window_layers on slide, if use_sliding_window says so.
void read_qwen_window(const HfConfig& f, ModelConfig& c) {
  const bool used = f.flag("use_sliding_window", false);
  read_window(
      f, 4096, [](const HfConfig& g, int64_t layer) { return layer >= g.integer("max_window_layers", 28); }, c);
  if (used) return;
  c.window = 0;
  c.sliding.clear();
}

void read_qwen2(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults{.max_positions = 32768};
  read_sizes(f, defaults, c);
  c.qkv_bias = true;
  read_rope(f, defaults, 0, c);
  read_qwen_window(f, c);
}

void read_qwen3(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults{.max_positions = 32768};
  read_sizes(f, defaults, c);
  c.head_dim = f.integer("head_dim", 128);
  read_attention_bias(f, false, c);
  c.qk_norm = QkNorm::kHead;
  read_rope(f, defaults, 0, c);
  read_qwen_window(f, c);
}

void read_experts(const HfConfig& f, const char* count, ModelConfig& c) {
  c.experts = f.integer(count);
  c.experts_used = f.integer("num_experts_per_tok");
}

void read_qwen3_moe(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults{.max_positions = 32768};
  read_sizes(f, defaults, c);
  read_attention_bias(f, false, c);
  c.qk_norm = QkNorm::kHead;
  read_rope(f, defaults, 0, c);
  const bool used = f.flag("use_sliding_window", false);
  read_window(f, 4096, nullptr, c);
  if (!used) c.window = 0;
  read_experts(f, f.has("num_experts") ? "num_experts" : "num_local_experts", c);
  c.expert_ffn_size = f.integer("moe_intermediate_size");
  c.experts_normalised = f.flag("norm_topk_prob", false);
  const int64_t step = f.integer("decoder_sparse_step", 1);
  if (step < 1) fail(ErrorKind::kData, "{}: decoder_sparse_step must be at least 1, got {}", f.where(), step);
  for (int64_t i = 0; i < c.layers; ++i) c.sparse.push_back((i + 1) % step == 0);
  if (!f.has("mlp_only_layers")) return;
  for (const double layer : f.numbers("mlp_only_layers")) {
    if (layer >= 0 && layer < static_cast<double>(c.layers)) c.sparse[static_cast<size_t>(layer)] = false;
  }
}

void read_mixtral(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults{.norm_eps = 1e-5, .theta = 1e6, .max_positions = 4096 * 32};
  read_sizes(f, defaults, c);
  read_rope(f, defaults, 0, c);
  read_window(f, 0, nullptr, c);
  read_experts(f, "num_local_experts", c);
  c.expert_ffn_size = c.ffn_size;
}

void read_gemma(const HfConfig& f, const HfDefaults& defaults, ModelConfig& c) {
  read_sizes(f, defaults, c);
  c.head_dim = f.integer("head_dim", 256);
  read_attention_bias(f, false, c);
  c.post_norm = true;
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  const double scalar = f.number("query_pre_attn_scalar", 256);
  if (!(scalar > 0)) fail(ErrorKind::kData, "{}: query_pre_attn_scalar must be above 0, got {}", f.where(), scalar);
  c.attention_scale = 1 / std::sqrt(scalar);
}

// A missing soft cap takes the class's default, null means none.
double soft_cap(const HfConfig& f, const char* key, double fallback) {
  return f.has(key) ? f.number(key) : (f.has_key(key) ? 0 : fallback);
}

void read_gemma2(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults{
      .max_positions = 8192, .tied = true, .activation_key = "hidden_activation", .activation = "gelu_pytorch_tanh"};
  read_gemma(f, defaults, c);
  c.attention_softcap = soft_cap(f, "attn_logit_softcapping", 50);
  c.logit_softcap = soft_cap(f, "final_logit_softcapping", 30);
  read_rope(f, defaults, 0, c);
  read_window(
      f, 4096, [](const HfConfig&, int64_t layer) { return layer % 2 == 0; }, c);
}

void read_gemma3(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults{.theta = 1e6,
                            .max_positions = 131072,
                            .tied = true,
                            .activation_key = "hidden_activation",
                            .activation = "gelu_pytorch_tanh"};
  read_gemma(f, defaults, c);
  c.qk_norm = QkNorm::kHead;
  c.logit_softcap = soft_cap(f, "final_logit_softcapping", 0);
  read_window(
      f, 4096,
      [](const HfConfig& g, int64_t layer) {
        const int64_t pattern = g.integer("sliding_window_pattern", 6);
        return pattern > 0 && (layer + 1) % pattern != 0;
      },
      c);
  // One record for each type of layer (transformers 5), or the sliding ones' base beside the others' record.
  const Json none = Json::object();
  const Json& records = f.has("rope_parameters") ? f.at("rope_parameters") : none;
  auto record = [&](const char* key, const Json& otherwise) -> const Json& {
    return records.contains(key) && !records[key].is_null() ? records[key] : otherwise;
  };
  const Json& scaling = f.has("rope_scaling") ? f.at("rope_scaling") : none;
  const HfConfig full(record("full_attention", scaling), f.where() + ": full_attention");
  const HfConfig local(record("sliding_attention", none), f.where() + ": sliding_attention");
  c.rope = rope_of_record(full, f, f.number("rope_theta", defaults.theta), 0, c);
  c.local_rope = rope_of_record(local, f, f.number("rope_local_base_freq", 10000), 0, c);
  if (c.rope.scaling == RopeScaling::kDynamic || c.local_rope->scaling == RopeScaling::kDynamic ||
      c.local_rope->scaling == RopeScaling::kLongRope) {
    fail(ErrorKind::kUnsupported,
         "{}: a rotary scaling that depends on the length, for one type of layer, is not "
         "computed",
         f.where());
  }
}

void read_olmo2(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults{.norm_eps = 1e-5};
  read_sizes(f, defaults, c);
  read_attention_bias(f, false, c);
  c.pre_norm = false;
  c.post_norm = true;
  c.qk_norm = QkNorm::kWhole;
  read_rope(f, defaults, 0, c);
}

void read_granite(const HfConfig& f, ModelConfig& c) {
  read_llama(f, c);
  c.embedding_scale = f.number("embedding_multiplier", 1);
  c.residual_scale = f.number("residual_multiplier", 1);
  c.attention_scale = f.number("attention_multiplier", 1);
  c.logit_scale = 1 / f.number("logits_scaling", 1);
}

void read_phi3(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults{.norm_eps = 1e-5, .max_positions = 4096};
  read_sizes(f, defaults, c);
  read_window(f, 0, nullptr, c);
  // Older files call longrope "su" or "yarn"; the original length stands beside the record, 4096 if it does not.
  const Json none = Json::object();
  Json rope = f.has("rope_parameters") ? f.at("rope_parameters") : f.has("rope_scaling") ? f.at("rope_scaling") : none;
  if (rope.is_object()) {
    const std::string type =
        get_string_or(rope, "rope_type", get_string_or(rope, "type", "default", f.where()), f.where());
    if (type == "su" || type == "yarn") rope["rope_type"] = "longrope";
    rope["original_max_position_embeddings"] = f.integer("original_max_position_embeddings", 4096);
  }
  const HfConfig record(rope, f.where() + ": rope_parameters");
  c.rope = rope_of_record(record, f, f.number("rope_theta", defaults.theta), f.number("partial_rotary_factor", 1), c);
}

void read_internlm2(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults;
  read_sizes(f, defaults, c);
  c.qkv_bias = c.out_bias = f.flag("bias", true);
  read_rope(f, defaults, 0, c);
}

void read_starcoder2(const HfConfig& f, ModelConfig& c) {
  const HfDefaults defaults{.max_positions = 4096, .tied = true, .activation = "gelu_pytorch_tanh"};
  read_sizes(f, defaults, c);
  c.norm = NormKind::kLayer;
  c.norm_eps = f.number("norm_epsilon", 1e-5);
  c.qkv_bias = c.out_bias = c.mlp_bias = f.flag("use_bias", true);
  c.gated = false;
  read_rope(f, defaults, 0, c);
  read_window(f, 0, nullptr, c);
}

void read_gpt2(const HfConfig& f, ModelConfig& c) {
  c.vocab_size = f.integer("vocab_size");
  c.hidden_size = f.integer("n_embd");
  c.layers = f.integer("n_layer");
  c.heads = c.kv_heads = f.integer("n_head");
  if (c.heads < 1 || c.hidden_size % c.heads != 0) {
    fail(ErrorKind::kData, "{}: n_embd {} must be a multiple of n_head {}", f.where(), c.hidden_size, c.heads);
  }
  c.head_dim = c.hidden_size / c.heads;
  c.ffn_size = f.integer("n_inner", 4 * c.hidden_size);
  c.max_positions = f.integer("n_positions", 1024);
  c.norm = NormKind::kLayer;
  c.norm_eps = f.number("layer_norm_epsilon", 1e-5);
  c.qkv_bias = c.out_bias = c.mlp_bias = true;
  c.activation = read_activation(f, "activation_function", "gelu_new");
  c.gated = false;
  if (!f.flag("scale_attn_weights", true)) c.attention_scale = 1;
  c.learned_positions = true;
  c.tie_embeddings = f.flag("tie_word_embeddings", true);
}

void read_neox(const HfConfig& f, ModelConfig& c) {
  HfDefaults defaults{.activation = "gelu"};
  read_sizes(f, defaults, c);
  c.norm = NormKind::kLayer;
  c.norm_eps = f.number("layer_norm_eps", 1e-5);
  c.qkv_bias = c.out_bias = f.flag("attention_bias", true);
  c.mlp_bias = true;
  c.gated = false;
  c.parallel = f.flag("use_parallel_residual", true);
  defaults.theta = f.number("rotary_emb_base", 10000);
  read_rope(f, defaults, f.number("rotary_pct", 0.25), c);
}

// ---- Writing what the shared keys (config_hf.cc) do not say

void write_window(const ModelConfig& c, OrderedJson& out) {
  out["sliding_window"] = c.window > 0 ? OrderedJson(c.window) : OrderedJson(nullptr);
}

void write_layer_types(const ModelConfig& c, OrderedJson& out) {
  out["layer_types"] = OrderedJson::array();
  for (int64_t i = 0; i < c.layers; ++i) {
    out["layer_types"].push_back(c.is_sliding(i) ? "sliding_attention" : "full_attention");
  }
}

void write_llama(const ModelConfig& c, OrderedJson& out) {
  out["attention_bias"] = c.qkv_bias;
  out["mlp_bias"] = c.mlp_bias;
}

void write_qwen(const ModelConfig& c, OrderedJson& out) {
  if (c.qk_norm == QkNorm::kHead) out["attention_bias"] = c.qkv_bias;
  write_window(c, out);
  out["use_sliding_window"] = c.window > 0;
  if (c.experts == 0) write_layer_types(c, out);
}

void write_qwen3_moe(const ModelConfig& c, OrderedJson& out) {
  write_qwen(c, out);
  out["num_experts"] = c.experts;
  out["num_experts_per_tok"] = c.experts_used;
  out["moe_intermediate_size"] = c.expert_ffn_size;
  out["norm_topk_prob"] = c.experts_normalised;
  out["decoder_sparse_step"] = 1;
  out["mlp_only_layers"] = OrderedJson::array();
  for (int64_t i = 0; i < c.layers; ++i) {
    if (!c.is_sparse(i)) out["mlp_only_layers"].push_back(i);
  }
}

void write_mixtral(const ModelConfig& c, OrderedJson& out) {
  write_window(c, out);
  out["intermediate_size"] = c.expert_ffn_size;
  out["num_local_experts"] = c.experts;
  out["num_experts_per_tok"] = c.experts_used;
}

void write_gemma(const ModelConfig& c, OrderedJson& out) {
  auto cap = [](double value) { return value > 0 ? OrderedJson(value) : OrderedJson(nullptr); };
  out["hidden_activation"] = out["hidden_act"];
  out["attention_bias"] = c.qkv_bias;
  out["query_pre_attn_scalar"] = std::lround(1 / (c.attention_scale * c.attention_scale));
  out["attn_logit_softcapping"] = cap(c.attention_softcap);
  out["final_logit_softcapping"] = cap(c.logit_softcap);
  write_window(c, out);
  write_layer_types(c, out);
}

void write_olmo2(const ModelConfig& c, OrderedJson& out) { out["attention_bias"] = c.qkv_bias; }

void write_granite(const ModelConfig& c, OrderedJson& out) {
  write_llama(c, out);
  out["embedding_multiplier"] = c.embedding_scale;
  out["residual_multiplier"] = c.residual_scale;
  out["attention_multiplier"] = c.attention_scale;
  out["logits_scaling"] = 1 / c.logit_scale;
}

void write_phi3(const ModelConfig& c, OrderedJson& out) {
  write_window(c, out);
  if (c.rope.original_positions > 0) out["original_max_position_embeddings"] = c.rope.original_positions;
}

void write_internlm2(const ModelConfig& c, OrderedJson& out) { out["bias"] = c.qkv_bias; }

void write_starcoder2(const ModelConfig& c, OrderedJson& out) {
  write_window(c, out);
  out["norm_epsilon"] = c.norm_eps;
  out["use_bias"] = c.qkv_bias;
}

void write_gpt2(const ModelConfig& c, OrderedJson& out) {
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
        "head_dim", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling", "rope_parameters"}) {
    out.erase(key);
  }
  out["n_embd"] = c.hidden_size;
  out["n_inner"] = c.ffn_size;
  out["n_layer"] = c.layers;
  out["n_head"] = c.heads;
  out["n_positions"] = c.max_positions;
  out["layer_norm_epsilon"] = c.norm_eps;
  out["activation_function"] = out["hidden_act"];
  out["scale_attn_weights"] = c.attention_scale != 1;
}

void write_neox(const ModelConfig& c, OrderedJson& out) {
  out.erase("rms_norm_eps");
  out["layer_norm_eps"] = c.norm_eps;
  out["use_parallel_residual"] = c.parallel;
  out["attention_bias"] = c.qkv_bias;
  out["rotary_pct"] = static_cast<double>(c.rope.dim) / static_cast<double>(c.head_dim);
  out["rotary_emb_base"] = c.rope.theta;
}

constexpr double kGemmaOffset = 1;
constexpr bool kRemoteCode = true;

const Architecture kArchitectures[] = {
    {"llama", "LlamaForCausalLM", "llama", read_llama, write_llama, gguf_llama, llama_names(), gguf_llama_names()},
    {"mistral", "MistralForCausalLM", "", read_mistral, write_window, nullptr, llama_names(), {}},
    {"mixtral", "MixtralForCausalLM", "", read_mixtral, write_mixtral, gguf_llama, mixtral_names(), gguf_llama_names()},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", read_qwen2, write_qwen, gguf_plain, llama_names(), gguf_names()},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", read_qwen3, write_qwen, gguf_qwen3, llama_names(), gguf_names()},
    {"qwen3_moe", "Qwen3MoeForCausalLM", "qwen3moe", read_qwen3_moe, write_qwen3_moe, gguf_qwen3_moe, llama_names(),
     gguf_names()},
    {"gemma2", "Gemma2ForCausalLM", "gemma2", read_gemma2, write_gemma, gguf_gemma2, gemma_names(), gguf_names(),
     kGemmaOffset},
    {"gemma3_text", "Gemma3ForCausalLM", "gemma3", read_gemma3, write_gemma, gguf_gemma3, gemma_names(), gguf_names(),
     kGemmaOffset},
    {"granite", "GraniteForCausalLM", "granite", read_granite, write_granite, gguf_granite, llama_names(),
     gguf_llama_names()},
    {"olmo2", "Olmo2ForCausalLM", "olmo2", read_olmo2, write_olmo2, gguf_olmo2, olmo2_names(), gguf_names()},
    {"phi3", "Phi3ForCausalLM", "phi3", read_phi3, write_phi3, gguf_phi3, phi3_names(), gguf_fused_names()},
    {"internlm2", "InternLM2ForCausalLM", "internlm2", read_internlm2, write_internlm2, gguf_plain, internlm2_names(),
     gguf_llama_names(), 0, kRemoteCode},
    {"starcoder2", "Starcoder2ForCausalLM", "", read_starcoder2, write_starcoder2, nullptr, starcoder2_names(), {}},
    {"gpt2", "GPT2LMHeadModel", "gpt2", read_gpt2, write_gpt2, gguf_gpt2, gpt2_names(), gguf_fused_names()},
    {"gpt_neox", "GPTNeoXForCausalLM", "gptneox", read_neox, write_neox, gguf_neox, neox_names(), gguf_fused_names()},
};

std::string known_names() {
  std::string names;
  for (const Architecture& row : kArchitectures) names += (names.empty() ? "" : ", ") + std::string(row.model_type);
  return names;
}

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

const Architecture& architecture_of(std::string_view model_type, const std::string& where) {
  for (const Architecture& row : kArchitectures) {
    if (row.model_type == model_type) return row;
  }
  fail(ErrorKind::kUnsupported, "{}: model_type {} is not one merit runs ({})", where, quote(model_type),
       known_names());
}

const Architecture& gguf_architecture_of(const formats::GgufFile& file) {
  const std::string& name = file.get_string("general.architecture");
  const bool sparse_llama = name == "llama" && file.get_int_or("llama.expert_count", 0) > 0;
  if (sparse_llama) return architecture_of("mixtral", file.where());
  for (const Architecture& row : kArchitectures) {
    if (!row.gguf.empty() && row.gguf == name) return row;
  }
  fail(ErrorKind::kUnsupported, "{}: general.architecture {} is not one merit runs ({})", file.where(), quote(name),
       known_names());
}

}  // namespace merit::nn
