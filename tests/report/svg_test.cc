#include "merit/report/svg.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/report/markup_support.h"

namespace merit::report {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kMax = std::numeric_limits<double>::max();
const PlotText kText = {"T <i>", "what & why", "x", "y"};

void expect_sound(const std::string& svg) {
  EXPECT_EQ(read_markup(svg).error, "");
  EXPECT_THAT(svg, HasSubstr("<title>T &lt;i&gt;</title><desc>what &amp; why</desc>"));
  EXPECT_THAT(svg, HasSubstr("role=\"img\""));
  EXPECT_THAT(svg, Not(HasSubstr("=\"nan")));
  EXPECT_THAT(svg, Not(HasSubstr("=\"n/a")));
  EXPECT_THAT(svg, Not(HasSubstr("=\"inf")));
  EXPECT_THAT(svg, Not(HasSubstr("n/a,")));
  EXPECT_LT(svg.size(), 400000u);
}

TEST(Ticks, AreRoundAndCoverTheRange) {
  EXPECT_THAT(nice_ticks(0, 1, 5), ElementsAre(0, DoubleNear(0.2, 1e-12), DoubleNear(0.4, 1e-12),
                                               DoubleNear(0.6, 1e-12), DoubleNear(0.8, 1e-12), 1));
  EXPECT_THAT(nice_ticks(3, 17, 3), ElementsAre(0, 5, 10, 15, 20));
  EXPECT_EQ(tick_digits(nice_ticks(0, 1, 5)), 1);
  EXPECT_EQ(tick_digits(nice_ticks(0, 100, 5)), 0);
}

TEST(Ticks, AreFiniteForAnyInput) {
  for (auto [low, high] : {std::pair(kNaN, kNaN), std::pair(-kMax, kMax), std::pair(5.0, 5.0), std::pair(9.0, -9.0),
                           std::pair(0.0, 5e-324), std::pair(-double{INFINITY}, 1.0), std::pair(1e15, 1e15 + 1)}) {
    std::vector<double> ticks = nice_ticks(low, high);
    ASSERT_GE(ticks.size(), 2u) << low << " " << high;
    EXPECT_LE(ticks.size(), 50u);
    for (size_t i = 0; i < ticks.size(); ++i) {
      EXPECT_TRUE(std::isfinite(ticks[i]));
      EXPECT_TRUE(i == 0 || ticks[i] > ticks[i - 1]) << low << " " << high;
    }
  }
}

TEST(BarChart, DrawsAValueAtItsPlace) {
  std::string svg = bar_chart(kText, {{"a", 0.25, 0.2, 0.3}, {"b & c", 0.5, 0.4, 0.6, true}}, true);
  expect_sound(svg);
  EXPECT_THAT(svg, HasSubstr("25.0% [20.0, 30.0]"));
  EXPECT_THAT(svg, HasSubstr("b &amp; c"));
  // The second bar is twice as long as the first: both start at 0.
  auto width = [&](const std::string& css) {
    size_t end = svg.find("\" height=\"22\" class=\"" + css + "\"");
    size_t start = svg.rfind("width=\"", end) + 7;
    return std::stod(svg.substr(start, end - start));
  };
  EXPECT_NEAR(width("bar key") / width("bar"), 2, 0.01);
}

TEST(LineChart, HasALineABandAndALabelASeries) {
  std::vector<Series> series = {{"one", {{1, 0.2, 0.1, 0.3}, {2, 0.4, 0.3, 0.5}}, true}, {"two", {{1, 0.2, 0.1, 0.3}}}};
  std::string svg = line_chart(kText, series, {.log2_x = true, .percent = true});
  expect_sound(svg);
  Markup markup = read_markup(svg);
  EXPECT_EQ(markup.count("polygon"), 2u);
  EXPECT_EQ(markup.count("polyline"), 2u);
  EXPECT_EQ(markup.count("circle"), 3u);
  EXPECT_THAT(svg, HasSubstr(">two</text>"));
}

TEST(HistogramPair, BarsAreSharesOfEachSample) {
  std::string svg = histogram_pair(kText, {"right", {1, 1, 1, 2}}, {"wrong", {0, kNaN}});
  expect_sound(svg);
  EXPECT_THAT(svg, HasSubstr("right: 75.0%"));
  EXPECT_THAT(svg, HasSubstr("wrong: 100.0%"));
  EXPECT_THAT(svg, HasSubstr("wrong (n = 1)"));
}

TEST(Scatter, ThinsLargeCloudsAndSaysSo) {
  std::vector<ScatterPoint> points(9000, {1, 2});
  points[0] = {0, 0};
  std::string svg = scatter(kText, points);
  expect_sound(svg);
  EXPECT_EQ(read_markup(svg).count("circle"), 3000u);
  EXPECT_THAT(svg, HasSubstr("one point in 3 drawn"));
}

TEST(Reliability, DrawsTheDiagonalOnlyForProbabilities) {
  std::vector<ReliabilityPoint> points = {{0.1, 0.2, 0.1, 0.3, 10}, {0.9, 0.8, 0.7, 0.9, 5}};
  EXPECT_THAT(reliability_plot(kText, points, true), HasSubstr("ideal"));
  EXPECT_THAT(reliability_plot(kText, points, false), Not(HasSubstr("ideal")));
  expect_sound(reliability_plot(kText, points, true));
}

TEST(Plots, NothingToShowIsSaid) {
  for (const std::string& svg : {bar_chart(kText, {{"a", kNaN}}, true), line_chart(kText, {{"s", {{kNaN, 1}}}}, {}),
                                 histogram_pair(kText, {"a", {}}, {"b", {kNaN}}), scatter(kText, {{kNaN, 0}}),
                                 reliability_plot(kText, {}, true)}) {
    expect_sound(svg);
    EXPECT_THAT(svg, testing::AnyOf(HasSubstr("nothing to show"), HasSubstr("no scores to show")));
  }
}

TEST(Plots, SurviveExtremeNumbersAndHostileLabels) {
  std::string label = "</svg><script>x</script>\x01\xff" + std::string(5000, 'w');
  expect_sound(bar_chart(kText, {{label, kMax, -kMax, kMax}, {"", -INFINITY}}, false));
  expect_sound(line_chart(kText, {{label, {{-kMax, kMax, -kMax, INFINITY}, {kMax, -kMax, kNaN, 0}}}}, {}));
  expect_sound(line_chart(kText, {{label, {{0, 1, 0, 1}, {-1, 1, 0, 1}, {8, 1, 1, 1}}}}, {.log2_x = true}));
  expect_sound(histogram_pair(kText, {label, {kMax, -kMax, 5e-324}}, {"b", {0}}));
  expect_sound(scatter(kText, {{kMax, -kMax}, {-kMax, kMax}}));
  expect_sound(reliability_plot(kText, {{kMax, 2, -1, kNaN, SIZE_MAX}, {1, 1, 1, 1, 0}}, false));
}

}  // namespace
}  // namespace merit::report
