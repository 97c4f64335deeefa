#include "merit/nn/encoder_config.h"

#include <algorithm>
#include <array>

#include "merit/core/error.h"
#include "merit/core/strings.h"

namespace merit::nn {
namespace {

// Reads one config.json; every error names the file and the key.
class ConfigReader {
 public:
  ConfigReader(const Json& json, const std::string& where) : json_(json), where_(where) {}

  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }
  int64_t size(const char* key, int64_t at_least = 1) const {
    return checked(key, get_int(json_, key, where_), at_least);
  }
  int64_t size_or(const char* key, int64_t fallback, int64_t at_least = 0) const {
    return has(key) ? size(key, at_least) : fallback;
  }
  int64_t integer_or(const char* key, int64_t fallback) const {
    return has(key) ? get_int(json_, key, where_) : fallback;
  }
  double number_or(const char* key, double fallback) const {
    return has(key) ? get_double(json_, key, where_) : fallback;
  }
  bool flag_or(const char* key, bool fallback) const { return has(key) ? get_bool(json_, key, where_) : fallback; }
  std::string text_or(const char* key, const std::string& fallback) const {
    return has(key) ? get_string(json_, key, where_) : fallback;
  }
  const Json& at(const char* key) const { return json_[key]; }

  // Refuses a setting whose effect is not computed.
  [[noreturn]] void unsupported(const char* key, const std::string& expected) const {
    fail(ErrorKind::kUnsupported, "{}: {} {} is not computed; expected {}", where_, key, quote(json_[key].dump()),
         expected);
  }
  [[noreturn]] void wrong(const char* key, const std::string& expected) const {
    fail(ErrorKind::kData, "{}: {}: expected {}, got {}", where_, key, expected, quote(json_[key].dump()));
  }
  const std::string& where() const { return where_; }

 private:
  // The largest that any size of a model may reasonably be; products of two stay far inside int64.
  static constexpr int64_t kLargest = int64_t{1} << 26;

  int64_t checked(const char* key, int64_t value, int64_t at_least) const {
    if (value < at_least || value > kLargest) {
      fail(ErrorKind::kData, "{}: {}: expected {} to {}, got {}", where_, key, at_least, kLargest, value);
    }
    return value;
  }

