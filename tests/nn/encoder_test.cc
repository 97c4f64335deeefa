#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include "merit/core/error.h"
#include "merit/nn/encoder_model.h"
#include "tests/nn/random_tensor.h"

namespace merit::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kHidden = 32, kFfn = 48, kVocabulary = 40, kPositions = 300;

template <typename Call>
std::string message_of(Call call, ErrorKind kind) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "nothing was thrown";
}

Json small(const std::string& type) {
  return {{"model_type", type},       {"vocab_size", kVocabulary},
          {"hidden_size", kHidden},   {"num_hidden_layers", 3},
          {"num_attention_heads", 4}, {"intermediate_size", kFfn},
          {"type_vocab_size", 2},     {"max_position_embeddings", kPositions}};
}

Json deberta() {
  Json json = small("deberta-v2");
  json.update({{"relative_attention", true},
               {"position_buckets", 8},
               {"share_att_key", true},
               {"norm_rel_ebd", "layer_norm"},
               {"pos_att_type", "p2c|c2p"},
               {"position_biased_input", false}});
  return json;
}

Json modernbert() {
  Json json = small("modernbert");
  json.update({{"local_attention", 16}, {"global_attn_every_n_layers", 2}});
  return json;
}

EncoderConfig config_of(const Json& json) { return encoder_config_from_hf(json, "config.json"); }

// Weights of the shapes the config says; `scale` 0 gives products of zero.
class Weights {
 public:
  Weights(const EncoderConfig& config, at::ScalarType dtype, double scale) : dtype_(dtype), scale_(scale) {
    const auto norm = [&] { return LayerNormWeights{at::ones({kHidden}, dtype), at::zeros({kHidden}, dtype)}; };
    weights_.words = tensor({config.vocab_size, kHidden});
    if (config.learned_positions) {
      weights_.positions = tensor({config.max_positions + config.counted_from_pad + 1, kHidden});
    }
    if (config.segments > 0) weights_.segments = tensor({config.segments, kHidden});
    weights_.embedding_norm = norm();
    if (config.relative_span > 0) weights_.distances = tensor({2 * config.relative_span, kHidden});
    if (config.relative_norm) weights_.distance_norm = norm();
    for (int64_t i = 0; i < config.layers; ++i) {
      EncoderLayer& layer = weights_.layers.emplace_back();
      layer.qkv = linear(kHidden, 3 * kHidden);
      layer.out = linear(kHidden, kHidden);
      layer.attention_norm = norm();
      layer.up = linear(kHidden, config.pre_norm ? 2 * kFfn : kFfn);
      layer.down = linear(kFfn, kHidden);
      layer.mlp_norm = norm();
    }
    if (config.pre_norm) weights_.final_norm = norm();
  }
  EncoderWeights take() { return std::move(weights_); }

 private:
  at::Tensor tensor(std::vector<int64_t> shape) {
    return random_tensor(shape, ++seed_, scale_ == 0 ? 1.0 : scale_, dtype_);
  }
  Linear linear(int64_t in, int64_t out) {
    if (scale_ == 0) return Linear(at::zeros({out, in}, dtype_), at::zeros({out}, dtype_));
    return Linear(tensor({out, in}), tensor({out}));
  }

  at::ScalarType dtype_;
  double scale_;
  uint64_t seed_ = 0;
  EncoderWeights weights_;
};

EncoderModel model_of(const Json& json, at::ScalarType dtype = at::kFloat, double scale = 0.3) {
  EncoderConfig config = config_of(json);
  EncoderWeights weights = Weights(config, dtype, scale).take();
  return EncoderModel(std::move(config), std::move(weights));
}

PathRequest request_of(int64_t length, int32_t seed, int32_t second_from = -1) {
  PathRequest request;
  for (int32_t i = 0; i < length; ++i) {
    request.ids.push_back((i * 7 + seed * 11 + i * i) % static_cast<int32_t>(kVocabulary));
    request.hidden_at.push_back(i);
  }
  request.second_from = second_from;
  return request;
}

TEST(EncoderRead, BitsDoNotKnowTheirNeighbours) {
  for (const Json& json : {small("bert"), small("roberta"), deberta(), modernbert()}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const EncoderModel model = model_of(json, dtype);
      std::vector<PathRequest> requests;
      for (const int64_t length : {1, 5, 16, 33, 150, 290}) {
        requests.push_back(request_of(length, static_cast<int32_t>(length)));
      }
      const auto together = read(model, requests);
      const auto narrow = read(model, requests, {.token_budget = 40});
      for (size_t i = 0; i < requests.size(); ++i) {
        const at::Tensor alone = read(model, std::span(&requests[i], 1))[0].hidden;
        EXPECT_TRUE(at::equal(alone, together[i].hidden)) << json << " " << requests[i].ids.size();
        EXPECT_TRUE(at::equal(alone, narrow[i].hidden)) << json << " " << requests[i].ids.size();
      }
    }
  }
}

