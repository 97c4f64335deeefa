#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/rng.h"
#include "merit/search/estimate.h"
#include "merit/search/pick.h"

namespace merit::search {
namespace {

using testing::ElementsAre;
using V = std::vector<double>;
using Keys = std::vector<std::string>;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(BestOfN, TheLowestIndexAmongEqualsAndTheTieIsCounted) {
  Pick pick = *best_of_n(V{1, 3, 2, 3});
  EXPECT_EQ(pick.index, 1u);
  EXPECT_EQ(pick.weight, 3);
  EXPECT_EQ(pick.tied, 2u);
}

TEST(BestOfN, AbstentionsAreNeverPicked) {
  Pick pick = *best_of_n(V{kNaN, -kInfinity, kNaN});
  EXPECT_EQ(pick.index, 1u);
  EXPECT_EQ(pick.missing, 2u);
  EXPECT_FALSE(best_of_n(V{kNaN, kNaN}));
  EXPECT_FALSE(best_of_n({}));
}

TEST(MajorityVote, TheAnswerSeenFirstWinsATie) {
  Pick pick = *majority_vote(Keys{"", "7", "5", "5", "7"});
  EXPECT_EQ(pick.index, 1u);
  EXPECT_EQ(pick.weight, 2);
  EXPECT_EQ(pick.tied, 2u);
  EXPECT_EQ(pick.missing, 1u);
}

TEST(MajorityVote, NoAnswerHasNoVote) {
  EXPECT_EQ(majority_vote(Keys{"", "", "", "9"})->index, 3u);
  EXPECT_FALSE(majority_vote(Keys{"", ""}));
}

TEST(WeightedMajority, OneHeavyVoteBeatsTwoLight) {
  Pick pick = *weighted_majority(Keys{"a", "b", "a"}, V{0.25, 0.75, 0.25});
  EXPECT_EQ(pick.index, 1u);
  EXPECT_EQ(pick.tied, 1u);
  Pick with_missing = *weighted_majority(Keys{"a", "b", "a"}, V{0.25, kNaN, 0.25});
  EXPECT_EQ(with_missing.index, 0u);
  EXPECT_DOUBLE_EQ(with_missing.weight, 0.5);
  EXPECT_EQ(with_missing.missing, 1u);
}

TEST(WeightedMajority, NegativeWeightsAreRefused) {
  EXPECT_THROW(weighted_majority(Keys{"a"}, V{-0.5}), Error);
  EXPECT_THROW(weighted_majority(Keys{"a"}, V{kInfinity}), Error);
  EXPECT_THROW(weighted_majority(Keys{"a"}, V{}), Error);
}

TEST(PassAtK, ByHand) {
  EXPECT_DOUBLE_EQ(pass_at_k(4, 1, 2), 0.5);  // 1 - C(3,2)/C(4,2) = 1 - 3/6
  EXPECT_DOUBLE_EQ(pass_at_k(5, 2, 3), 0.9);  // 1 - C(3,3)/C(5,3) = 1 - 1/10
  EXPECT_DOUBLE_EQ(pass_at_k(5, 0, 3), 0);
  EXPECT_DOUBLE_EQ(pass_at_k(5, 4, 2), 1);
  EXPECT_THROW(pass_at_k(4, 1, 0), Error);
  EXPECT_THROW(pass_at_k(4, 1, 5), Error);
  EXPECT_THROW(pass_at_k(4, 5, 1), Error);
}

TEST(BestOfK, ByHand) {
  // Scores 3 > 2 > 1, worth 0, 1, 1. k = 1: 2/3. k = 2: of {3,2} {3,1} {2,1} one is worth 1. k = 3: 0.
  V curve = best_of_k(V{3, 2, 1}, V{0, 1, 1});
  EXPECT_NEAR(curve[0], 2.0 / 3, 1e-14);
  EXPECT_NEAR(curve[1], 1.0 / 3, 1e-14);
  EXPECT_NEAR(curve[2], 0, 1e-14);
}

TEST(BestOfK, AConstantScorerIsARandomPickForEveryK) {
  for (double v : best_of_k(V{1, 1, 1, 1}, V{1, 0, 0, 0})) EXPECT_NEAR(v, 0.25, 1e-14);
  for (double v : best_of_k(V{kNaN, kNaN, kNaN, kNaN}, V{1, 0, 0, 0})) EXPECT_NEAR(v, 0.25, 1e-14);
  EXPECT_TRUE(best_of_k({}, {}).empty());
  EXPECT_THROW(best_of_k(V{1}, {}), Error);
}

// What `rule` gives, averaged over all subsets of every size.
template <typename Rule>
V by_enumeration(size_t n, Rule rule) {
  V sum(n, 0.0), count(n, 0.0);
  for (uint32_t subset = 1; subset < 1u << n; ++subset) {
    std::vector<size_t> members;
    for (size_t i = 0; i < n; ++i) {
      if (subset >> i & 1) members.push_back(i);
    }
    sum[members.size() - 1] += rule(members);
    count[members.size() - 1] += 1;
  }
  for (size_t k = 0; k < n; ++k) sum[k] /= count[k];
  return sum;
}

TEST(BestOfK, EqualsEnumerationOfAllSubsets) {
  Rng rng(1);
  for (int round = 0; round < 40; ++round) {
    size_t n = 1 + rng.below(9);
    V scores, values;
    for (size_t i = 0; i < n; ++i) {
      scores.push_back(rng.below(6) == 0 ? kNaN : static_cast<double>(rng.below(4)));
      values.push_back(static_cast<double>(rng.below(2)));
    }
    V expected = by_enumeration(n, [&](const std::vector<size_t>& members) {
      double best = -kInfinity, sum = 0, tied = 0;
      for (size_t i : members) best = std::max(best, std::isnan(scores[i]) ? -1.0 : scores[i]);
      for (size_t i : members) {
        if ((std::isnan(scores[i]) ? -1.0 : scores[i]) == best) sum += values[i], ++tied;
      }
      return sum / tied;
    });
    V actual = best_of_k(scores, values);
    for (size_t k = 0; k < n; ++k) EXPECT_NEAR(actual[k], expected[k], 1e-12);
  }
}

TEST(MajorityOfK, EqualsEnumerationOfAllSubsets) {
  Rng rng(2);
  for (int round = 0; round < 40; ++round) {
    size_t n = 1 + rng.below(9);
    Keys keys;
    V values;
    for (size_t i = 0; i < n; ++i) {
      uint64_t answer = rng.below(5);
      keys.push_back(answer == 4 ? "" : std::string(1, static_cast<char>('a' + answer)));
      values.push_back(answer == 1 ? 1 : 0);
    }
    V expected = by_enumeration(n, [&](const std::vector<size_t>& members) {
      std::map<std::string, int> votes;
      int most = 0;
      for (size_t i : members) {
        if (!keys[i].empty()) most = std::max(most, ++votes[keys[i]]);
      }
      double tied = 0;
      for (auto& [key, count] : votes) tied += count == most;
      return most > 0 && votes.count("b") && votes["b"] == most ? 1 / tied : 0.0;
    });
    V actual = majority_of_k(keys, values);
    for (size_t k = 0; k < n; ++k) EXPECT_NEAR(actual[k], expected[k], 1e-12) << "k " << k + 1;
  }
}

TEST(MajorityOfK, SaysItsLimitAndStaysFiniteAtIt) {
  Keys keys(512);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = std::to_string(i % 3);
  V values(512, 0.0);
  for (size_t i = 0; i < values.size(); i += 3) values[i] = 1;  // 171 of "0", 171 of "1", 170 of "2"
  V curve = majority_of_k(keys, values);
  EXPECT_NEAR(curve[0], 171.0 / 512, 1e-12);
  EXPECT_NEAR(curve[511], 0.5, 1e-12);  // 171, 171 and 170 votes: two tie, one of them right
  EXPECT_THROW(majority_of_k(Keys(513, "a"), V(513, 0.0)), Error);
}

TEST(OracleOfK, IsPassAtK) {
  V curve = oracle_of_k(V{0, 1, 0, 0, 1});
  for (size_t k = 1; k <= 5; ++k) EXPECT_NEAR(curve[k - 1], pass_at_k(5, 2, k), 1e-14);
}

}  // namespace
}  // namespace merit::search
