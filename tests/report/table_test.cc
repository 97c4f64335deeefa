#include "merit/report/table.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <limits>

namespace merit::report {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Table, AlignsNumbersRightAndTextLeft) {
  Table table({{"rule"}, {"accuracy", Align::kRight}});
  table.add_row({"first", "0.5"});
  table.add_rule();
  table.add_row({"x", "12.25"});
  EXPECT_EQ(table.render({.unicode = false}),
            "rule   accuracy\n"
            "---------------\n"
            "first       0.5\n"
            "---------------\n"
            "x         12.25\n");
}

TEST(Table, CountsCellsNotBytes) {
  EXPECT_EQ(display_width("naïve"), 5u);
  EXPECT_EQ(display_width("e\u0301"), 1u);  // combining accent
  EXPECT_EQ(display_width("日本"), 4u);
  Table table({{"k"}, {"n", Align::kRight}});
  table.add_row({"日本", "1"});
  table.add_row({"abcd", "2"});
  EXPECT_EQ(table.render({.unicode = false}), "k     n\n-------\n日本  1\nabcd  2\n");
}

TEST(Table, ControlBytesAndReorderingAreShownNotObeyed) {
  Table table({{"text"}});
  table.add_row({"a\x1b[31m\n\u202Eb\xff"});
  std::string out = table.render();
  EXPECT_THAT(out, HasSubstr("a\\x1b[31m\\n\\u{202e}b\\xff"));
  EXPECT_THAT(out, Not(HasSubstr("\x1b")));
}

TEST(Table, LongTextIsCutToTheWidthAndNumbersAreNot) {
  Table table({{"text"}, {"n", Align::kRight}});
  table.add_row({std::string(100, 'a'), "123456789"});
  std::string out = table.render({.max_width = 30, .unicode = false});
  EXPECT_THAT(out, HasSubstr(std::string(18, 'a') + "…  123456789\n"));  // 19 + 2 + 9 = 30
}

TEST(Table, ColourOnlyWhenAsked) {
  Table table({{"a"}});
  table.add_row({"1"});
  EXPECT_THAT(table.render(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(table.render({.colour = true}), HasSubstr("\x1b[1ma\x1b[0m\n"));
}

TEST(TerminalStyle, APipeGetsPlainText) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_FALSE(terminal_style(ends[1]).colour);
  EXPECT_EQ(terminal_style(ends[1]).max_width, 0u);
  close(ends[0]);
  close(ends[1]);
}

TEST(Format, NumbersAndEstimates) {
  EXPECT_EQ(format_number(0.41249), "0.412");
  EXPECT_EQ(format_number(-0.0004), "0.000");
  EXPECT_EQ(format_number(std::nan("")), "n/a");
  EXPECT_EQ(format_number(-INFINITY), "-inf");
  EXPECT_EQ(format_estimate(stats::Estimate{0.412, {0.36, 0.4714, 0.95, "wilson"}, 10, 0}), "0.412 [0.360, 0.471]");
  EXPECT_EQ(format_estimate(std::nullopt), "no result");
  EXPECT_EQ(format_p_value(0.00004), "< 0.001");
  EXPECT_EQ(format_p_value(0.25), "0.250");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_count(999), "999");
}

}  // namespace
}  // namespace merit::report