TEST(EncoderRead, EqualSequencesAreComputedOnceAndPairsAreNotEqual) {
  const EncoderModel model = model_of(small("bert"));
  const std::vector<PathRequest> requests = {request_of(10, 1), request_of(10, 1, 4), request_of(10, 1)};
  ReadStats stats;
  const auto results = read(model, requests, {}, &stats);
  EXPECT_EQ(stats.tokens_asked, 30);
  EXPECT_EQ(stats.tokens_computed, 20);
  EXPECT_TRUE(at::equal(results[0].hidden, results[2].hidden));
  EXPECT_FALSE(at::equal(results[0].hidden, results[1].hidden));
}

TEST(EncoderRead, OnlyThePositionsAskedForComeBackInTheirOrder) {
  const EncoderModel model = model_of(small("bert"));
  PathRequest request = request_of(9, 2);
  const at::Tensor all = read(model, std::span(&request, 1))[0].hidden;
  request.hidden_at = {7, 0, 7};
  const at::Tensor some = read(model, std::span(&request, 1))[0].hidden;
  EXPECT_TRUE(at::equal(some, at::cat({all.slice(0, 7, 8), all.slice(0, 0, 1), all.slice(0, 7, 8)})));
  request.hidden_at = {};
  EXPECT_FALSE(read(model, std::span(&request, 1))[0].hidden.defined());
}

// With products of zero a block of BERT changes nothing but for the norms, which leave a normalised row as it is: the
// states are the norm of the sum of the three embeddings.
TEST(EncoderModel, EmbeddingsAreTokenPlusPositionPlusSegment) {
  const EncoderModel model = model_of(small("bert"), at::kDouble, 0);
  const EncoderWeights& w = model.weights();
  const std::vector<EncoderInput> inputs = {{{3, 9, 9}, 2}};
  const at::Tensor got = model.forward(inputs);
  const int64_t ids[] = {3, 9, 9}, segments[] = {0, 0, 1};
  for (int64_t i = 0; i < 3; ++i) {
    const at::Tensor sum = w.words[ids[i]].add(w.positions[i]).add(w.segments[segments[i]]);
    const at::Tensor centred = sum.sub(sum.mean());
    const at::Tensor expected = centred.div(centred.square().mean().sqrt());
    EXPECT_LT(got[i].sub(expected).abs().max().item<double>(), 1e-9) << i;
  }
}

// transformers numbers the tokens of RoBERTa from pad_token_id + 1, passes over pad tokens, and puts those at
// pad_token_id.
TEST(EncoderModel, RobertaCountsPositionsPastItsPadTokens) {
  Json json = small("roberta");
  json["pad_token_id"] = 4;
  const EncoderModel model = model_of(json, at::kDouble, 0);
  EXPECT_EQ(model.config().max_positions, kPositions - 5);
  const EncoderWeights& w = model.weights();
  const at::Tensor got = model.forward(std::vector<EncoderInput>{{{8, 4, 8}, -1}});
  const int64_t ids[] = {8, 4, 8}, positions[] = {5, 4, 6};
  for (int64_t i = 0; i < 3; ++i) {
    const at::Tensor sum = w.words[ids[i]].add(w.positions[positions[i]]).add(w.segments[0]);
    const at::Tensor centred = sum.sub(sum.mean());
    EXPECT_LT(got[i].sub(centred.div(centred.square().mean().sqrt())).abs().max().item<double>(), 1e-9) << i;
  }
}

// A token outside every window changes nothing in a model of windowed layers alone, one inside does.
TEST(EncoderModel, WindowsEndWhereTheyShould) {
  Json json = modernbert();
  json["num_hidden_layers"] = 1;
  json["layer_types"] = {"sliding_attention"};
  const EncoderModel model = model_of(json);
  EXPECT_THAT(model.config().windows, ElementsAre(8));
  EncoderInput input{request_of(200, 3).ids, -1};
  const at::Tensor before = model.forward(std::vector{input});
  input.ids[140] = (input.ids[140] + 1) % kVocabulary;
  const at::Tensor after = model.forward(std::vector{input});
  for (const int64_t place : {131, 149}) EXPECT_TRUE(at::equal(before[place], after[place])) << place;
  for (const int64_t place : {132, 140, 148}) EXPECT_FALSE(at::equal(before[place], after[place])) << place;
}

