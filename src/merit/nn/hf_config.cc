#include "merit/nn/hf_config.h"

#include <cmath>

#include "merit/core/error.h"

namespace merit::nn {
namespace {

// Settings of the wider family that change what is computed. Absent, null, false, 0, an empty list and the value named
// are all the same as not having them.
struct Neutral {
  const char* key;
  double value;
};
constexpr Neutral kEffects[] = {
    {"add_cross_attention", 0},
    {"alibi", 0},
    {"attention_bias", 0},
    {"attention_chunk_size", 0},
    {"attention_multiplier", 0},
    {"attn_logit_softcapping", 0},
    {"clip_qkv", 0},
    {"embedding_multiplier", 1},
    {"final_logit_softcapping", 0},
    {"is_encoder_decoder", 0},
    {"kv_lora_rank", 0},
    {"logit_scale", 1},
    {"logits_scaling", 1},
    {"mlp_bias", 0},
    {"multi_query", 0},
    {"n_routed_experts", 0},
    {"n_shared_experts", 0},
    {"no_rope_layers", 0},
    {"num_experts", 0},
    {"num_local_experts", 0},
    {"partial_rotary_factor", 1},
    {"qk_layernorm", 0},
    {"quantization_config", 0},
    {"query_pre_attn_scalar", 0},
    {"residual_multiplier", 1},
    {"rope_local_base_freq", 0},
    {"rotary_pct", 1},
    {"scale_attn_by_inverse_layer_idx", 0},
    {"scale_depth", 0},
    {"scale_emb", 1},
    {"use_bidirectional_attention", 0},
    {"use_parallel_residual", 0},
    {"use_qk_norm", 0},
};

bool is_neutral(const Json& value, double neutral) {
  if (value.is_null()) return true;
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() == 0 || value.get<double>() == neutral;
  return value.is_array() && value.empty();
}

}  // namespace

HfConfig::HfConfig(const Json& object, std::string where) : json_(object), where_(std::move(where)) {
  if (!object.is_object()) fail(ErrorKind::kData, "{}: expected an object", where_);
}

bool HfConfig::has(const std::string& key) const {
  read_.insert(key);
  return json_.contains(key) && !json_[key].is_null();
}

const Json& HfConfig::at(const std::string& key) const {
  if (!has(key)) fail(ErrorKind::kData, "{}: {} is missing", where_, key);
  return json_[key];
}

int64_t HfConfig::integer(const std::string& key) const {
  read_.insert(key);
  return get_int(json_, key, where_);
}
int64_t HfConfig::integer(const std::string& key, int64_t fallback) const { return has(key) ? integer(key) : fallback; }
double HfConfig::number(const std::string& key) const {
  read_.insert(key);
  return get_double(json_, key, where_);
}
double HfConfig::number(const std::string& key, double fallback) const { return has(key) ? number(key) : fallback; }
bool HfConfig::flag(const std::string& key, bool fallback) const {
  return has(key) ? get_bool(json_, key, where_) : fallback;
}
std::string HfConfig::text(const std::string& key, const std::string& fallback) const {
  return has(key) ? get_string(json_, key, where_) : fallback;
}

std::vector<int32_t> HfConfig::ids(const std::string& key) const {
  std::vector<int32_t> ids;
  if (!has(key)) return ids;
  const Json list = json_[key].is_array() ? json_[key] : Json::array({json_[key]});
  for (const Json& id : list) {
    if (!id.is_number_integer() || id.get<int64_t>() < -1 || id.get<int64_t>() > INT32_MAX) {
      fail(ErrorKind::kData, "{}: {} must be a token id, got {}", where_, key, quote(dump_json(id)));
    }
    if (id.get<int64_t>() >= 0) ids.push_back(id.get<int32_t>());
  }
  return ids;
}

std::vector<double> HfConfig::numbers(const std::string& key) const {
  const Json& list = at(key);
  std::vector<double> numbers;
  for (const Json& value : list.is_array() ? list : Json::array()) {
    if (value.is_number()) numbers.push_back(value.get<double>());
  }
  if (!list.is_array() || numbers.size() != list.size()) {
    fail(ErrorKind::kData, "{}: {} must be a list of numbers, got {}", where_, key, quote(dump_json(list)));
  }
  return numbers;
}

void HfConfig::refuse_unread() const {
  auto refuse = [&](const std::string& key) {
    fail(ErrorKind::kUnsupported, "{}: {} = {} has an effect merit does not compute", where_, key,
         quote(dump_json(json_[key])));
  };
  for (const Neutral& effect : kEffects) {
    const bool unread = json_.contains(effect.key) && read_.count(effect.key) == 0;
    if (unread && !is_neutral(json_[effect.key], effect.value)) refuse(effect.key);
  }
  if (json_.contains("layer_types") && read_.count("layer_types") == 0 && json_["layer_types"].is_array()) {
    for (const Json& type : json_["layer_types"]) {
      if (type != "full_attention") refuse("layer_types");
    }
  }
  const bool window = json_.contains("sliding_window") && read_.count("sliding_window") == 0;
  const bool off = json_.contains("use_sliding_window") && is_neutral(json_["use_sliding_window"], 0);
  if (window && !off && !is_neutral(json_["sliding_window"], 0)) {
    const int64_t positions = get_int_or(json_, "max_position_embeddings", INT64_MAX, where_);
    if (get_int(json_, "sliding_window", where_) < positions) refuse("sliding_window");
  }
}

Activation read_activation(const HfConfig& config, const std::string& key, const std::string& fallback) {
  const std::string name = config.text(key, fallback);
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" || name == "gelu_fast") return Activation::kGeluTanh;
  if (name == "relu") return Activation::kRelu;
  fail(ErrorKind::kUnsupported, "{}: {} {} is not computed; silu, gelu, gelu_pytorch_tanh and relu are", config.where(),
       key, quote(name));
}

void read_sizes(const HfConfig& config, const HfDefaults& defaults, ModelConfig& c) {
  c.vocab_size = config.integer("vocab_size");
  c.hidden_size = config.integer("hidden_size");
  c.layers = config.integer("num_hidden_layers");
  c.heads = config.integer("num_attention_heads");
  if (c.heads < 1) {
    fail(ErrorKind::kData, "{}: num_attention_heads must be at least 1, got {}", config.where(), c.heads);
  }
  c.kv_heads = config.integer("num_key_value_heads", c.heads);
  c.head_dim = config.integer("head_dim", c.hidden_size / c.heads);
  c.ffn_size = config.integer("intermediate_size");
  c.max_positions = config.integer("max_position_embeddings", defaults.max_positions);
  c.norm_eps = config.number("rms_norm_eps", defaults.norm_eps);
  c.activation = read_activation(config, defaults.activation_key, defaults.activation);
  c.tie_embeddings = config.flag("tie_word_embeddings", defaults.tied);
}

Rope rope_of_record(const HfConfig& record, const HfConfig& config, double theta, double partial, ModelConfig& c) {
  Rope rope;
  rope.theta = record.number("rope_theta", theta);
  const std::string type = record.text("rope_type", record.text("type", "default"));
  const double part = record.number("partial_rotary_factor", partial > 0 ? partial : 1);
  if (!(part > 0 && part <= 1)) {
    fail(ErrorKind::kData, "{}: partial_rotary_factor must be in (0, 1], got {}", record.where(), part);
  }
  if (part != 1 && partial == 0 && type != "proportional") {
    fail(ErrorKind::kUnsupported, "{}: partial_rotary_factor {} is not computed for {}", record.where(), part,
         quote(c.architecture));
  }
  rope.dim = static_cast<int64_t>(static_cast<double>(c.head_dim) * part);
  if (type == "default") return rope;
  const int64_t positions = c.max_positions;
  auto original = [&] {
    // A value beside the record counts for more than one inside.
    return config.integer("original_max_position_embeddings",
                          record.integer("original_max_position_embeddings", positions));
  };
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = record.number("factor");
  } else if (type == "dynamic") {
    rope.scaling = RopeScaling::kDynamic;
    rope.factor = record.number("factor");
    rope.original_positions = positions;
    c.max_positions = static_cast<int64_t>(static_cast<double>(positions) * std::max(1.0, rope.factor));
  } else if (type == "llama3") {
    rope.scaling = RopeScaling::kLlama3;
    rope.factor = record.number("factor");
    rope.low_freq_factor = record.number("low_freq_factor");
    rope.high_freq_factor = record.number("high_freq_factor");
    rope.original_positions = original();
  } else if (type == "yarn") {
    rope.scaling = RopeScaling::kYarn;
    rope.original_positions = original();
    rope.factor =
        record.number("factor", static_cast<double>(positions) / static_cast<double>(rope.original_positions));
    rope.beta_fast = record.number("beta_fast", 32);
    rope.beta_slow = record.number("beta_slow", 1);
    rope.truncate = record.flag("truncate", true);
    auto mscale = [&](double m) { return rope.factor <= 1 ? 1.0 : 0.1 * m * std::log(rope.factor) + 1.0; };
    const double top = record.number("mscale", 0);
    const double below = record.number("mscale_all_dim", 0);
    rope.attention_factor =
        record.number("attention_factor", top != 0 && below != 0 ? mscale(top) / mscale(below) : mscale(1));
    const double reach = static_cast<double>(rope.original_positions) * rope.factor;
    if (reach < 1e9) c.max_positions = std::max(positions, static_cast<int64_t>(reach));
  } else if (type == "longrope") {
    rope.scaling = RopeScaling::kLongRope;
    rope.original_positions = original();
    rope.factor =
        record.number("factor", static_cast<double>(positions) / static_cast<double>(rope.original_positions));
    const double usual =
        rope.factor <= 1
            ? 1
            : std::sqrt(1 + std::log(rope.factor) / std::log(static_cast<double>(rope.original_positions)));
    rope.attention_factor = record.number("attention_factor", usual);
    rope.factor = std::max(1.0, rope.factor);
    rope.short_factors = record.numbers("short_factor");
    rope.long_factors = record.numbers("long_factor");
  } else if (type == "proportional") {
    rope.scaling = RopeScaling::kProportional;
    rope.factor = record.number("factor", 1);
    rope.pairs = static_cast<int64_t>(part * static_cast<double>(c.head_dim)) / 2;
    rope.dim = c.head_dim;
  } else {
    fail(ErrorKind::kUnsupported,
         "{}: rope_type {} is not computed; default, linear, dynamic, yarn, longrope, llama3 and proportional are",
         record.where(), quote(type));
  }
  return rope;
}

