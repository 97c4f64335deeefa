#include "merit/report/svg_canvas.h"

#include <algorithm>
#include <cmath>

#include "merit/core/strings.h"
#include "merit/report/page.h"
#include "merit/report/table.h"

namespace merit::report {
namespace {

constexpr double kHuge = 1e300;  // differences of two such values stay finite

double finite(double v) { return std::isnan(v) ? 0 : std::clamp(v, -kHuge, kHuge); }

std::string tip_of(std::string_view tip) {
  return tip.empty() ? std::string() : fmt::format("<title>{}</title>", escape_html_cut(tip, 200));
}

const char* anchor_name(Anchor anchor) {
  switch (anchor) {
    case Anchor::kMiddle:
      return "middle";
    case Anchor::kEnd:
      return "end";
    case Anchor::kStart:
      break;
  }
  return "start";
}

}  // namespace

double Scale::at(double value) const {
  // Halves: the difference of two extreme values would overflow.
  double share = high > low ? (finite(value) / 2 - low / 2) / (high / 2 - low / 2) : 0.5;
  return from + std::clamp(share, 0.0, 1.0) * (to - from);
}

std::string coordinate(double value) {
  std::string text = format_number(value, 2);
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

double text_width(std::string_view text) { return 7.0 * static_cast<double>(display_width(text)); }

std::string fit_text(std::string_view text, double width) {
  if (text_width(text) <= width) return std::string(text);
  std::string kept;
  for (size_t i = 0; i < text.size();) {
    size_t length = std::max<size_t>(1, utf8_length_at(text, i));
    std::string longer = kept + std::string(text.substr(i, length));
    if (text_width(longer) + 7 > width) break;
    kept = std::move(longer);
    i += length;
  }
  return kept + "…";
}

void Canvas::line(double x1, double y1, double x2, double y2, std::string_view css) {
  body_ += fmt::format(R"(<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>)", coordinate(x1), coordinate(y1),
                       coordinate(x2), coordinate(y2), css);
}

void Canvas::rect(double x, double y, double width, double height, std::string_view css, std::string_view tip) {
  body_ +=
      fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" class="{}">{}</rect>)", coordinate(x), coordinate(y),
                  coordinate(std::max(0.0, width)), coordinate(std::max(0.0, height)), css, tip_of(tip));
}

void Canvas::circle(double x, double y, double radius, std::string_view css, std::string_view tip) {
  body_ += fmt::format(R"(<circle cx="{}" cy="{}" r="{}" class="{}">{}</circle>)", coordinate(x), coordinate(y),
                       coordinate(radius), css, tip_of(tip));
}

void Canvas::path(const std::vector<std::pair<double, double>>& points, bool close, std::string_view css) {
  std::string list;
  for (auto [x, y] : points) list += fmt::format("{}{},{}", list.empty() ? "" : " ", coordinate(x), coordinate(y));
  body_ += fmt::format(R"(<{} points="{}" class="{}"/>)", close ? "polygon" : "polyline", list, css);
}

void Canvas::text(double x, double y, std::string_view text, Anchor anchor, std::string_view css) {
  body_ += fmt::format(R"(<text x="{}" y="{}" text-anchor="{}"{}>{}</text>)", coordinate(x), coordinate(y),
                       anchor_name(anchor), css.empty() ? std::string() : fmt::format(R"( class="{}")", css),
                       escape_html(text));
}

void Canvas::vertical_text(double x, double y, std::string_view text) {
  body_ +=
      fmt::format(R"svg(<text transform="translate({} {}) rotate(-90)" text-anchor="middle" class="axis">{}</text>)svg",
                  coordinate(x), coordinate(y), escape_html(text));
}

std::string Canvas::finish(const PlotText& text) const {
  return fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" viewBox="0 0 {} {}"><title>{}</title><desc>{}</desc>{}</svg>)",
      coordinate(width_), coordinate(height_), escape_html(text.title), escape_html(text.description), body_);
}

std::vector<double> nice_ticks(double low, double high, int target) {
  low = finite(low);
  high = finite(high);
  if (low > high) std::swap(low, high);
  double largest = std::max(std::fabs(low), std::fabs(high));
  if (high - low <= std::max(1e-300, 1e-12 * largest)) {
    double room = largest <= 1e-300 ? 1 : 0.1 * largest;
    low -= room;
    high += room;
  }
  double raw = (high - low) / std::max(1, target);
  double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (double multiple : {1.0, 2.0, 5.0}) {
    if (multiple * power >= raw * 0.999) {
      step = multiple * power;
      break;
    }
  }
  double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  std::vector<double> ticks;
  for (double i = first; i <= last && ticks.size() < 50; ++i) ticks.push_back(i * step);
  return ticks;
}

int tick_digits(const std::vector<double>& ticks) {
  if (ticks.size() < 2) return 0;
  double step = ticks[1] - ticks[0];
  if (!(step > 0)) return 0;
  return static_cast<int>(std::clamp(std::ceil(-std::log10(step) - 1e-9), 0.0, 9.0));
}

std::string tick_label(double value, const std::vector<double>& ticks, TickStyle style) {
  if (style == TickStyle::kPercent) {
    std::vector<double> scaled(ticks);
    for (double& t : scaled) t *= 100;
    return format_number(100 * value, tick_digits(scaled)) + "%";
  }
  double largest = 0;
  for (double t : ticks) largest = std::max(largest, std::fabs(t));
  bool plain = largest < 1e6 && (ticks.size() < 2 || ticks[1] - ticks[0] >= 1e-6);
  return plain ? format_number(value, tick_digits(ticks)) : fmt::format("{:.3g}", value == 0 ? 0 : value);
}

void draw_frame(Canvas& canvas, const Frame& frame, const PlotText& text, TickStyle x_style, TickStyle y_style) {
  const Scale &x = frame.x, &y = frame.y;
  for (double t : frame.y_ticks) {
    canvas.line(x.from, y.at(t), x.to, y.at(t), "grid");
    canvas.text(x.from - 8, y.at(t) + 4, tick_label(t, frame.y_ticks, y_style), Anchor::kEnd, "tick");
  }
  double bottom = std::max(y.from, y.to);
  for (double t : frame.x_ticks) {
    canvas.line(x.at(t), bottom, x.at(t), bottom + 4, "mark");
    canvas.text(x.at(t), bottom + 19, tick_label(t, frame.x_ticks, x_style), Anchor::kMiddle, "tick");
  }
  canvas.line(x.from, bottom, x.to, bottom, "mark");
  canvas.text((x.from + x.to) / 2, bottom + 40, text.x_label, Anchor::kMiddle, "axis");
  canvas.vertical_text(14, (y.from + y.to) / 2, text.y_label);
}

std::string empty_plot(const PlotText& text, std::string_view reason) {
  Canvas canvas(560, 120);
  canvas.rect(0.5, 0.5, 559, 119, "empty");
  canvas.text(280, 64, reason, Anchor::kMiddle, "axis");
  return canvas.finish(text);
}

}  // namespace merit::report
