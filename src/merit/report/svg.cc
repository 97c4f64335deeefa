#include "merit/report/svg.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "merit/report/svg_canvas.h"
#include "merit/report/table.h"

namespace merit::report {
namespace {

constexpr double kWidth = 560;
constexpr double kHeight = 320;
constexpr size_t kMostPoints = 4000;
constexpr size_t kMostSeries = 6;

struct Range {
  double low = INFINITY;
  double high = -INFINITY;

  void take(double v) {
    if (!std::isfinite(v)) return;
    low = std::min(low, v);
    high = std::max(high, v);
  }
  bool empty() const { return low > high; }
};

std::string percent(double value) { return format_number(100 * value, 1) + "%"; }

std::string value_text(double value, bool as_percent) { return as_percent ? percent(value) : format_number(value, 3); }

Frame frame_of(const Range& x, const Range& y, bool ticks_cover_x) {
  Frame frame;
  frame.x_ticks = nice_ticks(x.low, x.high, 6);
  frame.y_ticks = nice_ticks(y.low, y.high, 5);
  frame.x = {ticks_cover_x ? frame.x_ticks.front() : x.low, ticks_cover_x ? frame.x_ticks.back() : x.high, 64,
             kWidth - 16};
  frame.y = {frame.y_ticks.front(), frame.y_ticks.back(), kHeight - 56, 14};
  return frame;
}

std::string bar_number(const Bar& bar, bool as_percent) {
  std::string text = value_text(bar.value, as_percent);
  if (bar.low == bar.high) return text;
  // Inside the brackets the percent sign is not repeated.
  double scale = as_percent ? 100 : 1;
  int digits = as_percent ? 1 : 3;
  return fmt::format("{} [{}, {}]", text, format_number(scale * bar.low, digits),
                     format_number(scale * bar.high, digits));
}

void draw_bar(Canvas& canvas, const Bar& bar, const Scale& x, double top, bool as_percent) {
  constexpr double kThick = 22;
  double zero = x.at(0), end = x.at(bar.value), middle = top + kThick / 2;
  std::string number = bar_number(bar, as_percent);
  canvas.text(x.from - 12, middle + 4, fit_text(bar.label, x.from - 16), Anchor::kEnd, bar.emphasised ? "strong" : "");
  canvas.rect(std::min(zero, end), top, std::fabs(end - zero), kThick, bar.emphasised ? "bar key" : "bar",
              bar.label + ": " + number);
  if (bar.low != bar.high) {
    double low = x.at(bar.low), high = x.at(bar.high);
    canvas.line(low, middle, high, middle, "whisker");
    canvas.line(low, middle - 5, low, middle + 5, "whisker");
    canvas.line(high, middle - 5, high, middle + 5, "whisker");
  }
  canvas.text(canvas.width() - 4, middle + 4, number, Anchor::kEnd, bar.emphasised ? "number strong" : "number");
}

// X ticks at the points themselves, left out where they would touch; the last is always kept.
std::vector<double> point_ticks(const std::vector<Series>& series, const Scale& x, bool log2_x) {
  std::vector<double> all;
  for (const Series& s : series) {
    for (const CurvePlotPoint& p : s.points) all.push_back(p.x);
  }
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  auto at = [&](double v) { return x.at(log2_x ? std::log2(v) : v); };
  std::vector<double> kept;
  for (double v : all) {
    while (!kept.empty() && at(v) - at(kept.back()) < 26) {
      if (v != all.back()) break;
      kept.pop_back();
    }
    if (kept.empty() || at(v) - at(kept.back()) >= 26) kept.push_back(v);
  }
  return kept;
}

// Places for labels, `gap` apart at least, as near to where they belong as the order allows.
std::vector<double> spread(std::vector<double> wanted, double gap, double lowest, double highest) {
  std::vector<size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return wanted[i]; });
  for (size_t i = 0; i < order.size(); ++i) {
    double floor = i == 0 ? lowest : wanted[order[i - 1]] + gap;
    wanted[order[i]] = std::max(wanted[order[i]], floor);
  }
  for (size_t i = order.size(); i-- > 0;) {
    double ceiling = i + 1 == order.size() ? highest : wanted[order[i + 1]] - gap;
    wanted[order[i]] = std::min(wanted[order[i]], ceiling);
  }
  return wanted;
}