void read_rope(const HfConfig& config, const HfDefaults& defaults, double partial, ModelConfig& c) {
  const double theta = config.number("rope_theta", defaults.theta);
  if (partial > 0) partial = config.number("partial_rotary_factor", partial);
  const char* key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const Json none = Json::object();
  const HfConfig record(config.has(key) ? config.at(key) : none, config.where() + ": " + key);
  c.rope = rope_of_record(record, config, theta, partial, c);
}

void read_attention_bias(const HfConfig& config, bool fallback, ModelConfig& c) {
  c.qkv_bias = c.out_bias = config.flag("attention_bias", fallback);
}

void read_window(const HfConfig& config, int64_t fallback, bool (*slides)(const HfConfig&, int64_t layer),
                 ModelConfig& c) {
  // A missing key takes the default, null means none.
  const bool given = config.has("sliding_window");
  const bool null = !given && config.has_key("sliding_window");
  c.window = given ? config.integer("sliding_window") : (null ? 0 : fallback);
  c.sliding.clear();
  if (config.has("layer_types")) {
    for (const Json& type : config.at("layer_types")) {
      if (type != "full_attention" && type != "sliding_attention") {
        fail(ErrorKind::kUnsupported, "{}: layer_types has {}; full_attention and sliding_attention are computed",
             config.where(), quote(dump_json(type)));
      }
      c.sliding.push_back(type == "sliding_attention");
    }
  } else if (slides) {
    for (int64_t i = 0; i < c.layers; ++i) c.sliding.push_back(slides(config, i));
  }
  bool any = c.sliding.empty();
  for (const bool slides_here : c.sliding) any = any || slides_here;
  if (!any) c.window = 0;
  if (c.window == 0) c.sliding.clear();
}

}  // namespace merit::nn
