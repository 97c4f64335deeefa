// Tables for terminals: aligned by what a terminal shows (wide and combining characters counted), plain text when
// the output is not a terminal. Cells may hold any bytes: control characters and broken UTF-8 are shown escaped.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "merit/stats/interval.h"

namespace merit::report {

enum class Align { kLeft, kRight };

struct TableStyle {
  bool colour = false;   // bold head, dim rules (ANSI)
  size_t max_width = 0;  // cells of left-aligned columns are cut with "…" to fit; 0 = no limit
  bool unicode = true;   // rules of box characters, else of '-'
};

// Colour and width of the terminal behind `fd`; colourless and unlimited if it is none, or if NO_COLOR is set.
TableStyle terminal_style(int fd);

class Table {
 public:
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };
  explicit Table(std::vector<Column> columns);

  // As many cells as columns, else a fault of ours.
  void add_row(std::vector<std::string> cells);
  // A rule between the rows before and after.
  void add_rule();
  // Ends with a newline.
  std::string render(const TableStyle& style = {}) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  // an empty row is a rule
};

// How many terminal cells the text takes; escaped as `Table` shows it.
size_t display_width(std::string_view text);

// "0.412 [0.362, 0.471]"; "no result" for nullopt. An infinite end is shown as such, two as "[any]": one unit, or units
// all alike, do not say how far the mean may lie.
std::string format_estimate(const std::optional<stats::Estimate>& estimate, int digits = 3);
// Fixed digits, U+2212 never used, "-0.000" written "0.000"; "n/a" for NaN.
std::string format_number(double value, int digits = 3);
// "< 0.001" below that, else three digits.
std::string format_p_value(double p);
// 12345 -> "12,345".
std::string format_count(uint64_t count);

}  // namespace merit::report
