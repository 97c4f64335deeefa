#include "merit/nn/sampler.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "merit/core/error.h"
#include "merit/core/rng.h"

namespace merit::nn {
namespace {

// The distribution by its definition: a full sort, everything in double.
std::vector<double> exact(const std::vector<float>& logits, const SamplingParams& params) {
  const size_t n = logits.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  std::vector<double> p(n);
  for (size_t i = 0; i < n; ++i) p[i] = std::exp((double(logits[i]) - double(logits[order[0]])) / params.temperature);
  size_t kept = n;
  if (params.top_k > 0 && size_t(params.top_k) < n) {
    kept = size_t(params.top_k);
    while (kept < n && logits[order[kept]] == logits[order[kept - 1]]) ++kept;
  }
  if (params.top_p < 1) {
    double total = 0, mass = 0;
    for (size_t r = 0; r < kept; ++r) total += p[order[r]];
    size_t nucleus = 0;
    while (nucleus < kept && mass < params.top_p * total) mass += p[order[nucleus++]];
    kept = nucleus;
  }
  while (kept > 1 && p[order[kept - 1]] < params.min_p * p[order[0]]) --kept;
  std::vector<double> out(n, 0.0);
  double total = 0;
  for (size_t r = 0; r < kept; ++r) total += p[order[r]];
  for (size_t r = 0; r < kept; ++r) out[order[r]] = p[order[r]] / total;
  return out;
}

std::vector<float> random_logits(size_t n, uint64_t seed, double scale) {
  Rng rng(seed);
  std::vector<float> logits(n);
  for (float& z : logits) z = static_cast<float>(scale * rng.normal());
  return logits;
}

// Pearson's statistic against p, as a standard normal deviate (Wilson and Hilferty 1931). Cells expected under 5 times
// are pooled.
double chi_square_deviate(const std::vector<int64_t>& counts, const std::vector<double>& p, int64_t draws) {
  double statistic = 0, pooled_expected = 0, pooled_count = 0;
  int cells = 0;
  const auto add = [&](double count, double expected) {
    statistic += (count - expected) * (count - expected) / expected;
    ++cells;
  };
  for (size_t i = 0; i < p.size(); ++i) {
    const double expected = p[i] * static_cast<double>(draws);
    if (expected >= 5) {
      add(static_cast<double>(counts[i]), expected);
    } else {
      pooled_expected += expected;
      pooled_count += static_cast<double>(counts[i]);
    }
  }
  if (pooled_expected > 0) add(pooled_count, pooled_expected);
  if (cells < 2) return 0;
  const double k = cells - 1, a = 2.0 / (9.0 * k);
  return (std::cbrt(statistic / k) - (1 - a)) / std::sqrt(a);
}

struct Case {
  double temperature;
  int64_t top_k;
  double top_p;
  double min_p;
};

std::vector<Case> every_combination() {
  std::vector<Case> cases;
  for (const double temperature : {0.6, 1.0, 1.7}) {
    for (const int64_t top_k : {0, 1, 12}) {
      for (const double top_p : {1.0, 0.83}) {
        for (const double min_p : {0.0, 0.07}) cases.push_back({temperature, top_k, top_p, min_p});
      }
    }
  }
  return cases;
}

SamplingParams params_of(const Case& c) {
  SamplingParams params;
  params.temperature = c.temperature;
  params.top_k = c.top_k;
  params.top_p = c.top_p;
  params.min_p = c.min_p;
  return params;
}

TEST(Sampler, EveryFilterAndCombinationMatchesExactProbabilities) {
  constexpr int64_t kDraws = 4000;
  const std::vector<float> logits = random_logits(300, 5, 2.0);  // two blocks of the inverse CDF
  uint64_t stream = 0;
  for (const Case& c : every_combination()) {
    const SamplingParams params = params_of(c);
    const std::vector<double> p = exact(logits, params);
    Sampler sampler(params);
    const Philox philox(17, stream++);
    std::vector<int64_t> counts(logits.size());
    for (int64_t i = 0; i < kDraws; ++i) {
      const Draw draw = sampler.draw(logits, philox.uniform(static_cast<uint64_t>(i)));
      ASSERT_GT(p[static_cast<size_t>(draw.id)], 0) << "a token that was filtered out was drawn: " << draw.id;
      ASSERT_NEAR(draw.sampling_logp, std::log(p[static_cast<size_t>(draw.id)]), 1e-5);
      ++counts[static_cast<size_t>(draw.id)];
    }
    // 36 cases, a fixed seed; a deviate of 4 is one in 30,000.
    EXPECT_LT(chi_square_deviate(counts, p, kDraws), 4.0)
        << "temperature " << c.temperature << " top_k " << c.top_k << " top_p " << c.top_p << " min_p " << c.min_p;
  }
}

TEST(Sampler, TheChiSquareTestCanFail) {
  // Draws at temperature 1 against the probabilities of temperature 1.1.
  const std::vector<float> logits = random_logits(600, 5, 2.0);
  SamplingParams other;
  other.temperature = 1.1;
  Sampler sampler(SamplingParams{});
  const Philox philox(17, 0);
  std::vector<int64_t> counts(logits.size());
  for (uint64_t i = 0; i < 20000; ++i) ++counts[static_cast<size_t>(sampler.draw(logits, philox.uniform(i)).id)];
  EXPECT_GT(chi_square_deviate(counts, exact(logits, other), 20000), 6.0);
}

TEST(Sampler, SupportIsExactOnLargeVocabularies) {
  // The partial selection against a full sort, at every shape of row: the set of tokens that some uniform can draw.
  for (const double scale : {0.01, 1.0, 4.0, 30.0}) {
    const std::vector<float> logits = random_logits(5000, 9, scale);
    for (const Case& c :
         std::vector<Case>{{1, 50, 1, 0}, {0.7, 500, 0.9, 0}, {1, 0, 0.5, 0}, {1, 0, 0.95, 0.02}, {2, 0, 1, 0.3}}) {
      const SamplingParams params = params_of(c);
      const std::vector<double> p = exact(logits, params);
      Sampler sampler(params);
      double cdf = 0;
      int64_t tried = 0;
      for (size_t id = 0; id < p.size(); ++id) {
        if (p[id] == 0) continue;
        const double middle = cdf + p[id] / 2;
        cdf += p[id];
        if (p[id] < 1e-2 && ++tried % 97 != 0) continue;  // of many, some
        if (p[id] < 1e-6) continue;                       // narrower than the rounding of float32 weights
        ASSERT_EQ(sampler.draw(logits, middle).id, static_cast<int32_t>(id))
            << "scale " << scale << " top_k " << c.top_k;
      }
    }
  }
}

TEST(Sampler, InverseCdfRunsInTheOrderOfIds) {
  // p = 1/4, 1/2, 1/4.
  const std::vector<float> logits = {0, std::log(2.0f), 0};
  Sampler sampler(SamplingParams{});
  EXPECT_EQ(sampler.draw(logits, 0.0).id, 0);
  EXPECT_EQ(sampler.draw(logits, 0.249).id, 0);
  EXPECT_EQ(sampler.draw(logits, 0.251).id, 1);
  EXPECT_EQ(sampler.draw(logits, 0.749).id, 1);
  EXPECT_EQ(sampler.draw(logits, 0.751).id, 2);
  EXPECT_EQ(sampler.draw(logits, 1.0 - 0x1p-53).id, 2);
  EXPECT_NEAR(sampler.draw(logits, 0.5).logp, std::log(0.5), 1e-6);
}

TEST(Sampler, LogProbIsTheModelsNotTheFilters) {
  // p = 1/2, 1/4, 1/8, 1/8; top-k 2 leaves 2/3 and 1/3.
  const std::vector<float> logits = {std::log(4.0f), std::log(2.0f), 0, 0};
  SamplingParams params;
  params.top_k = 2;
  params.temperature = 1;
  const Draw draw = Sampler(params).draw(logits, 0.9);
  EXPECT_EQ(draw.id, 1);
  EXPECT_NEAR(draw.logp, std::log(0.25), 1e-6);
  EXPECT_NEAR(draw.sampling_logp, std::log(1.0 / 3.0), 1e-6);
}

TEST(Sampler, TopPTakesItsShareOfWhatTopKLeft) {
  // p = .4 .3 .2 .1. top-k 2 leaves 4/7 and 3/7; top-p 0.55 of that is the first alone. Of the whole it would be two.
  const std::vector<float> logits = {std::log(4.0f), std::log(3.0f), std::log(2.0f), 0};
  SamplingParams params;
  params.top_p = 0.55;
  EXPECT_EQ(Sampler(params).draw(logits, 0.99).id, 1);
  params.top_k = 2;
  EXPECT_EQ(Sampler(params).draw(logits, 0.99).id, 0);
}

TEST(Sampler, MinPComesAfterTopP) {
  // p = .5 .3 .1 .1: top-p 0.6 leaves .5 and .3, min-p 0.5 keeps both. Were min-p first, .5/.8 would be mass enough.
  const std::vector<float> logits = {std::log(5.0f), std::log(3.0f), 0, 0};
  SamplingParams params;
  params.top_p = 0.6;
  params.min_p = 0.5;
  EXPECT_EQ(Sampler(params).draw(logits, 0.99).id, 1);
}

TEST(Sampler, TiesAtTheKthPlaceStayAndTiesInTheNucleusGoByLowestId) {
  const std::vector<float> logits = {0, 1, 1, 1, 0};
  SamplingParams params;
  params.top_k = 2;
  EXPECT_EQ(Sampler(params).draw(logits, 0.99).id, 3);
  params.top_k = 0;
  params.top_p = 0.5;  // each 1 has mass e / (3 e + 2) = 0.268: two of them reach a half
  EXPECT_EQ(Sampler(params).draw(logits, 0.99).id, 2);
}

TEST(Sampler, TemperatureZeroIsGreedyAndTakesTheLowestIdOfATie) {
  SamplingParams params;
  params.temperature = 0;
  params.top_p = 0.1;
  const std::vector<float> logits = {0, 2, 2, 1};
  for (const double u : {0.0, 0.5, 0.999}) {
    const Draw draw = Sampler(params).draw(logits, u);
    EXPECT_EQ(draw.id, 1);
    EXPECT_EQ(draw.sampling_logp, 0);
    EXPECT_NEAR(draw.logp, 2 - std::log(1 + 2 * std::exp(2.0) + std::exp(1.0)), 1e-6);
  }
}

TEST(Sampler, NeverDrawsAMaskedToken) {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> logits(700, -inf);
  logits[300] = -5;
  for (const Case& c : std::vector<Case>{{1, 0, 1, 0}, {1, 0, 0.9, 0}, {1, 50, 1, 0}, {1, 0, 1, 0.1}, {0, 0, 1, 0}}) {
    for (const double u : {0.0, 0.5, 1.0 - 0x1p-53}) EXPECT_EQ(Sampler(params_of(c)).draw(logits, u).id, 300);
  }
}

TEST(Sampler, DoubleRowsFollowTheSameRules) {
  const std::vector<double> logits = {std::log(4.0), std::log(2.0), 0, 0};
  SamplingParams params;
  params.top_k = 2;
  const Draw draw = Sampler(params).draw(std::span<const double>(logits), 0.9);
  EXPECT_EQ(draw.id, 1);
  EXPECT_EQ(draw.logp, static_cast<float>(std::log(0.25)));
}

TEST(Sampler, RefusesNaNAndParametersOutOfRange) {
  const std::vector<float> logits = {0, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_THROW(Sampler(SamplingParams{}).draw(logits, 0.5), Error);
  const auto refused = [](auto&& change, const std::string& text) {
    SamplingParams params;
    change(params);
    try {
      validate(params);
      ADD_FAILURE() << "accepted: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_THAT(error.what(), testing::HasSubstr(text));
    }
  };
  refused([](auto& p) { p.temperature = -1; }, "temperature");
  refused([](auto& p) { p.temperature = std::numeric_limits<double>::quiet_NaN(); }, "temperature");
  refused([](auto& p) { p.top_k = -1; }, "top_k");
  refused([](auto& p) { p.top_p = 0; }, "top_p");
  refused([](auto& p) { p.top_p = 1.01; }, "top_p");
  refused([](auto& p) { p.min_p = -0.1; }, "min_p");
  refused([](auto& p) { p.max_new_tokens = 0; }, "max_new_tokens");
  refused([](auto& p) { p.stop = {""}; }, "stop");
}

TEST(Sampler, StreamsOfAGroupDiffer) {
  std::vector<uint64_t> streams;
  for (uint64_t group = 0; group < 30; ++group) {
    for (uint64_t index = 0; index < 30; ++index) streams.push_back(sequence_stream(group, index));
  }
  std::sort(streams.begin(), streams.end());
  EXPECT_EQ(std::adjacent_find(streams.begin(), streams.end()), streams.end());
}

}  // namespace
}  // namespace merit::nn
