#include "merit/nn/forest.h"

#include <gmock/gmock.h>

#include <set>

#include "slow_model_support.h"

namespace merit::nn {
namespace {

using ::testing::ElementsAre;

std::vector<int32_t> tokens(const Forest& forest, int32_t node) {
  const auto span = forest.tokens_of(node);
  return {span.begin(), span.end()};
}

std::vector<int32_t> path_tokens(const Forest& forest, int32_t path) {
  std::vector<int32_t> ids;
  for (int32_t node : forest.path_nodes(path)) {
    const auto span = forest.tokens_of(node);
    ids.insert(ids.end(), span.begin(), span.end());
  }
  return ids;
}

TEST(Forest, SharedPrefixIsOneNode) {
  ForestBuilder builder;
  builder.add(std::vector<int32_t>{1, 2, 3, 4});
  builder.add(std::vector<int32_t>{1, 2, 5});
  const Forest forest = builder.build();
  ASSERT_EQ(forest.nodes.size(), 3u);
  EXPECT_THAT(tokens(forest, 0), ElementsAre(1, 2));
  EXPECT_THAT(tokens(forest, 1), ElementsAre(3, 4));
  EXPECT_THAT(tokens(forest, 2), ElementsAre(5));
  EXPECT_EQ(forest.nodes[0].parent, -1);
  EXPECT_EQ(forest.nodes[1].parent, 0);
  EXPECT_EQ(forest.nodes[1].depth, 2);
  EXPECT_EQ(forest.nodes[2].depth, 2);
  EXPECT_THAT(forest.leaves, ElementsAre(1, 2));
  EXPECT_THAT(forest.tokens, ElementsAre(1, 2, 3, 4, 5));
}

TEST(Forest, PathThatIsAPrefixEndsAtANode) {
  ForestBuilder builder;
  builder.add(std::vector<int32_t>{7, 8, 9});
  builder.add(std::vector<int32_t>{7});
  const Forest forest = builder.build();
  ASSERT_EQ(forest.nodes.size(), 2u);
  EXPECT_THAT(tokens(forest, 0), ElementsAre(7));
  EXPECT_THAT(forest.leaves, ElementsAre(1, 0));
}

TEST(Forest, EqualPathsShareAllAndDifferentOnesNothing) {
  ForestBuilder builder;
  builder.add(std::vector<int32_t>{4, 4});
  builder.add(std::vector<int32_t>{5, 4});
  builder.add(std::vector<int32_t>{4, 4});
  const Forest forest = builder.build();
  EXPECT_EQ(forest.tokens.size(), 4u);
  EXPECT_THAT(forest.leaves, ElementsAre(0, 1, 0));
  EXPECT_EQ(forest.nodes[1].parent, -1);
}

TEST(Forest, PathsOfDifferentRegimesShareNothing) {
  ForestBuilder builder;
  builder.add(std::vector<int32_t>{1, 2, 3}, {}, 0);
  builder.add(std::vector<int32_t>{1, 2, 3, 4}, {}, 9);
  builder.add(std::vector<int32_t>{1, 2, 5}, {}, 0);
  const Forest forest = builder.build();
  EXPECT_EQ(forest.tokens.size(), 4u + 4u);
  for (int32_t path = 0; path < 3; ++path) {
    for (int32_t node : forest.path_nodes(path)) EXPECT_EQ(forest.nodes[node].regime, path == 1 ? 9 : 0);
  }
  EXPECT_EQ(forest.path_nodes(0)[0], forest.path_nodes(2)[0]);
}

TEST(Forest, CutsChangeNodesAndNotTokens) {
  ForestBuilder builder;
  builder.add(std::vector<int32_t>{1, 2, 3, 4}, std::vector<int32_t>{1, 3});
  const Forest forest = builder.build();
  ASSERT_EQ(forest.nodes.size(), 3u);
  EXPECT_THAT(tokens(forest, 0), ElementsAre(1));
  EXPECT_THAT(tokens(forest, 1), ElementsAre(2, 3));
  EXPECT_THAT(tokens(forest, 2), ElementsAre(4));
  EXPECT_THAT(forest.path_nodes(0), ElementsAre(0, 1, 2));
}

TEST(Forest, RandomTreesKeepEachPathAndEachPrefixOnce) {
  Rng rng(11, 0);
  for (int round = 0; round < 200; ++round) {
    // Three ids only, so that paths meet and part everywhere.
    const auto paths = testing::random_tree(rng, 3, 1 + rng.below(40));
    ForestBuilder builder;
    std::set<std::vector<int32_t>> prefixes;
    for (const auto& path : paths) {
      builder.add(path, testing::random_cuts(rng, path.size()));
      for (size_t n = 1; n <= path.size(); ++n) prefixes.insert({path.begin(), path.begin() + n});
    }
    const Forest forest = builder.build();
    ASSERT_EQ(forest.tokens.size(), prefixes.size());
    for (size_t i = 0; i < paths.size(); ++i) ASSERT_EQ(path_tokens(forest, i), paths[i]);
    for (size_t i = 0; i < forest.nodes.size(); ++i) {
      const ForestNode& node = forest.nodes[i];
      ASSERT_GE(node.length, 1);
      ASSERT_LT(node.parent, static_cast<int32_t>(i));
      if (node.parent < 0) continue;
      ASSERT_EQ(node.depth, forest.nodes[node.parent].depth + forest.nodes[node.parent].length);
    }
  }
}

}  // namespace
}  // namespace merit::nn