TEST(EncoderRead, WhatAnEncoderCannotReadIsRefused) {
  const EncoderModel model = model_of(small("bert"));
  const auto refusal = [&](PathRequest request, ErrorKind kind = ErrorKind::kData) {
    return message_of([&] { read(model, std::span(&request, 1)); }, kind);
  };
  PathRequest request = request_of(5, 1);
  request.logps_from = 1;
  EXPECT_THAT(refusal(request, ErrorKind::kUnsupported), HasSubstr("an encoder gives no log-probabilities"));
  request = request_of(5, 1);
  request.hidden_at = {5};
  EXPECT_THAT(refusal(request), HasSubstr("hidden_at 5"));
  EXPECT_THAT(refusal({}), HasSubstr("empty sequence"));
  EXPECT_THAT(refusal(request_of(kPositions + 1, 1)), HasSubstr("301 tokens, the model has 300 positions"));
  request = request_of(5, 1);
  request.ids[2] = kVocabulary;
  EXPECT_THAT(refusal(request), HasSubstr("id 40 is outside the vocabulary of 40"));
  Json json = small("roberta");
  json["type_vocab_size"] = 1;
  const EncoderModel one_type = model_of(json);
  request = request_of(5, 1, 3);
  EXPECT_THAT(message_of([&] { read(one_type, std::span(&request, 1)); }, ErrorKind::kData),
              HasSubstr("one token type"));
}

TEST(EncoderConfig, DefaultsAreThoseOfTransformers) {
  const EncoderConfig bert = config_of(small("bert"));
  EXPECT_EQ(bert.norm_eps, 1e-12);
  EXPECT_EQ(bert.counted_from_pad, -1);
  EXPECT_EQ(bert.activation, DenseActivation::kGelu);
  const EncoderConfig roberta = config_of(small("roberta"));
  EXPECT_EQ(roberta.counted_from_pad, 1);
  EXPECT_EQ(roberta.max_positions, kPositions - 2);
  const EncoderConfig modern = config_of(small("modernbert"));
  EXPECT_EQ(modern.segments, 0);
  EXPECT_THAT(modern.windows, ElementsAre(0, 64, 64));
  EXPECT_THAT(modern.rope_theta, ElementsAre(160000, 10000, 10000));
  EXPECT_FALSE(modern.attention_bias);
  const EncoderConfig v3 = config_of(deberta());
  EXPECT_EQ(v3.relative_span, 8);
  EXPECT_EQ(v3.relative_max, kPositions);
  EXPECT_TRUE(v3.content_to_position && v3.position_to_content && v3.relative_norm && v3.relative_shared);
}

TEST(EncoderConfig, SettingsThatAreNotComputedAreRefusedByName) {
  const auto refusal = [](Json json, const Json& change, ErrorKind kind) {
    json.update(change);
    return message_of([&] { config_of(json); }, kind);
  };
  EXPECT_THAT(refusal(small("distilbert"), Json::object(), ErrorKind::kUnsupported), HasSubstr("\"distilbert\""));
  EXPECT_THAT(refusal(small("bert"), {{"hidden_act", "mish"}}, ErrorKind::kUnsupported), HasSubstr("\"mish\""));
  EXPECT_THAT(refusal(small("bert"), {{"position_embedding_type", "relative_key"}}, ErrorKind::kUnsupported),
              HasSubstr("relative_key"));
  EXPECT_THAT(refusal(small("bert"), {{"is_decoder", true}}, ErrorKind::kUnsupported), HasSubstr("is_decoder"));
  EXPECT_THAT(refusal(deberta(), {{"conv_kernel_size", 3}}, ErrorKind::kUnsupported), HasSubstr("conv_kernel_size"));
  EXPECT_THAT(refusal(deberta(), {{"pos_att_type", "p2p"}}, ErrorKind::kUnsupported), HasSubstr("pos_att_type"));
  EXPECT_THAT(refusal(deberta(), {{"relative_attention", false}}, ErrorKind::kUnsupported), HasSubstr("relative"));
  EXPECT_THAT(refusal(modernbert(), {{"layer_types", {"full_attention"}}}, ErrorKind::kData), HasSubstr("layer_types"));
  EXPECT_THAT(refusal(small("bert"), {{"hidden_size", 33}}, ErrorKind::kData), HasSubstr("divisor of hidden_size"));
  EXPECT_THAT(refusal(small("bert"), {{"hidden_size", 0}}, ErrorKind::kData), HasSubstr("hidden_size"));
  EXPECT_THAT(refusal(small("bert"), {{"vocab_size", "many"}}, ErrorKind::kData), HasSubstr("vocab_size"));
  EXPECT_THAT(refusal(small("roberta"), {{"max_position_embeddings", 2}}, ErrorKind::kData), HasSubstr("pad_token_id"));
}

}  // namespace
}  // namespace merit::nn
