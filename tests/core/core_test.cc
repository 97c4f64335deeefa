#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/hash.h"
#include "merit/core/json.h"
#include "merit/core/result.h"
#include "merit/core/rng.h"
#include "merit/core/strings.h"

namespace merit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename F>
Error error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e;
  }
  return Error(ErrorKind::kUsage, "no error was thrown");
}

TEST(Quote, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(quote("a\"b\\c\n\x1b[2J"), "\"a\\\"b\\\\c\\n\\x1b[2J\"");
  EXPECT_EQ(quote("caf\xc3\xa9 \xff"), "\"caf\xc3\xa9 \\xff\"");
  EXPECT_EQ(quote("\xc2\x9b"), "\"\\u009b\"");
  EXPECT_EQ(quote("abcdef", 3), "\"abc...\"");
}

TEST(Utf8, RefusesOverlongSurrogatesAndTooLarge) {
  EXPECT_TRUE(is_utf8("\xed\x9f\xbf\xf4\x8f\xbf\xbf"));
  for (const char* bad : {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xf0\x8f\xbf\xbf"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
}

TEST(Json, SaysWhereItIsBroken) {
  const Error broken = error_of([] { parse_json("{\"a\": }", "rows.jsonl:3"); });
  EXPECT_EQ(broken.kind(), ErrorKind::kData);
  EXPECT_THAT(broken.what(), HasSubstr("rows.jsonl:3: not valid JSON at byte 7"));
  EXPECT_EQ(error_of([] { parse_json("[1] 2", "x"); }).kind(), ErrorKind::kData);
  EXPECT_EQ(error_of([] { parse_json("", "x"); }).kind(), ErrorKind::kData);
  EXPECT_EQ(error_of([] { parse_json("\"\xff\"", "x"); }).kind(), ErrorKind::kData);
}

TEST(Json, F56_RefusesRepeatedNames) {
  EXPECT_THAT(error_of([] { parse_json(R"({"r":[{"m":"a","p":1,"m":"b","p":2}]})", "x"); }).what(),
              HasSubstr("\"m\" stands twice"));
  EXPECT_EQ(parse_json(R"([{"m":1},{"m":2}])", "x").size(), 2u);
}

TEST(Json, BoundsDepth) {
  EXPECT_EQ(error_of([] { parse_json(std::string(100000, '['), "x"); }).kind(), ErrorKind::kLimit);
  EXPECT_NO_THROW(parse_json(std::string(200, '[') + std::string(200, ']'), "x"));
}

TEST(Json, NumbersKeepTheirKind) {
  const Json row = parse_json(R"({"a": 3, "b": 2.0, "c": 0.5, "d": 18446744073709551615, "e": null})", "row");
  EXPECT_EQ(get_int(row, "a", "row"), 3);
  EXPECT_EQ(get_int(row, "b", "row"), 2);
  EXPECT_THAT(error_of([&] { get_int(row, "c", "row"); }).what(), HasSubstr("expected a whole number for \"c\""));
  EXPECT_EQ(error_of([&] { get_int(row, "d", "row"); }).kind(), ErrorKind::kData);
  EXPECT_EQ(get_int_or(row, "e", 7, "row"), 7);
  EXPECT_THAT(error_of([&] { get_string(row, "z", "row"); }).what(), HasSubstr("row: the key \"z\" is missing"));
}

TEST(Json, DumpNeverThrows) {
  EXPECT_EQ(dump_json(Json("a\xff")), "\"a\xef\xbf\xbd\"");
  EXPECT_EQ(dump_json(Json(0.1)), "0.1");
}

TEST(Philox, MatchesThePublishedVectors) {
  // Random123's known answers for philox4x32-10.
  EXPECT_THAT(Philox(0, 0).at(0), ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(Philox(~0ull, ~0ull).at(~0ull), ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
}

TEST(Rng, BelowCoversItsRangeAndShuffleIsAPermutation) {
  Rng rng(1);
  std::set<uint64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(rng.below(5));
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(*seen.rbegin(), 4u);
  std::vector<int> items = {1, 2, 3, 4, 5, 6};
  rng.shuffle(std::span<int>(items));
  EXPECT_THAT(items, ::testing::UnorderedElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(File, AtomicWriteReplacesAndLeavesNothingBehindWithoutCommit) {
  const auto folder = std::filesystem::temp_directory_path() / "merit_core_test";
  std::filesystem::remove_all(folder);
  write_file_atomic(folder / "a.txt", "one");
  {
    AtomicFile file(folder / "a.txt");
    file.write("two");
  }
  EXPECT_EQ(read_file(folder / "a.txt"), "one");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  EXPECT_EQ(MappedFile(folder / "a.txt").text(), "one");
  EXPECT_EQ(error_of([&] { read_file(folder / "a.txt", 2); }).kind(), ErrorKind::kLimit);
  EXPECT_EQ(error_of([&] { read_file(folder); }).kind(), ErrorKind::kIo);
  EXPECT_EQ(error_of([&] { MappedFile(folder / "none"); }).kind(), ErrorKind::kIo);
  std::filesystem::remove_all(folder);
}

TEST(Hash, PiecesGiveTheHashOfTheWhole) {
  Hasher hasher;
  hasher.update("ab");
  hasher.update("c");
  EXPECT_EQ(hasher.hex(), hash_hex("abc"));
  EXPECT_NE(hash_hex("abc"), hash_hex("abd"));
}

TEST(Strings, SplitTrimClosest) {
  EXPECT_THAT(split("a,,b", ','), ElementsAre("a", "", "b"));
  EXPECT_EQ(trim(" \t a b\n"), "a b");
  EXPECT_EQ(closest("scroe", {"score", "select", "train"}), "score");
  EXPECT_EQ(closest("xyz", {"score", "select"}), "");
  EXPECT_EQ(format_double(0.1), "0.1");
}

TEST(Result, HoldsOneOfBoth) {
  Result<int> good(3);
  Result<int> bad(Error(ErrorKind::kData, "no"));
  EXPECT_EQ(good.value(), 3);
  EXPECT_FALSE(bad.ok());
  EXPECT_THROW(bad.value(), Error);
}

TEST(Json, NamesANumberTooLargeForADouble) {
  const Error error = error_of([] { parse_json(R"({"a": 1e400})", "file:1"); });
  EXPECT_THAT(error.what(), HasSubstr("file:1: the number \"1e400\" at byte"));
  EXPECT_EQ(error.kind(), ErrorKind::kData);
}

}  // namespace
}  // namespace merit
