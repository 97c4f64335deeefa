// What the plots of svg.cc are drawn with: a canvas of fixed user units, and scales from values to them.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "merit/report/svg.h"

namespace merit::report {

// Values on [low, high] to positions on [from, to]; values outside are drawn at the edge.
struct Scale {
  double low = 0, high = 1;
  double from = 0, to = 1;
  double at(double value) const;
};

// A coordinate in two decimals at most.
std::string coordinate(double value);
// The width that `text` will take at the plots' font size, roughly: fonts differ between machines.
double text_width(std::string_view text);
// Cut with "…" to about `width`.
std::string fit_text(std::string_view text, double width);

enum class Anchor { kStart, kMiddle, kEnd };

class Canvas {
 public:
  Canvas(double width, double height) : width_(width), height_(height) {}

  double width() const { return width_; }
  double height() const { return height_; }

  void line(double x1, double y1, double x2, double y2, std::string_view css);
  void rect(double x, double y, double width, double height, std::string_view css, std::string_view tip = "");
  void circle(double x, double y, double radius, std::string_view css, std::string_view tip = "");
  // Points "x,y x,y ..."; `close` makes an area.
  void path(const std::vector<std::pair<double, double>>& points, bool close, std::string_view css);
  void text(double x, double y, std::string_view text, Anchor anchor, std::string_view css = "");
  void vertical_text(double x, double y, std::string_view text);

  // The <svg> element, with title and description.
  std::string finish(const PlotText& text) const;

 private:
  double width_, height_;
  std::string body_;
};

// The frame of a plot with two axes: grid lines, tick labels, axis labels.
struct Frame {
  Scale x, y;
  std::vector<double> x_ticks, y_ticks;
};
enum class TickStyle { kPlain, kPercent };
std::string tick_label(double value, const std::vector<double>& ticks, TickStyle style);
void draw_frame(Canvas& canvas, const Frame& frame, const PlotText& text, TickStyle x_style, TickStyle y_style);

// A plot that only says there is nothing to show.
std::string empty_plot(const PlotText& text, std::string_view reason);

}  // namespace merit::report