std::vector<Series> drawable(const std::vector<Series>& series, bool log2_x) {
  std::vector<Series> result;
  for (const Series& s : series) {
    if (result.size() == kMostSeries) break;
    Series kept{s.name, {}, s.emphasised};
    for (const CurvePlotPoint& p : s.points) {
      if (std::isfinite(p.x) && std::isfinite(p.y) && (!log2_x || p.x > 0)) kept.points.push_back(p);
    }
    if (!kept.points.empty()) result.push_back(std::move(kept));
  }
  return result;
}

void draw_series(Canvas& canvas, const Series& series, size_t place, const Frame& frame, const LineOptions& options) {
  auto x = [&](double v) { return frame.x.at(options.log2_x ? std::log2(v) : v); };
  std::vector<std::pair<double, double>> line, band;
  for (const CurvePlotPoint& p : series.points) {
    line.emplace_back(x(p.x), frame.y.at(p.y));
    band.emplace_back(x(p.x), frame.y.at(p.high));
  }
  for (size_t i = series.points.size(); i-- > 0;) {
    band.emplace_back(x(series.points[i].x), frame.y.at(series.points[i].low));
  }
  std::string css = fmt::format("s{}{}", place + 1, series.emphasised ? " key" : "");
  canvas.path(band, true, "band " + css);
  canvas.path(line, false, "curve " + css);
  for (const CurvePlotPoint& p : series.points) {
    std::string tip =
        fmt::format("{}: {} [{}, {}] at {}", series.name, value_text(p.y, options.percent),
                    value_text(p.low, options.percent), value_text(p.high, options.percent), coordinate(p.x));
    canvas.circle(x(p.x), frame.y.at(p.y), 3.5, "dot " + css, tip);
  }
}

// The middle of the sample for the axis: single far values would flatten the rest.
Range robust_range(const Sample& a, const Sample& b) {
  std::vector<double> all;
  for (const Sample* s : {&a, &b}) {
    for (double v : s->values) {
      if (std::isfinite(v)) all.push_back(v);
    }
  }
  Range range;
  if (all.empty()) return range;
  std::ranges::sort(all);
  size_t cut = all.size() / 200;
  range.take(all[cut]);
  range.take(all[all.size() - 1 - cut]);
  return range;
}

// Shares of the sample a bin; values beyond the ends count in the end bins.
std::vector<double> bin_shares(const Sample& sample, const Scale& x, size_t bins) {
  std::vector<double> shares(bins, 0.0);
  double n = 0;
  for (double v : sample.values) {
    if (!std::isfinite(v)) continue;
    double place = std::clamp((v / 2 - x.low / 2) / (x.high / 2 - x.low / 2), 0.0, 1.0) * static_cast<double>(bins);
    shares[std::min(bins - 1, static_cast<size_t>(place))] += 1;
    n += 1;
  }
  for (double& s : shares) s = n > 0 ? s / n : 0;
  return shares;
}

size_t finite_count(const Sample& sample) {
  return static_cast<size_t>(std::ranges::count_if(sample.values, [](double v) { return std::isfinite(v); }));
}

}  // namespace

std::string bar_chart(const PlotText& text, const std::vector<Bar>& bars, bool percent) {
  constexpr double kTop = 8, kStep = 36, kNumbers = 168;
  std::vector<Bar> shown;
  Range range;
  range.take(0);
  double labels = 40;
  for (const Bar& bar : bars) {
    if (!std::isfinite(bar.value)) continue;
    shown.push_back(bar);
    range.take(bar.value);
    if (bar.low != bar.high) {
      range.take(bar.low);
      range.take(bar.high);
    }
    labels = std::max(labels, std::min(170.0, text_width(bar.label) + 18));
  }
  if (shown.empty()) return empty_plot(text, "nothing to show");
  std::vector<double> ticks = nice_ticks(range.low, range.high, 5);
  double bottom = kTop + kStep * static_cast<double>(shown.size());
  Canvas canvas(kWidth, bottom + (text.x_label.empty() ? 28 : 48));
  Scale x{ticks.front(), ticks.back(), labels, kWidth - kNumbers};
  for (double t : ticks) {
    canvas.line(x.at(t), kTop - 4, x.at(t), bottom, t == 0 ? "mark" : "grid");
    canvas.text(x.at(t), bottom + 17, tick_label(t, ticks, percent ? TickStyle::kPercent : TickStyle::kPlain),
                Anchor::kMiddle, "tick");
  }
  canvas.text((x.from + x.to) / 2, bottom + 38, text.x_label, Anchor::kMiddle, "axis");
  for (size_t i = 0; i < shown.size(); ++i) {
    draw_bar(canvas, shown[i], x, kTop + kStep * static_cast<double>(i) + 4, percent);
  }
  return canvas.finish(text);
}

