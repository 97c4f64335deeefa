// Plots as SVG text: no script, colours by CSS variables (page.h sets them for light, dark and print), with a title
// and a description for screen readers. Any text is escaped; any number may be NaN and is then left out. A plot with
// nothing to show says so. The same input gives the same bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "merit/stats/calibration.h"
#include "merit/stats/interval.h"

namespace merit::report {

struct PlotText {
  std::string title;        // for screen readers; the page prints its own heading
  std::string description;  // what is to be seen, in a sentence
  std::string x_label;
  std::string y_label;
};

struct Bar {
  std::string label;
  double value = 0;
  double low = 0;  // interval; low = high: none drawn
  double high = 0;
  bool emphasised = false;
};
// Horizontal bars from 0, with whiskers and the number at the end. `percent`: values are shares, shown as 41.2%.
std::string bar_chart(const PlotText& text, const std::vector<Bar>& bars, bool percent);

struct CurvePlotPoint {
  double x = 0;
  double y = 0;
  double low = 0;  // band
  double high = 0;
};
struct Series {
  std::string name;
  std::vector<CurvePlotPoint> points;
  bool emphasised = false;
};
struct LineOptions {
  bool log2_x = false;  // ticks at powers of two
  bool percent = false;
};
// Lines with bands, each labelled at its end; up to six series.
std::string line_chart(const PlotText& text, const std::vector<Series>& series, const LineOptions& options);

struct Sample {
  std::string name;
  std::vector<double> values;
};
// Two histograms over the same bins, one upwards, one downwards, as shares of each sample.
std::string histogram_pair(const PlotText& text, const Sample& up, const Sample& down);

struct ScatterPoint {
  double x = 0;
  double y = 0;
};
std::string scatter(const PlotText& text, const std::vector<ScatterPoint>& points);

struct ReliabilityPoint {
  double x = 0;  // predicted
  double y = 0;  // came true
  double low = 0;
  double high = 0;
  size_t n = 0;
};
// Shares right against predicted, with the diagonal if `diagonal`, the areas of the points by n.
std::string reliability_plot(const PlotText& text, const std::vector<ReliabilityPoint>& points, bool diagonal);

// Round ticks that cover [low, high], about `target` of them. Finite for any input.
std::vector<double> nice_ticks(double low, double high, int target = 5);
// Digits after the point that tell the ticks apart.
int tick_digits(const std::vector<double>& ticks);

}  // namespace merit::report