  const Json& json_;
  const std::string& where_;
};

void read_sizes(const ConfigReader& in, EncoderConfig& out) {
  out.vocab_size = in.size("vocab_size");
  out.hidden_size = in.size("hidden_size", 2);
  out.embedding_size = out.hidden_size;
  out.layers = in.size("num_hidden_layers");
  out.heads = in.size("num_attention_heads");
  out.ffn_size = in.size("intermediate_size", 2);
  out.max_positions = in.size_or("max_position_embeddings", 512, 1);
  if (out.hidden_size % out.heads != 0) in.wrong("num_attention_heads", "a divisor of hidden_size");
}

void read_bert(const ConfigReader& in, EncoderConfig& out) {
  out.segments = in.size_or("type_vocab_size", 2);
  out.norm_eps = in.number_or("layer_norm_eps", 1e-12);
  out.activation = dense_activation(in.text_or("hidden_act", "gelu"), in.where());
  if (in.text_or("position_embedding_type", "absolute") != "absolute") {
    in.unsupported("position_embedding_type", "absolute");
  }
  if (in.flag_or("is_decoder", false)) in.unsupported("is_decoder", "false: an encoder");
}

void read_roberta(const ConfigReader& in, EncoderConfig& out) {
  read_bert(in, out);
  out.norm_eps = in.number_or("layer_norm_eps", 1e-12);
  out.counted_from_pad = in.size_or("pad_token_id", 1);
  out.max_positions -= out.counted_from_pad + 1;
  if (out.max_positions < 1) in.wrong("max_position_embeddings", "more than pad_token_id + 1");
}

void read_deberta(const ConfigReader& in, EncoderConfig& out) {
  out.embedding_size = in.size_or("embedding_size", out.hidden_size, 2);
  out.segments = in.size_or("type_vocab_size", 0);
  out.norm_eps = in.number_or("layer_norm_eps", 1e-7);
  out.activation = dense_activation(in.text_or("hidden_act", "gelu"), in.where());
  out.learned_positions = in.flag_or("position_biased_input", true);
  if (in.size_or("conv_kernel_size", 0) > 0) in.unsupported("conv_kernel_size", "0");
  if (!in.flag_or("relative_attention", false)) {
    fail(ErrorKind::kUnsupported, "{}: a DeBERTa without relative_attention is not computed; expected true",
         in.where());
  }
  out.positions = EncoderPositions::kRelative;
  out.relative_max = in.integer_or("max_relative_positions", -1);
  if (out.relative_max < 1) out.relative_max = out.max_positions;
  const int64_t buckets = in.integer_or("position_buckets", -1);
  out.relative_buckets = buckets > 0;
  out.relative_span = out.relative_buckets ? buckets : out.relative_max;
  if (out.relative_span < 2 || out.relative_span > (1 << 20) || out.relative_max > (1 << 20)) {
    in.wrong("max_relative_positions", "2 to 1048576");
  }
  out.relative_shared = in.flag_or("share_att_key", false);
  const std::string norms = in.text_or("norm_rel_ebd", "none");
  for (const std::string_view part : split(norms, '|')) {
    out.relative_norm = out.relative_norm || trim(part) == "layer_norm";
  }
  if (!in.has("pos_att_type")) return;
  // A list, or in older files "p2c|c2p".
  const Json& kinds = in.at("pos_att_type");
  std::vector<std::string> names;
  if (kinds.is_string()) {
    for (const std::string_view part : split(kinds.get_ref<const std::string&>(), '|')) names.emplace_back(trim(part));
  } else if (kinds.is_array() && std::all_of(kinds.begin(), kinds.end(), [](const Json& k) { return k.is_string(); })) {
    names = kinds.get<std::vector<std::string>>();
  } else {
    in.wrong("pos_att_type", "a list of c2p and p2c");
  }
  for (const std::string& name : names) {
    if (name != "c2p" && name != "p2c") in.unsupported("pos_att_type", "c2p and p2c");
    (name == "c2p" ? out.content_to_position : out.position_to_content) = true;
  }
}

// The theta of the layers of one type. Two spellings: "rope_parameters" by type, and the older flat keys.
double rope_theta(const ConfigReader& in, const char* type, const char* flat_key, double fallback) {
  if (!in.has("rope_parameters")) return in.number_or(flat_key, fallback);
  const Json& all = in.at("rope_parameters");
  if (!all.is_object() || !all.contains(type) || !all[type].is_object())
    in.wrong("rope_parameters", "an object a type");
  const Json& one = all[type];
  if (get_string_or(one, "rope_type", "default", in.where()) != "default") in.unsupported("rope_parameters", "default");
  return get_double_or(one, "rope_theta", fallback, in.where());
}

void read_modernbert(const ConfigReader& in, EncoderConfig& out) {
  out.positions = EncoderPositions::kRotary;
  out.learned_positions = false;
  out.pre_norm = true;
  out.norm_eps = in.number_or("norm_eps", 1e-5);
  out.activation = dense_activation(in.text_or("hidden_activation", "gelu"), in.where());
  out.attention_bias = in.flag_or("attention_bias", false);
  out.mlp_bias = in.flag_or("mlp_bias", false);
  out.norm_bias = in.flag_or("norm_bias", false);
  if (in.has("rope_scaling")) in.unsupported("rope_scaling", "none");
  if (out.head_dim() % 2 != 0) in.wrong("num_attention_heads", "heads of an even size");
  const int64_t window = in.size_or("local_attention", 128) / 2;
  const double full = rope_theta(in, "full_attention", "global_rope_theta", 160'000.0);
  const double local = rope_theta(in, "sliding_attention", "local_rope_theta", 10'000.0);
  const int64_t every = in.size_or("global_attn_every_n_layers", 3, 1);
  const bool listed = in.has("layer_types");
  if (listed && (!in.at("layer_types").is_array() || static_cast<int64_t>(in.at("layer_types").size()) != out.layers)) {
    in.wrong("layer_types", "one name a layer");
  }
  for (int64_t i = 0; i < out.layers; ++i) {
    bool sliding = i % every != 0;
    if (listed) {
      const Json& type = in.at("layer_types")[static_cast<size_t>(i)];
      if (type != "full_attention" && type != "sliding_attention") in.unsupported("layer_types", "full or sliding");
      sliding = type == "sliding_attention";
    }
    out.windows.push_back(sliding ? std::max<int64_t>(window, 1) : 0);
    out.rope_theta.push_back(sliding ? local : full);
  }
}

struct Architecture {
  const char* name;
  void (*read)(const ConfigReader&, EncoderConfig&);
};

constexpr std::array kArchitectures = {
    Architecture{"bert", read_bert},
    Architecture{"roberta", read_roberta},
    Architecture{"xlm-roberta", read_roberta},
    Architecture{"deberta-v2", read_deberta},
    Architecture{"modernbert", read_modernbert},
};

std::string model_type(const Json& config) {
  return config.is_object() && config.contains("model_type") && config["model_type"].is_string()
             ? config["model_type"].get<std::string>()
             : "";
}

}  // namespace

ModelConfig sizes_of(const EncoderConfig& config) {
  ModelConfig out;
  out.architecture = config.architecture;
  out.vocab_size = config.vocab_size;
  out.hidden_size = config.hidden_size;
  out.layers = config.layers;
  out.heads = out.kv_heads = config.heads;
  out.head_dim = config.head_dim();
  out.ffn_size = config.ffn_size;
  out.max_positions = config.max_positions;
  out.gated = config.pre_norm;
  out.tie_embeddings = true;  // there is no vocabulary projection
  return out;
}

std::vector<ProductShape> product_shapes(const EncoderConfig& config) {
  const int64_t hidden = config.hidden_size, ffn = config.ffn_size;
  return {{hidden, 3 * hidden}, {hidden, hidden}, {hidden, config.pre_norm ? 2 * ffn : ffn}, {ffn, hidden}};
}

bool is_encoder_config(const Json& config) {
  const std::string type = model_type(config);
  return std::any_of(kArchitectures.begin(), kArchitectures.end(),
                     [&](const Architecture& a) { return type == a.name; });
}

EncoderConfig encoder_config_from_hf(const Json& config, const std::string& where) {
  const std::string type = model_type(config);
  std::vector<std::string> names;
  for (const Architecture& architecture : kArchitectures) {
    names.emplace_back(architecture.name);
    if (type != architecture.name) continue;
    EncoderConfig out;
    out.architecture = type;
    const ConfigReader in(config, where);
    read_sizes(in, out);
    architecture.read(in, out);
    return out;
  }
  fail(ErrorKind::kUnsupported, "{}: model_type {} is no encoder that is read; expected one of {}", where, quote(type),
       join(names, ", "));
}

}  // namespace merit::nn