std::string line_chart(const PlotText& text, const std::vector<Series>& series, const LineOptions& options) {
  std::vector<Series> shown = drawable(series, options.log2_x);
  if (shown.empty()) return empty_plot(text, "nothing to show");
  Range xs, ys;
  double labels = 0;
  for (const Series& s : shown) {
    labels = std::max(labels, std::min(120.0, text_width(s.name)));
    for (const CurvePlotPoint& p : s.points) {
      xs.take(options.log2_x ? std::log2(p.x) : p.x);
      for (double v : {p.y, p.low, p.high}) ys.take(v);
    }
  }
  if (xs.low == xs.high) xs.high += 1;
  Frame frame = frame_of(xs, ys, false);
  frame.x.to = kWidth - labels - 22;
  std::vector<double> ticks = point_ticks(shown, frame.x, options.log2_x);
  frame.x_ticks.clear();
  Canvas canvas(kWidth, kHeight);
  draw_frame(canvas, frame, text, TickStyle::kPlain, options.percent ? TickStyle::kPercent : TickStyle::kPlain);
  for (double t : ticks) {
    double x = frame.x.at(options.log2_x ? std::log2(t) : t);
    canvas.line(x, frame.y.from, x, frame.y.from + 4, "mark");
    canvas.text(x, frame.y.from + 19, coordinate(t), Anchor::kMiddle, "tick");
  }
  std::vector<double> places;
  for (size_t i = 0; i < shown.size(); ++i) {
    draw_series(canvas, shown[i], i, frame, options);
    places.push_back(frame.y.at(shown[i].points.back().y) + 4);
  }
  places = spread(places, 16, frame.y.to + 4, frame.y.from);
  for (size_t i = 0; i < shown.size(); ++i) {
    canvas.text(frame.x.to + 12, places[i], fit_text(shown[i].name, 120), Anchor::kStart,
                fmt::format("label s{}{}", i + 1, shown[i].emphasised ? " key" : ""));
  }
  return canvas.finish(text);
}

std::string histogram_pair(const PlotText& text, const Sample& up, const Sample& down) {
  constexpr size_t kBins = 30;
  Range range = robust_range(up, down);
  if (range.empty()) return empty_plot(text, "no scores to show");
  if (range.low == range.high) {
    double room = range.low == 0 ? 1 : 0.1 * std::fabs(range.low);
    range = {range.low - room, range.high + room};
  }
  Frame frame = frame_of(range, {-1, 1}, true);
  std::vector<double> above = bin_shares(up, frame.x, kBins), below = bin_shares(down, frame.x, kBins);
  double most = std::max(std::ranges::max(above), std::ranges::max(below));
  frame.y_ticks = nice_ticks(-most, most, 6);
  double top = std::max(frame.y_ticks.back(), -frame.y_ticks.front());
  frame.y.low = -top;
  frame.y.high = top;
  Canvas canvas(kWidth, kHeight);
  // Both directions are shares: the labels below the middle have no sign.
  std::vector<double> ticks = frame.y_ticks;
  frame.y_ticks.clear();
  for (double t : ticks) {
    canvas.line(frame.x.from, frame.y.at(t), frame.x.to, frame.y.at(t), t == 0 ? "mark" : "grid");
    canvas.text(frame.x.from - 8, frame.y.at(t) + 4, tick_label(std::fabs(t), ticks, TickStyle::kPercent), Anchor::kEnd,
                "tick");
  }
  draw_frame(canvas, frame, text, TickStyle::kPlain, TickStyle::kPercent);
  double width = (frame.x.to - frame.x.from) / kBins, zero = frame.y.at(0);
  for (size_t b = 0; b < kBins; ++b) {
    double x = frame.x.from + width * static_cast<double>(b);
    if (above[b] > 0) {
      canvas.rect(x + 0.5, frame.y.at(above[b]), width - 1, zero - frame.y.at(above[b]), "hist s1",
                  up.name + ": " + percent(above[b]));
    }
    if (below[b] > 0) {
      canvas.rect(x + 0.5, zero, width - 1, frame.y.at(-below[b]) - zero, "hist s2",
                  down.name + ": " + percent(below[b]));
    }
  }
  auto legend = [&](const Sample& sample, double y, const char* css) {
    std::string name = fmt::format("{} (n = {})", sample.name, format_count(finite_count(sample)));
    canvas.text(frame.x.from + 8, y, name, Anchor::kStart, css);
  };
  legend(up, frame.y.to + 14, "label s1");
  legend(down, frame.y.from - 8, "label s2");
  return canvas.finish(text);
}

