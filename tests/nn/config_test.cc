#include "merit/nn/config.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "merit/core/error.h"
#include "merit/nn/weight_names.h"

namespace merit::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Json small() {
  return Json{{"model_type", "llama"},         {"vocab_size", 100},        {"hidden_size", 32},
              {"num_hidden_layers", 2},        {"num_attention_heads", 4}, {"num_key_value_heads", 2},
              {"intermediate_size", 64},       {"rms_norm_eps", 1e-5},     {"rope_theta", 100000.0},
              {"max_position_embeddings", 128}};
}

ModelConfig with(const std::string& key, const Json& value) {
  Json json = small();
  json[key] = value;
  return config_from_hf(json, "config.json");
}

TEST(Config, ReadsALlamaFolder) {
  Json json = small();
  json["tie_word_embeddings"] = true;
  json["eos_token_id"] = {2, 7};
  json["bos_token_id"] = 1;
  const ModelConfig c = config_from_hf(json, "config.json");
  EXPECT_EQ(c.vocab_size, 100);
  EXPECT_EQ(c.head_dim, 8);
  EXPECT_EQ(c.q_size(), 32);
  EXPECT_EQ(c.kv_size(), 16);
  EXPECT_EQ(c.ffn_size, 64);
  EXPECT_EQ(c.max_positions, 128);
  EXPECT_EQ(c.norm_eps, 1e-5);
  EXPECT_EQ(c.rope.theta, 1e5);
  EXPECT_TRUE(c.tie_embeddings);
  EXPECT_EQ(c.bos_id, 1);
  EXPECT_EQ(c.pad_id, -1);
  EXPECT_THAT(c.eos_ids, ElementsAre(2, 7));
  // A layer: 32 x (32 + 16 + 16) + 32 x 32 attention, 3 x 32 x 64 feed-forward, 2 x 32 norms; and the last norm.
  EXPECT_EQ(c.non_embedding_parameters(), 2 * (2048 + 1024 + 6144 + 64) + 32);
}

TEST(Config, DefaultsAreTransformers) {
  Json json = small();
  for (const char* key : {"num_key_value_heads", "rms_norm_eps", "rope_theta", "max_position_embeddings"})
    json.erase(key);
  const ModelConfig c = config_from_hf(json, "config.json");
  EXPECT_EQ(c.kv_heads, 4);
  EXPECT_EQ(c.norm_eps, 1e-6);
  EXPECT_EQ(c.rope.theta, 10000.0);
  EXPECT_EQ(c.max_positions, 2048);
  EXPECT_FALSE(c.tie_embeddings);
}

TEST(Config, BiasesFollowTheArchitecture) {
  EXPECT_FALSE(with("attention_bias", false).qkv_bias);
  EXPECT_TRUE(with("attention_bias", true).qkv_bias);
  EXPECT_TRUE(with("attention_bias", true).out_bias);
  EXPECT_TRUE(with("mlp_bias", true).mlp_bias);
  EXPECT_TRUE(with("model_type", "qwen2").qkv_bias);
  EXPECT_FALSE(with("model_type", "qwen2").out_bias);
}

