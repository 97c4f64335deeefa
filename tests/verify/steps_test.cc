#include "merit/verify/steps.h"

#include <gtest/gtest.h>

#include <string>

namespace merit::verify {
namespace {

// "left = right" of each claim, with "!" before one that does not hold.
std::string claims(std::string_view line) {
  std::string out;
  for (const Step& step : check_steps(line)) {
    for (const Claim& claim : step.claims) {
      if (!out.empty()) out += "; ";
      out += (claim.holds ? "" : "!") + claim.left + " = " + claim.right;
    }
  }
  return out;
}

TEST(Steps, FindsTheArithmeticOfALine) {
  EXPECT_EQ(claims("16 - 3 - 4 = <<16-3-4=9>>9 duck eggs a day."), "16 - 3 - 4 = 9");
  EXPECT_EQ(claims("She makes 9 * 2 = $<<9*2=18>>18 every day"), "9 * 2 = 18");
  EXPECT_EQ(claims("He earns $500/bike * 45 bikes = $22,500."), "500 * 45 = 22500");
  EXPECT_EQ(claims("3 eggs x 4 boxes = 13"), "!3 * 4 = 13");
  EXPECT_EQ(claims("20% of 50 = 10"), "20 % * 50 = 10");
  EXPECT_EQ(claims("2 * 3 = 6 and 6 + 1 = 8"), "2 * 3 = 6; !6 + 1 = 8");
  EXPECT_EQ(claims("2 + 3 + 5 = 5 + 5 = 10"), "2 + 3 + 5 = 5 + 5; 5 + 5 = 10");
  EXPECT_EQ(claims("100 / 3 = 33.33"), "100 / 3 = (3333/100)");
  EXPECT_EQ(claims("100 / 3 = 33.43"), "!100 / 3 = (3343/100)");
  EXPECT_EQ(claims("10 / 20 = 50%"), "10 / 20 = 50 %");
}

TEST(Steps, LeavesAlgebraAndWordsAlone) {
  for (const char* line : {"6x - 30 = 30", "Total: x+2x+8x=110", "24 miles in 1.5 hours = 24 * 1.5", "x = 5",
                           "y = 3x + 4", "There are 12 apples.", "", "= = =", "1/0 = 5"}) {
    EXPECT_EQ(claims(line), "") << line;
  }
}

TEST(Steps, NamesTheFirstWrongOne) {
  const std::string solution = "She has 3 + 4 = 7 eggs.\n\nShe eats 2.\nThen 7 - 2 = 6 are left.\n6 * 2 = 13\n#### 13";
  const auto steps = check_steps(solution);
  ASSERT_EQ(steps.size(), 5U);  // blank lines are no steps
  EXPECT_EQ(first_wrong_step(steps), 2U);
  EXPECT_FALSE(steps[0].wrong());
  EXPECT_TRUE(steps[1].claims.empty());
  EXPECT_TRUE(steps[3].wrong());
  EXPECT_EQ(first_wrong_step(check_steps("3 + 4 = 7\n#### 7")), std::nullopt);
}

TEST(Steps, LongAndBrokenLinesEnd) {
  for (const std::string piece : {"1+", "=", "1=", "(", ")", "1 x ", "9"}) {
    std::string text;
    while (text.size() < 4000) text += piece;
    check_steps(text);
    check_steps(text + text);  // over the limit: no claims
  }
  EXPECT_TRUE(check_steps(std::string(5000, '1') + " + 1 = 2")[0].claims.empty());
}

}  // namespace
}  // namespace merit::verify