std::string scatter(const PlotText& text, const std::vector<ScatterPoint>& points) {
  Range xs, ys;
  std::vector<ScatterPoint> shown;
  for (const ScatterPoint& p : points) {
    if (!std::isfinite(p.x) || !std::isfinite(p.y)) continue;
    shown.push_back(p);
    xs.take(p.x);
    ys.take(p.y);
  }
  if (shown.empty()) return empty_plot(text, "nothing to show");
  Frame frame = frame_of(xs, ys, true);
  Canvas canvas(kWidth, kHeight);
  draw_frame(canvas, frame, text, TickStyle::kPlain, TickStyle::kPlain);
  // Every n-th point of a large cloud: the shape stays, the page stays light.
  size_t stride = (shown.size() + kMostPoints - 1) / kMostPoints;
  for (size_t i = 0; i < shown.size(); i += stride) {
    canvas.circle(frame.x.at(shown[i].x), frame.y.at(shown[i].y), 3, "point");
  }
  if (stride > 1) {
    canvas.text(frame.x.to, frame.y.to - 2, fmt::format("one point in {} drawn", stride), Anchor::kEnd, "tick");
  }
  return canvas.finish(text);
}

std::string reliability_plot(const PlotText& text, const std::vector<ReliabilityPoint>& points, bool diagonal) {
  Range xs;
  size_t most = 1;
  std::vector<ReliabilityPoint> shown;
  for (const ReliabilityPoint& p : points) {
    if (!std::isfinite(p.x) || !std::isfinite(p.y)) continue;
    shown.push_back(p);
    xs.take(p.x);
    most = std::max(most, p.n);
  }
  if (shown.empty()) return empty_plot(text, "nothing to show");
  Frame frame = frame_of(diagonal ? Range{0, 1} : xs, {0, 1}, true);
  Canvas canvas(kWidth, kHeight);
  TickStyle x_style = diagonal ? TickStyle::kPercent : TickStyle::kPlain;
  draw_frame(canvas, frame, text, x_style, TickStyle::kPercent);
  if (diagonal) canvas.line(frame.x.at(0), frame.y.at(0), frame.x.at(1), frame.y.at(1), "ideal");
  std::vector<std::pair<double, double>> line;
  for (const ReliabilityPoint& p : shown) line.emplace_back(frame.x.at(p.x), frame.y.at(p.y));
  canvas.path(line, false, "curve s1");
  for (const ReliabilityPoint& p : shown) {
    double x = frame.x.at(p.x);
    canvas.line(x, frame.y.at(p.low), x, frame.y.at(p.high), "whisker");
    double radius = 2.5 + 4.5 * std::sqrt(static_cast<double>(p.n) / static_cast<double>(most));
    canvas.circle(x, frame.y.at(p.y), radius, "dot s1",
                  fmt::format("{} of {} at {}", percent(p.y), format_count(p.n), format_number(p.x, 3)));
  }
  return canvas.finish(text);
}

}  // namespace merit::report
