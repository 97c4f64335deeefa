#include "merit/data/id_set.h"

#include <gtest/gtest.h>

#include <string>

namespace merit::data {
namespace {

TEST(IdSet, RemembersTheFirstRowOfAnId) {
  IdSet ids;
  EXPECT_FALSE(ids.contains("a"));
  EXPECT_EQ(ids.insert("a", 1), 0u);
  EXPECT_EQ(ids.insert("b", 2), 0u);
  EXPECT_EQ(ids.insert("a", 3), 1u);
  EXPECT_TRUE(ids.contains("a"));
  EXPECT_FALSE(ids.contains("A"));
  EXPECT_EQ(ids.insert("", 4), 0u);
  EXPECT_TRUE(ids.contains(""));
  EXPECT_EQ(ids.size(), 3u);
}

TEST(IdSet, GrowsWithoutLosingAny) {
  IdSet ids;
  constexpr uint64_t kMany = 100'000;
  for (uint64_t i = 1; i <= kMany; ++i) ASSERT_EQ(ids.insert("row-" + std::to_string(i), i), 0u);
  EXPECT_EQ(ids.size(), kMany);
  for (uint64_t i = 1; i <= kMany; ++i) ASSERT_EQ(ids.insert("row-" + std::to_string(i), kMany + 1), i);
  EXPECT_FALSE(ids.contains("row-100001"));
}

}  // namespace
}  // namespace merit::data
