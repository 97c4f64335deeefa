#include "merit/report/table.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "merit/core/error.h"
#include "merit/core/strings.h"

namespace merit::report {
namespace {

constexpr size_t kNarrowest = 8;  // a cut column keeps this many cells

// A piece of text as a terminal may be given it, with the cells it takes.
struct Glyph {
  std::string text;
  size_t width = 0;
};

// Categories that would move the cursor, reorder the line or vanish.
bool is_hidden(utf8proc_int32_t code) {
  utf8proc_category_t category = utf8proc_category(code);
  bool format = category == UTF8PROC_CATEGORY_CF && code != 0x200C && code != 0x200D;  // the joiners shape words
  return format || category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

std::string escaped(utf8proc_int32_t code) {
  switch (code) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return code < 0x100 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{{{:x}}}", code);
  }
}

std::vector<Glyph> glyphs(std::string_view text) {
  std::vector<Glyph> result;
  for (size_t i = 0; i < text.size();) {
    size_t length = utf8_length_at(text, i);
    if (length == 0) {
      result.push_back({fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i])), 4});
      ++i;
      continue;
    }
    utf8proc_int32_t code = 0;
    utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + i, static_cast<utf8proc_ssize_t>(length),
                     &code);
    if (is_hidden(code)) {
      std::string shown = escaped(code);
      result.push_back({shown, shown.size()});
    } else {
      result.push_back({std::string(text.substr(i, length)), static_cast<size_t>(utf8proc_charwidth(code))});
    }
    i += length;
  }
  return result;
}

// The text cut to `width` cells, "…" as the last if it was longer.
Glyph fitted(std::string_view text, size_t width) {
  Glyph line;
  std::vector<Glyph> pieces = glyphs(text);
  for (const Glyph& g : pieces) line.width += g.width;
  if (line.width <= width) {
    for (const Glyph& g : pieces) line.text += g.text;
    return line;
  }
  line.width = 0;
  for (const Glyph& g : pieces) {
    if (line.width + g.width + 1 > width) break;
    line.text += g.text;
    line.width += g.width;
  }
  return {line.text + "…", line.width + 1};
}

std::string trimmed_line(std::string line) {
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line + "\n";
}

void insert_separators(std::string& digits) {
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
}

}  // namespace

TableStyle terminal_style(int fd) {
  TableStyle style;
  if (!isatty(fd)) return style;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  style.colour = (!no_colour || !*no_colour) && term && std::string_view(term) != "dumb";
  winsize size = {};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0) style.max_width = size.ws_col;
  return style;
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::add_row(std::vector<std::string> cells) {
  MERIT_CHECK(!cells.empty() && cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

void Table::add_rule() { rows_.emplace_back(); }

std::string Table::render(const TableStyle& style) const {
  size_t total = 2 * (columns_.empty() ? 0 : columns_.size() - 1);
  std::vector<size_t> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    size_t width = display_width(columns_[c].title);
    for (const auto& row : rows_) {
      if (!row.empty()) width = std::max(width, display_width(row[c]));
    }
    widths.push_back(width);
    total += width;
  }
  // The widest text column gives way first; numbers are never cut.
  while (style.max_width > 0 && total > style.max_width) {
    size_t widest = columns_.size();
    for (size_t c = 0; c < columns_.size(); ++c) {
      bool can = columns_[c].align == Align::kLeft && widths[c] > kNarrowest;
      if (can && (widest == columns_.size() || widths[c] > widths[widest])) widest = c;
    }
    if (widest == columns_.size()) break;
    --widths[widest];
    --total;
  }

  auto line = [&](auto cell_of) {
    std::string text;
    for (size_t c = 0; c < columns_.size(); ++c) {
      Glyph cell = fitted(cell_of(c), widths[c]);
      std::string padding(widths[c] - cell.width, ' ');
      if (c > 0) text += "  ";
      text += columns_[c].align == Align::kRight ? padding + cell.text : cell.text + padding;
    }
    return trimmed_line(text);
  };
  std::string rule;
  for (size_t i = 0; i < total; ++i) rule += style.unicode ? "─" : "-";
  rule = style.colour ? "\x1b[2m" + rule + "\x1b[0m\n" : rule + "\n";

  std::string head = line([&](size_t c) -> std::string_view { return columns_[c].title; });
  std::string result = style.colour ? "\x1b[1m" + head.substr(0, head.size() - 1) + "\x1b[0m\n" : head;
  result += rule;
  for (const auto& row : rows_) {
    result += row.empty() ? rule : line([&](size_t c) -> std::string_view { return row[c]; });
  }
  return result;
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  for (const Glyph& g : glyphs(text)) width += g.width;
  return width;
}

std::string format_number(double value, int digits) {
  if (std::isnan(value)) return "n/a";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = std::fabs(value) < 1e15 ? fmt::format("{:.{}f}", value, digits) : fmt::format("{:.3e}", value);
  bool zero = text.find_first_of("123456789") == std::string::npos;
  return zero && text[0] == '-' ? text.substr(1) : text;
}

std::string format_estimate(const std::optional<stats::Estimate>& estimate, int digits) {
  if (!estimate) return "no result";
  if (std::isinf(estimate->interval.low) && std::isinf(estimate->interval.high)) {
    return fmt::format("{} [any]", format_number(estimate->value, digits));
  }
  return fmt::format("{} [{}, {}]", format_number(estimate->value, digits),
                     format_number(estimate->interval.low, digits), format_number(estimate->interval.high, digits));
}

std::string format_p_value(double p) {
  if (std::isnan(p)) return "n/a";
  return p < 0.001 ? "< 0.001" : format_number(p, 3);
}

std::string format_count(uint64_t count) {
  std::string digits = std::to_string(count);
  insert_separators(digits);
  return digits;
}

}  // namespace merit::report
