// config.json, both ways: the settings that all architectures share.
#include "merit/core/error.h"
#include "merit/nn/architectures.h"
#include "merit/nn/config.h"

namespace merit::nn {
namespace {

int64_t read_labels(const HfConfig& config) {
  if (!config.has("architectures") || !config.at("architectures").is_array()) return 0;
  for (const Json& name : config.at("architectures")) {
    if (!name.is_string()) continue;
    const auto& text = name.get_ref<const std::string&>();
    if (text.find("ForSequenceClassification") == std::string::npos &&
        text.find("ForTokenClassification") == std::string::npos) {
      continue;
    }
    if (config.has("id2label") && config.at("id2label").is_object()) {
      return static_cast<int64_t>(config.at("id2label").size());
    }
    return config.integer("num_labels", 2);
  }
  return 0;
}

const char* name_of(Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return "silu";
    case Activation::kGelu:
      return "gelu";
    case Activation::kGeluTanh:
      return "gelu_pytorch_tanh";
    case Activation::kRelu:
      return "relu";
  }
  return "";
}

OrderedJson rope_json(const Rope& rope, int64_t head_dim) {
  OrderedJson out;
  if (rope.dim != head_dim) {
    out["partial_rotary_factor"] = static_cast<double>(rope.dim) / static_cast<double>(head_dim);
  }
  switch (rope.scaling) {
    case RopeScaling::kNone:
      out["rope_type"] = "default";
      return out;
    case RopeScaling::kLinear:
      out["rope_type"] = "linear";
      break;
    case RopeScaling::kDynamic:
      out["rope_type"] = "dynamic";
      break;
    case RopeScaling::kYarn:
      out["rope_type"] = "yarn";
      out["beta_fast"] = rope.beta_fast;
      out["beta_slow"] = rope.beta_slow;
      out["truncate"] = rope.truncate;
      out["attention_factor"] = rope.attention_factor;
      break;
    case RopeScaling::kLongRope:
      out["rope_type"] = "longrope";
      out["short_factor"] = rope.short_factors;
      out["long_factor"] = rope.long_factors;
      out["attention_factor"] = rope.attention_factor;
      break;
    case RopeScaling::kLlama3:
      out["rope_type"] = "llama3";
      out["low_freq_factor"] = rope.low_freq_factor;
      out["high_freq_factor"] = rope.high_freq_factor;
      break;
    case RopeScaling::kProportional:
      out["rope_type"] = "proportional";
      out["partial_rotary_factor"] = static_cast<double>(2 * rope.pairs) / static_cast<double>(head_dim);
      break;
  }
  out["factor"] = rope.factor;
  const bool by_context = rope.scaling == RopeScaling::kYarn || rope.scaling == RopeScaling::kLongRope ||
                          rope.scaling == RopeScaling::kLlama3;
  if (by_context) out["original_max_position_embeddings"] = rope.original_positions;
  return out;
}

// Both spellings, so that every version of transformers finds its own.
void write_rope(const ModelConfig& c, OrderedJson& out) {
  out["rope_theta"] = c.rope.theta;
  OrderedJson rope = rope_json(c.rope, c.head_dim);
  out["rope_scaling"] = c.rope.scaling == RopeScaling::kNone ? OrderedJson(nullptr) : rope;
  rope["rope_theta"] = c.rope.theta;
  out["rope_parameters"] = rope;
  if (!c.local_rope) return;
  OrderedJson local = rope_json(*c.local_rope, c.head_dim);
  local["rope_theta"] = c.local_rope->theta;
  out["rope_local_base_freq"] = c.local_rope->theta;
  out["rope_parameters"] = {{"full_attention", rope}, {"sliding_attention", local}};
}

// The class's name with its head changed: "LlamaForCausalLM" to "LlamaForSequenceClassification".
std::string classifier_of(std::string_view name) {
  for (const char* suffix : {"ForCausalLM", "LMHeadModel"}) {
    const size_t at = name.find(suffix);
    if (at != std::string_view::npos) return std::string(name.substr(0, at)) + "ForSequenceClassification";
  }
  MERIT_CHECK(false);
}

}  // namespace

ModelConfig config_from_hf(const Json& json, const std::string& where) {
  const HfConfig config(json, where);
  ModelConfig c;
  c.architecture = get_string(json, "model_type", where);
  architecture_of(c.architecture, where).read_hf(config, c);
  config.refuse_unread();
  const std::vector<int32_t> bos = config.ids("bos_token_id");
  const std::vector<int32_t> pad = config.ids("pad_token_id");
  c.bos_id = bos.empty() ? -1 : bos[0];
  c.pad_id = pad.empty() ? -1 : pad[0];
  c.eos_ids = config.ids("eos_token_id");
  c.num_labels = read_labels(config);
  check_config(c, where);
  return c;
}

OrderedJson to_hf_config(const ModelConfig& c, const std::string& dtype) {
  const Architecture& architecture = architecture_of(c.architecture, "config");
  auto id = [](int32_t value) { return value < 0 ? OrderedJson(nullptr) : OrderedJson(value); };
  OrderedJson out;
  out["architectures"] = {c.num_labels > 0 ? classifier_of(architecture.hf_class) : std::string(architecture.hf_class)};
  out["model_type"] = c.architecture;
  out["dtype"] = dtype;
  out["vocab_size"] = c.vocab_size;
  out["hidden_size"] = c.hidden_size;
  out["intermediate_size"] = c.ffn_size;
  out["num_hidden_layers"] = c.layers;
  out["num_attention_heads"] = c.heads;
  out["num_key_value_heads"] = c.kv_heads;
  out["head_dim"] = c.head_dim;
  // Dynamic scaling counts from the positions before it.
  out["max_position_embeddings"] =
      c.rope.scaling == RopeScaling::kDynamic ? c.rope.original_positions : c.max_positions;
  out["hidden_act"] = name_of(c.activation);
  out["rms_norm_eps"] = c.norm_eps;
  write_rope(c, out);
  out["tie_word_embeddings"] = c.tie_embeddings;
  architecture.write_hf(c, out);
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
