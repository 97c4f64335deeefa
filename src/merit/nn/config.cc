#include "merit/nn/config.h"

#include <cmath>
#include <numbers>

#include "merit/core/error.h"
#include "merit/formats/gguf.h"
#include "merit/nn/weight_names.h"

namespace merit::nn {
namespace {

// Settings of the wider family that change what is computed. Absent, null, false, 0 and the value named are all the
// same as not having them.
struct Neutral {
  const char* key;
  double value;
};
constexpr Neutral kEffects[] = {
    {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0},
    {"query_pre_attn_scalar", 0},
    {"logit_scale", 1},
    {"logits_scaling", 1},
    {"embedding_multiplier", 1},
    {"residual_multiplier", 1},
    {"attention_multiplier", 0},
    {"partial_rotary_factor", 1},
    {"use_qk_norm", 0},
    {"qk_layernorm", 0},
    {"clip_qkv", 0},
    {"num_experts", 0},
    {"num_local_experts", 0},
    {"attention_chunk_size", 0},
    {"quantization_config", 0},
    {"alibi", 0},
    {"is_encoder_decoder", 0},
    {"add_cross_attention", 0},
    {"no_rope_layers", 0},
};

bool is_neutral(const Json& value, double neutral) {
  if (value.is_null()) return true;
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() == 0 || value.get<double>() == neutral;
  return value.is_array() && value.empty();
}

int64_t size_of(const Json& config, const std::string& key, int64_t most, const std::string& where) {
  const int64_t value = get_int(config, key, where);
  if (value < 1 || value > most) {
    fail(ErrorKind::kData, "{}: {} must be between 1 and {}, got {}", where, key, most, value);
  }
  return value;
}

// What both kinds of file must satisfy.
void check(const ModelConfig& c, const std::string& where) {
  auto refuse = [&](const std::string& what) { fail(ErrorKind::kData, "{}: {}", where, what); };
  auto within = [&](const char* name, int64_t value, int64_t most) {
    if (value < 1 || value > most) refuse(fmt::format("{} must be between 1 and {}, got {}", name, most, value));
  };
  within("the vocabulary's size", c.vocab_size, int64_t{1} << 26);
  within("the hidden size", c.hidden_size, int64_t{1} << 20);
  within("the number of layers", c.layers, 4096);
  within("the number of heads", c.heads, 65536);
  within("the number of key-value heads", c.kv_heads, c.heads);
  within("the head size", c.head_dim, 4096);
  within("the feed-forward size", c.ffn_size, int64_t{1} << 22);
  within("the number of positions", c.max_positions, int64_t{1} << 30);
  if (c.heads % c.kv_heads != 0) {
    refuse(fmt::format("{} heads cannot share {} key-value heads evenly", c.heads, c.kv_heads));
  }
  if (c.head_dim % 2 != 0) refuse(fmt::format("rotary positions need an even head size, got {}", c.head_dim));
  if (!(c.rms_eps > 0 && c.rms_eps < 1)) refuse(fmt::format("the norm's epsilon must be in (0, 1), got {}", c.rms_eps));
  if (!(c.rope_theta > 1 && std::isfinite(c.rope_theta))) {
    refuse(fmt::format("the rotary base must be above 1, got {}", c.rope_theta));
  }
  if (c.rope_scaling != RopeScaling::kNone && !(c.rope_factor >= 1 && std::isfinite(c.rope_factor))) {
    refuse(fmt::format("the rotary scaling factor must be at least 1, got {}", c.rope_factor));
  }
  if (c.rope_scaling == RopeScaling::kLlama3 &&
      !(c.rope_low_freq_factor > 0 && c.rope_high_freq_factor > c.rope_low_freq_factor &&
        c.rope_original_max_positions > 0)) {
    refuse("llama3 rotary scaling needs 0 < low_freq_factor < high_freq_factor and original_max_position_embeddings");
  }
}

// rope_parameters (transformers 5) or rope_scaling beside rope_theta (before it).
void read_rope(const Json& config, const std::string& where, ModelConfig& c) {
  const bool one_record = config.contains("rope_parameters") && !config["rope_parameters"].is_null();
  const char* key = one_record ? "rope_parameters" : "rope_scaling";
  c.rope_theta = get_double_or(config, "rope_theta", 10000.0, where);
  if (!config.contains(key) || config[key].is_null()) return;
  const Json& rope = config[key];
  const std::string inside = where + ": " + key;
  if (!rope.is_object()) fail(ErrorKind::kData, "{}: expected an object", inside);
  c.rope_theta = get_double_or(rope, "rope_theta", c.rope_theta, inside);
  const std::string type = get_string_or(rope, "rope_type", get_string_or(rope, "type", "default", inside), inside);
  if (type == "default") return;
  if (type == "linear") {
    c.rope_scaling = RopeScaling::kLinear;
  } else if (type == "llama3") {
    c.rope_scaling = RopeScaling::kLlama3;
    c.rope_low_freq_factor = get_double(rope, "low_freq_factor", inside);
    c.rope_high_freq_factor = get_double(rope, "high_freq_factor", inside);
    c.rope_original_max_positions = get_int(rope, "original_max_position_embeddings", inside);
  } else {
    fail(ErrorKind::kUnsupported, "{}: rope_type {} is not computed; default, linear and llama3 are", inside,
         quote(type));
  }
  c.rope_factor = get_double(rope, "factor", inside);
}

void refuse_windows(const Json& config, const std::string& where, const ModelConfig& c) {
  const bool off = config.contains("use_sliding_window") && is_neutral(config["use_sliding_window"], 0);
  const int64_t window = get_int_or(config, "sliding_window", 0, where);
  if (!off && window > 0 && window < c.max_positions) {
    fail(ErrorKind::kUnsupported, "{}: sliding_window {} is not computed (max_position_embeddings is {})", where,
         window, c.max_positions);
  }
  if (!config.contains("layer_types") || !config["layer_types"].is_array()) return;
  for (const Json& type : config["layer_types"]) {
    if (type != "full_attention") {
      fail(ErrorKind::kUnsupported, "{}: layer_types has {}; only \"full_attention\" is computed", where,
           dump_json(type));
    }
  }
}

std::vector<int32_t> read_ids(const Json& config, const std::string& key, const std::string& where) {
  std::vector<int32_t> ids;
  if (!config.contains(key) || config[key].is_null()) return ids;
  const Json list = config[key].is_array() ? config[key] : Json::array({config[key]});
  for (const Json& id : list) {
    if (!id.is_number_integer() || id.get<int64_t>() < -1 || id.get<int64_t>() > INT32_MAX) {
      fail(ErrorKind::kData, "{}: {} must be a token id, got {}", where, key, quote(dump_json(id)));
    }
    if (id.get<int64_t>() >= 0) ids.push_back(id.get<int32_t>());
  }
  return ids;
}

int64_t read_labels(const Json& config, const std::string& where) {
  if (!config.contains("architectures") || !config["architectures"].is_array()) return 0;
  for (const Json& name : config["architectures"]) {
    if (!name.is_string()) continue;
    const auto& text = name.get_ref<const std::string&>();
    if (text.find("ForSequenceClassification") == std::string::npos &&
        text.find("ForTokenClassification") == std::string::npos) {
      continue;
    }
    if (config.contains("id2label") && config["id2label"].is_object())
      return static_cast<int64_t>(config["id2label"].size());
    return get_int_or(config, "num_labels", 2, where);
  }
  return 0;
}

std::string known_names() {
  std::string names;
  for (const Architecture& row : architectures()) names += (names.empty() ? "" : ", ") + std::string(row.model_type);
  return names;
}

// Llama 3's scaling as GGUF has it, a tensor of divisors, back to the four numbers it was made from.
void read_gguf_rope_divisors(const formats::GgufFile& file, const formats::TensorView& tensor, ModelConfig& c) {
  std::vector<float> divisors(static_cast<size_t>(tensor.numel()));
  formats::to_float(tensor, divisors);
  ModelConfig plain = c;
  plain.rope_scaling = RopeScaling::kNone;
  const std::vector<double> base = plain.rope_frequencies();
  for (double factor : {8.0, 32.0}) {
    ModelConfig guess = c;
    guess.rope_scaling = RopeScaling::kLlama3;
    guess.rope_factor = factor;
    guess.rope_low_freq_factor = 1;
    guess.rope_high_freq_factor = 4;
    guess.rope_original_max_positions = 8192;
    const std::vector<double> scaled = guess.rope_frequencies();
    bool same = divisors.size() == base.size();
    for (size_t i = 0; same && i < base.size(); ++i) same = std::abs(base[i] / scaled[i] / divisors[i] - 1) < 1e-4;
    if (same) {
      c = guess;
      return;
    }
  }
  fail(ErrorKind::kUnsupported, "{}: the rotary divisors of {} are none of Llama 3's", file.where(),
       quote(tensor.name));
}

}  // namespace

std::vector<double> ModelConfig::rope_frequencies() const {
  std::vector<double> frequencies(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double f = std::pow(rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    if (rope_scaling == RopeScaling::kLinear) f /= rope_factor;
    if (rope_scaling == RopeScaling::kLlama3) {
      // Turns a position makes within the original context; at most `low`: stretched, at least `high`: kept.
      const double turns = static_cast<double>(rope_original_max_positions) * f / (2 * std::numbers::pi);
      const double ramp = (turns - rope_low_freq_factor) / (rope_high_freq_factor - rope_low_freq_factor);
      const double keep = std::min(1.0, std::max(0.0, ramp));
      f = keep * f + (1 - keep) * f / rope_factor;
    }
    frequencies[i] = f;
  }
  return frequencies;
}

int64_t ModelConfig::non_embedding_parameters() const {
  const int64_t attention = hidden_size * (2 * q_size() + 2 * kv_size());
  return layers * (attention + 3 * hidden_size * ffn_size + 2 * hidden_size) + hidden_size;
}

ModelConfig config_from_hf(const Json& config, const std::string& where) {
  if (!config.is_object()) fail(ErrorKind::kData, "{}: expected an object", where);
  ModelConfig c;
  c.architecture = get_string(config, "model_type", where);
  const Architecture* architecture = find_architecture(c.architecture);
  if (!architecture) {
    fail(ErrorKind::kUnsupported, "{}: model_type {} is not one merit runs ({})", where, quote(c.architecture),
         known_names());
  }
  for (const Neutral& effect : kEffects) {
    if (config.contains(effect.key) && !is_neutral(config[effect.key], effect.value)) {
      fail(ErrorKind::kUnsupported, "{}: {} = {} has an effect merit does not compute", where, effect.key,
           quote(dump_json(config[effect.key])));
    }
  }
  const std::string activation = get_string_or(config, "hidden_act", "silu", where);
  if (activation != "silu" && activation != "swish") {
    fail(ErrorKind::kUnsupported, "{}: hidden_act {} is not computed; silu is", where, quote(activation));
  }
  c.vocab_size = size_of(config, "vocab_size", int64_t{1} << 26, where);
  c.hidden_size = size_of(config, "hidden_size", int64_t{1} << 20, where);
  c.layers = size_of(config, "num_hidden_layers", 4096, where);
  c.heads = size_of(config, "num_attention_heads", 65536, where);
  c.kv_heads = get_int_or(config, "num_key_value_heads", c.heads, where);
  c.head_dim = get_int_or(config, "head_dim", c.hidden_size / c.heads, where);
  c.ffn_size = size_of(config, "intermediate_size", int64_t{1} << 22, where);
  c.max_positions = get_int_or(config, "max_position_embeddings", 2048, where);
  c.rms_eps = get_double_or(config, "rms_norm_eps", 1e-6, where);
  c.tie_embeddings = get_bool_or(config, "tie_word_embeddings", false, where);
  const bool attention_bias = get_bool_or(config, "attention_bias", false, where);
  c.qkv_bias = architecture->qkv_bias || attention_bias;
  c.out_bias = attention_bias && !architecture->qkv_bias;
  c.mlp_bias = get_bool_or(config, "mlp_bias", false, where);
  read_rope(config, where, c);
  refuse_windows(config, where, c);
  const std::vector<int32_t> bos = read_ids(config, "bos_token_id", where);
  const std::vector<int32_t> pad = read_ids(config, "pad_token_id", where);
  c.bos_id = bos.empty() ? -1 : bos[0];
  c.pad_id = pad.empty() ? -1 : pad[0];
  c.eos_ids = read_ids(config, "eos_token_id", where);
  c.num_labels = read_labels(config, where);
  check(c, where);
  return c;
}

ModelConfig config_from_gguf(const formats::GgufFile& file) {
  const std::string& name = file.get_string("general.architecture");
  const Architecture* architecture = find_gguf_architecture(name);
  if (!architecture) {
    fail(ErrorKind::kUnsupported, "{}: general.architecture {} is not one merit runs ({})", file.where(), quote(name),
         known_names());
  }
  auto key = [&](const char* suffix) { return name + "." + suffix; };
  auto has_tensor = [&](Part part, bool bias) {
    return file.find(weight_name(Container::kGguf, part, 0, bias)) != nullptr;
  };
  ModelConfig c;
  c.architecture = architecture->model_type;
  c.hidden_size = file.get_int(key("embedding_length"));
  c.layers = file.get_int(key("block_count"));
  c.heads = file.get_int(key("attention.head_count"));
  c.kv_heads = file.get_int_or(key("attention.head_count_kv"), c.heads);
  if (c.heads < 1) fail(ErrorKind::kData, "{}: {} must be at least 1", file.where(), key("attention.head_count"));
  c.head_dim = file.get_int_or(key("attention.key_length"), c.hidden_size / c.heads);
  c.ffn_size = file.get_int(key("feed_forward_length"));
  c.max_positions = file.get_int(key("context_length"));
  c.rms_eps = file.get_double(key("attention.layer_norm_rms_epsilon"));
  c.rope_theta = file.get_double_or(key("rope.freq_base"), 10000.0);
  const formats::TensorView& embedding = file.at(weight_name(Container::kGguf, Part::kEmbedding));
  c.vocab_size = embedding.shape.empty() ? 0 : embedding.shape[0];
  for (const char* effect : {"expert_count", "attention.sliding_window", "attention.clamp_kqv", "logit_scale"}) {
    if (file.get_double_or(key(effect), 0) != 0) {
      fail(ErrorKind::kUnsupported, "{}: {} has an effect merit does not compute", file.where(), key(effect));
    }
  }
  const int64_t rotary = file.get_int_or(key("rope.dimension_count"), c.head_dim);
  const int64_t value_length = file.get_int_or(key("attention.value_length"), c.head_dim);
  if (rotary != c.head_dim || value_length != c.head_dim) {
    fail(ErrorKind::kUnsupported, "{}: head size {}, rotary part {} and value size {} must be equal", file.where(),
         c.head_dim, rotary, value_length);
  }
  const std::string scaling = file.get_string_or(key("rope.scaling.type"), "none");
  if (scaling == "linear") {
    c.rope_scaling = RopeScaling::kLinear;
    c.rope_factor = file.get_double(key("rope.scaling.factor"));
  } else if (scaling != "none") {
    fail(ErrorKind::kUnsupported, "{}: rope.scaling.type {} is not computed", file.where(), quote(scaling));
  }
  c.tie_embeddings = !has_tensor(Part::kVocab, false);
  c.qkv_bias = has_tensor(Part::kQuery, true);
  c.out_bias = has_tensor(Part::kOut, true);
  c.mlp_bias = has_tensor(Part::kGate, true);
  c.bos_id = static_cast<int32_t>(file.get_int_or("tokenizer.ggml.bos_token_id", -1));
  c.pad_id = static_cast<int32_t>(file.get_int_or("tokenizer.ggml.padding_token_id", -1));
  const int64_t eos = file.get_int_or("tokenizer.ggml.eos_token_id", -1);
  if (eos >= 0) c.eos_ids = {static_cast<int32_t>(eos)};
  check(c, file.where());
  if (const formats::TensorView* divisors = file.find("rope_freqs.weight")) read_gguf_rope_divisors(file, *divisors, c);
  return c;
}

OrderedJson to_hf_config(const ModelConfig& c, const std::string& dtype) {
  const Architecture* architecture = find_architecture(c.architecture);
  MERIT_CHECK(architecture != nullptr);
  auto id = [](int32_t value) { return value < 0 ? OrderedJson(nullptr) : OrderedJson(value); };
  OrderedJson out;
  std::string name(architecture->hf_class);
  if (c.num_labels > 0) name.replace(name.find("ForCausalLM"), std::string::npos, "ForSequenceClassification");
  out["architectures"] = {name};
  out["model_type"] = c.architecture;
  out["dtype"] = dtype;
  out["vocab_size"] = c.vocab_size;
  out["hidden_size"] = c.hidden_size;
  out["intermediate_size"] = c.ffn_size;
  out["num_hidden_layers"] = c.layers;
  out["num_attention_heads"] = c.heads;
  out["num_key_value_heads"] = c.kv_heads;
  out["head_dim"] = c.head_dim;
  out["max_position_embeddings"] = c.max_positions;
  out["hidden_act"] = "silu";
  out["rms_norm_eps"] = c.rms_eps;
  // Both spellings, so that every version of transformers finds its own.
  out["rope_theta"] = c.rope_theta;
  OrderedJson rope;
  rope["rope_type"] = c.rope_scaling == RopeScaling::kLlama3   ? "llama3"
                      : c.rope_scaling == RopeScaling::kLinear ? "linear"
                                                               : "default";
  if (c.rope_scaling != RopeScaling::kNone) rope["factor"] = c.rope_factor;
  if (c.rope_scaling == RopeScaling::kLlama3) {
    rope["low_freq_factor"] = c.rope_low_freq_factor;
    rope["high_freq_factor"] = c.rope_high_freq_factor;
    rope["original_max_position_embeddings"] = c.rope_original_max_positions;
  }
  out["rope_scaling"] = c.rope_scaling == RopeScaling::kNone ? OrderedJson(nullptr) : rope;
  rope["rope_theta"] = c.rope_theta;
  out["rope_parameters"] = rope;
  out["tie_word_embeddings"] = c.tie_embeddings;
  if (!architecture->qkv_bias) out["attention_bias"] = c.qkv_bias;
  out["mlp_bias"] = c.mlp_bias;
  out["bos_token_id"] = id(c.bos_id);
  out["eos_token_id"] = c.eos_ids.empty()       ? OrderedJson(nullptr)
                        : c.eos_ids.size() == 1 ? OrderedJson(c.eos_ids[0])
                                                : OrderedJson(c.eos_ids);
  // A classifier of transformers finds where a row ends by its pad token, so it needs one.
  out["pad_token_id"] = id(c.pad_id < 0 && c.num_labels > 0 && !c.eos_ids.empty() ? c.eos_ids[0] : c.pad_id);
  for (int64_t i = 0; i < c.num_labels; ++i) {
    out["id2label"][std::to_string(i)] = fmt::format("LABEL_{}", i);
    out["label2id"][fmt::format("LABEL_{}", i)] = i;
  }
  return out;
}

}  // namespace merit::nn