TEST(Config, RopeInBothSpellings) {
  const Json rope = {{"rope_type", "llama3"},   {"factor", 8.0},          {"low_freq_factor", 1.0},
                     {"high_freq_factor", 4.0}, {"rope_theta", 500000.0}, {"original_max_position_embeddings", 64}};
  const ModelConfig after = with("rope_parameters", rope);
  EXPECT_EQ(after.rope.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(after.rope.theta, 500000.0);
  EXPECT_EQ(after.rope.original_positions, 64);
  const ModelConfig before = with("rope_scaling", {{"type", "linear"}, {"factor", 2.0}});
  EXPECT_EQ(before.rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(before.rope.theta, 100000.0);
  EXPECT_EQ(before.rope.factor, 2.0);
}

TEST(Config, RefusesWhatItDoesNotCompute) {
  auto refuses = [](const std::string& key, const Json& value, const std::string& text) {
    EXPECT_THAT([&] { with(key, value); }, ThrowsMessage<Error>(HasSubstr(text)));
  };
  refuses("model_type", "bloom", "model_type \"bloom\" is not one merit runs (llama, mistral,");
  refuses("hidden_act", "relu2", "hidden_act \"relu2\"");
  refuses("rope_scaling", {{"rope_type", "axial"}, {"factor", 2.0}}, "rope_type \"axial\"");
  refuses("sliding_window", 64, "sliding_window = \"64\"");  // no window in a llama
  refuses("layer_types", {"full_attention", "sliding_attention"}, "layer_types");
  refuses("quantization_config", {{"quant_method", "gptq"}}, "quantization_config");
  refuses("final_logit_softcapping", 30.0, "final_logit_softcapping");
  refuses("partial_rotary_factor", 0.5, "partial_rotary_factor");
}

TEST(Config, SettingsWithoutEffectPass) {
  EXPECT_NO_THROW(with("sliding_window", nullptr));
  EXPECT_NO_THROW(with("sliding_window", 128));  // as long as the positions
  EXPECT_NO_THROW(with("use_sliding_window", false));
  EXPECT_NO_THROW(with("partial_rotary_factor", 1.0));
  EXPECT_NO_THROW(with("quantization_config", nullptr));
  EXPECT_NO_THROW(with("layer_types", {"full_attention", "full_attention"}));
}

TEST(Config, RefusesImpossibleSizes) {
  auto refuses = [](const std::string& key, const Json& value, const std::string& text) {
    EXPECT_THAT([&] { with(key, value); }, ThrowsMessage<Error>(HasSubstr(text)));
  };
  refuses("hidden_size", 0, "the hidden size must be between 1 and");
  refuses("num_attention_heads", 0, "num_attention_heads must be at least 1");
  refuses("num_key_value_heads", 3, "4 heads cannot share 3 key-value heads evenly");
  refuses("num_key_value_heads", 0, "key-value heads must be between 1 and 4");
  refuses("head_dim", 7, "an even part of the head size, got 7 of 7");
  refuses("rms_norm_eps", -1.0, "epsilon");
  refuses("vocab_size", int64_t{1} << 40, "the vocabulary's size must be between");
  refuses("eos_token_id", "x", "eos_token_id must be a token id");
  Json json = small();
  json.erase("hidden_size");
  EXPECT_THAT([&] { config_from_hf(json, "here"); }, ThrowsMessage<Error>(HasSubstr("hidden_size")));
}

TEST(Config, LabelsOnlyOfClassifiers) {
  Json json = small();
  json["id2label"] = {{"0", "LABEL_0"}};
  EXPECT_EQ(config_from_hf(json, "").num_labels, 0);
  json["architectures"] = {"LlamaForSequenceClassification"};
  EXPECT_EQ(config_from_hf(json, "").num_labels, 1);
  json.erase("id2label");
  EXPECT_EQ(config_from_hf(json, "").num_labels, 2);  // transformers' default
}

TEST(Config, WritesWhatItReads) {
  Json json = small();
  json["rope_scaling"] = {{"rope_type", "llama3"},
                          {"factor", 8.0},
                          {"low_freq_factor", 1.0},
                          {"high_freq_factor", 4.0},
                          {"original_max_position_embeddings", 64}};
  json["eos_token_id"] = {2, 7};
  json["mlp_bias"] = true;
  const ModelConfig c = config_from_hf(json, "config.json");
  const OrderedJson written = to_hf_config(c, "bfloat16");
  EXPECT_EQ(written["architectures"], OrderedJson::array({"LlamaForCausalLM"}));
  const ModelConfig again = config_from_hf(Json::parse(written.dump()), "config.json");
  EXPECT_EQ(to_hf_config(again, "bfloat16"), written);
  EXPECT_EQ(again.rope.frequencies(), c.rope.frequencies());
  EXPECT_EQ(again.eos_ids, c.eos_ids);
  EXPECT_TRUE(again.mlp_bias);
  ModelConfig classifier = c;
  classifier.num_labels = 1;
  const OrderedJson head = to_hf_config(classifier, "float32");
  EXPECT_EQ(head["architectures"], OrderedJson::array({"LlamaForSequenceClassification"}));
  EXPECT_EQ(head["pad_token_id"], 2);
  EXPECT_EQ(config_from_hf(Json::parse(head.dump()), "").num_labels, 1);
}

}  // namespace
}  // namespace merit::nn
