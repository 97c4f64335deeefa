// Reading a config.json: typed values that know which of them were read, so that a setting with an effect that nobody
// read is refused by name.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "merit/core/json.h"
#include "merit/nn/config.h"

namespace merit::nn {

// A view of one object; not thread-safe. Missing and null are the same. Getters raise Error(kData) that names the key.
class HfConfig {
 public:
  HfConfig(const Json& object, std::string where);  // Error(kData) if it is no object

  const std::string& where() const { return where_; }
  bool has(const std::string& key) const;                                     // there and not null; counts as read
  bool has_key(const std::string& key) const { return json_.contains(key); }  // there, null perhaps
  const Json& at(const std::string& key) const;
  int64_t integer(const std::string& key) const;
  int64_t integer(const std::string& key, int64_t fallback) const;
  double number(const std::string& key) const;
  double number(const std::string& key, double fallback) const;
  bool flag(const std::string& key, bool fallback) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  std::vector<int32_t> ids(const std::string& key) const;  // of tokens: one, a list, or none
  std::vector<double> numbers(const std::string& key) const;

  // Refuses, as Error(kUnsupported) that names it, a setting of the wider family that changes what is computed, stands
  // here with a value that has an effect, and was not read.
  void refuse_unread() const;

 private:
  const Json& json_;
  std::string where_;
  mutable std::set<std::string> read_;
};

// ---- What mappings of architectures are made of. Each reads the keys it says.

// What a class of transformers assumes where a key is missing.
struct HfDefaults {
  double norm_eps = 1e-6;
  double theta = 10000.0;
  int64_t max_positions = 2048;
  bool tied = false;
  const char* activation_key = "hidden_act";
  const char* activation = "silu";
};

// vocab_size, hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim, intermediate_size,
// max_position_embeddings, rms_norm_eps, the activation, tie_word_embeddings.
void read_sizes(const HfConfig& config, const HfDefaults& defaults, ModelConfig& c);
// "silu", "gelu", "gelu_pytorch_tanh" and their other names. Error(kUnsupported) for the rest.
Activation read_activation(const HfConfig& config, const std::string& key, const std::string& fallback);
// rope_parameters (transformers 5), or rope_scaling beside rope_theta (before it). `partial` is the part of a head that
// turns where the file does not say, 0: this architecture always turns whole heads.
void read_rope(const HfConfig& config, const HfDefaults& defaults, double partial, ModelConfig& c);
// One record of rotary settings for heads of c; may raise c.max_positions to what the scaling makes of it.
Rope rope_of_record(const HfConfig& record, const HfConfig& config, double theta, double partial, ModelConfig& c);
// attention_bias: on the query, key, value and output projections.
void read_attention_bias(const HfConfig& config, bool fallback, ModelConfig& c);
// sliding_window (of `fallback` tokens if missing, 0: none) and layer_types; `slides` says which layers slide where the
// file does not name their types, null: all.
void read_window(const HfConfig& config, int64_t fallback, bool (*slides)(const HfConfig&, int64_t layer),
                 ModelConfig& c);

}  // namespace merit::nn
