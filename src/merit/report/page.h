// One self-contained HTML page: sections, key figures, sortable and filterable tables, examples side by side. It needs
// no network and no script to be read; the few lines of script only sort and filter. Light, dark and print.
// Everything given as text is escaped; only functions that say `html` take markup.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace merit::report {

// Text as HTML: & < > " ' escaped, control bytes and broken UTF-8 shown as U+FFFD or symbols, bidirectional controls
// made visible, so that nothing from a record can change the page around it.
std::string escape_html(std::string_view text);
// The same, cut after `max` characters with a note of how many were left out.
std::string escape_html_cut(std::string_view text, size_t max);

struct KeyFigure {
  std::string label;
  std::string value;
  std::string note;  // the interval, or what it is out of
};

struct PageColumn {
  std::string title;
  bool numeric = false;
};

struct PageTable {
  std::string caption;
  std::vector<PageColumn> columns;
  std::vector<std::vector<std::string>> rows;
  bool filter = false;  // a box above it that keeps the rows holding the text typed
};

// One answer in a comparison.
struct ExampleAnswer {
  std::string title;  // "Chosen", "Another"
  std::string note;   // "score 1.25, wrong"
  std::string text;
  bool good = false;
};
struct Example {
  std::string title;  // the summary line, always to be seen
  std::string prompt;
  std::string reference;
  std::vector<ExampleAnswer> answers;
};

class Page {
 public:
  Page(std::string title, std::string subtitle);

  // "good", "bad" or "neutral" decides the colour of the mark beside it; the words say it too.
  void verdict(std::string_view tone, std::string_view sentence);
  void key_figures(const std::vector<KeyFigure>& figures);
  // Starts a section; it is listed in the contents.
  void section(std::string_view title, std::string_view lead = "");
  void paragraph(std::string_view text);
  // A plot of svg.h with a caption below.
  void figure(std::string_view svg_html, std::string_view caption);
  void table(const PageTable& table);
  // Collapsed until opened.
  void examples(const std::vector<Example>& examples);
  // Name and value pairs.
  void facts(const std::vector<std::pair<std::string, std::string>>& facts);
  // The whole page.
  std::string html() const;

 private:
  std::string title_;
  std::string subtitle_;
  std::string head_;  // verdict and key figures
  std::string body_;
  std::vector<std::string> sections_;
  size_t tables_ = 0;
};

}  // namespace merit::report
