#include "merit/nn/architectures.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "merit/core/error.h"
#include "merit/nn/feed_forward.h"

namespace merit::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Json config_of(const std::string& type) {
  return Json{{"model_type", type},
              {"vocab_size", 100},
              {"hidden_size", 32},
              {"num_hidden_layers", 4},
              {"num_attention_heads", 4},
              {"num_key_value_heads", 2},
              {"head_dim", 8},
              {"intermediate_size", 64},
              {"max_position_embeddings", 128},
              {"num_local_experts", 4},
              {"num_experts", 4},
              {"num_experts_per_tok", 2},
              {"moe_intermediate_size", 24}};
}

ModelConfig read(Json json, const Json& more = Json::object()) {
  for (const auto& [key, value] : more.items()) json[key] = value;
  if (json["model_type"] != "mixtral" && json["model_type"] != "qwen3_moe") {
    for (const char* key : {"num_local_experts", "num_experts", "num_experts_per_tok", "moe_intermediate_size"})
      json.erase(key);
  }
  json.erase(json["model_type"] == "mixtral" ? "num_experts" : "num_local_experts");
  return config_from_hf(json, "config.json");
}

std::vector<bool> sliding(const ModelConfig& c) {
  std::vector<bool> out;
  for (int64_t i = 0; i < c.layers; ++i) out.push_back(c.is_sliding(i));
  return out;
}

TEST(Architectures, EveryTableNamesAPieceOnceAndEveryNameOnce) {
  for (const Architecture& row : architectures()) {
    for (const auto& table : {row.hf_names, row.gguf_names}) {
      std::set<std::string_view> names;
      for (const WeightName& name : table) EXPECT_TRUE(names.insert(name.pattern).second) << name.pattern;
    }
    EXPECT_TRUE(row.gguf.empty() || row.read_gguf != nullptr) << row.model_type;
  }
}

TEST(Architectures, MissingKeysTakeTheClassesDefaultsAndNullMeansNone) {
  EXPECT_EQ(read(config_of("mistral")).window, 4096);
  EXPECT_EQ(read(config_of("mistral"), {{"sliding_window", nullptr}}).window, 0);
  EXPECT_EQ(read(config_of("mixtral")).rope.theta, 1e6);
  EXPECT_EQ(read(config_of("gemma2")).logit_softcap, 30);
  EXPECT_EQ(read(config_of("gemma2")).attention_softcap, 50);
  EXPECT_EQ(read(config_of("gemma2"), {{"attn_logit_softcapping", nullptr}}).attention_softcap, 0);
  EXPECT_EQ(read(config_of("gemma2")).score_scale(), 1.0 / 16);  // query_pre_attn_scalar 256
  EXPECT_TRUE(read(config_of("gemma2")).tie_embeddings);
  EXPECT_EQ(read(config_of("gpt_neox")).rope.dim, 2);  // a quarter of 8
}

TEST(Architectures, WindowsOfLayers) {
  EXPECT_THAT(sliding(read(config_of("gemma2"), {{"sliding_window", 8}})), ElementsAre(true, false, true, false));
  EXPECT_THAT(sliding(read(config_of("gemma3_text"), {{"sliding_window", 8}, {"sliding_window_pattern", 3}})),
              ElementsAre(true, true, false, true));
  const Json qwen = {{"use_sliding_window", true}, {"sliding_window", 8}, {"max_window_layers", 3}};
  EXPECT_THAT(sliding(read(config_of("qwen2"), qwen)), ElementsAre(false, false, false, true));
  EXPECT_EQ(read(config_of("qwen2"), {{"sliding_window", 8}}).window, 0);  // not used
  EXPECT_THAT(
      [] {
        read(config_of("gemma2"), {{"layer_types", {"chunked_attention"}}});
      },
      ThrowsMessage<Error>(HasSubstr("chunked_attention")));
}

TEST(Architectures, Gemma3TurnsSlidingLayersByTheirOwnBase) {
  const ModelConfig c = read(
      config_of("gemma3_text"),
      {{"rope_theta", 5e5}, {"rope_local_base_freq", 777.0}, {"rope_scaling", {{"type", "linear"}, {"factor", 8.0}}}});
  EXPECT_EQ(c.rope.theta, 5e5);
  EXPECT_EQ(c.rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(c.local_rope->theta, 777);
  EXPECT_EQ(c.local_rope->scaling, RopeScaling::kNone);
  EXPECT_EQ(&c.rope_of(0), &*c.local_rope);
}

TEST(Architectures, ScalingMayExtendThePositions) {
  const Json dynamic = {{"rope_scaling", {{"type", "dynamic"}, {"factor", 2.5}}}};
  EXPECT_EQ(read(config_of("llama"), dynamic).max_positions, 320);
  const Json yarn = {{"rope_scaling", {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 128}}}};
  EXPECT_EQ(read(config_of("qwen2"), yarn).max_positions, 512);
  EXPECT_NEAR(read(config_of("qwen2"), yarn).rope.attention_factor, 1.138629, 1e-6);  // 1 + ln(4) / 10
}

TEST(Architectures, RefusesWhatHasAnEffectElsewhere) {
  auto refuses = [](const std::string& type, const std::string& key, const Json& value) {
    EXPECT_THAT([&] { read(config_of(type), {{key, value}}); }, ThrowsMessage<Error>(HasSubstr(key))) << type;
  };
  refuses("llama", "query_pre_attn_scalar", 64);
  refuses("mistral", "attention_bias", true);
  refuses("qwen2", "residual_multiplier", 0.5);
  refuses("gemma3_text", "use_bidirectional_attention", true);
  refuses("gemma3_text", "attn_logit_softcapping", 50.0);  // the reference's class does not apply it
}

TEST(Architectures, SparseLayers) {
  const ModelConfig c = read(config_of("qwen3_moe"), {{"decoder_sparse_step", 2}, {"mlp_only_layers", {3}}});
  EXPECT_FALSE(c.is_sparse(0));
  EXPECT_TRUE(c.is_sparse(1));
  EXPECT_FALSE(c.is_sparse(3));
  EXPECT_FALSE(c.experts_normalised);
  // Attention: 32 (2 * 32 + 2 * 16) + 2 * 32 of norms; a sparse layer: 32 (2 * 24 * 3 + 4), a dense one 32 * 3 * 64.
  EXPECT_EQ(c.non_embedding_parameters(), 4 * (3072 + 64) + 32 * 148 + 3 * 6144 + 32);
}

TEST(Experts, TheLikeliestInOrderOfTheirNumbers) {
  const std::vector<double> logits = {std::log(1), std::log(4), std::log(2), std::log(3)};
  auto choices = choose_experts(logits, 2, true);
  ASSERT_EQ(choices.size(), 2u);
  EXPECT_EQ(choices[0].expert, 1);
  EXPECT_NEAR(choices[0].weight, 4.0 / 7, 1e-15);
  EXPECT_EQ(choices[1].expert, 3);
  EXPECT_NEAR(choose_experts(logits, 2, false)[1].weight, 3.0 / 10, 1e-15);
  EXPECT_EQ(choose_experts(std::vector<double>{5, 5, 5}, 1, true)[0].expert, 0);  // of equals, the first
}

}  // namespace
}  // namespace merit::nn
