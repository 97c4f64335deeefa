#include "merit/report/page.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <charconv>
#include <cmath>

#include "merit/core/error.h"
#include "merit/core/hash.h"
#include "merit/core/strings.h"
#include "merit/report/page_assets.h"
#include "merit/report/table.h"

namespace merit::report {
namespace {

constexpr size_t kMostShown = 6000;  // characters of one text of an example

bool is_bidi_control(utf8proc_int32_t code) {
  return (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0x200E || code == 0x200F ||
         code == 0x061C;
}

void append_code(utf8proc_int32_t code, std::string_view bytes, std::string& out) {
  if (code < 0x20 && code != '\n' && code != '\t') {
    unsigned char picture[4];
    auto length = utf8proc_encode_char(0x2400 + code, picture);
    out.append(reinterpret_cast<char*>(picture), static_cast<size_t>(length));
  } else if (code == 0x7F) {
    out += "\xE2\x90\xA1";  // U+2421, the picture of DEL
  } else if ((code >= 0x80 && code < 0xA0) || (code & 0xFFFE) == 0xFFFE || (code >= 0xFDD0 && code <= 0xFDEF)) {
    out += "\xEF\xBF\xBD";
  } else if (is_bidi_control(code)) {
    out += fmt::format("[U+{:04X}]", code);
  } else {
    out += bytes;
  }
}

// Escapes up to `max` characters; returns the byte where it stopped.
size_t escape(std::string_view text, size_t max, std::string& out) {
  size_t i = 0;
  for (size_t characters = 0; i < text.size() && characters < max; ++characters) {
    size_t length = utf8_length_at(text, i);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++i;
      continue;
    }
    std::string_view bytes = text.substr(i, length);
    utf8proc_int32_t code = 0;
    utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(bytes.data()), static_cast<utf8proc_ssize_t>(length),
                     &code);
    i += length;
    switch (code) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '\r':
        if (i < text.size() && text[i] == '\n') break;  // a Windows line end is a line end
        [[fallthrough]];
      default:
        append_code(code, bytes, out);
    }
  }
  return i;
}

// The number a cell starts with, for sorting; "41.2% [..]" is 41.2, "12,345" is 12345.
std::string sort_value(std::string_view cell) {
  std::string digits;
  for (char c : cell.substr(0, std::min(cell.find_first_of(" %["), cell.size()))) {
    if (c != ',' && !(c == '+' && digits.empty())) digits += c;
  }
  double value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value)) return "";
  return fmt::format(R"( data-v="{}")", format_double(value));
}

std::string tag_class(bool numeric) { return numeric ? R"( class="num")" : ""; }

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  escape(text, text.size(), out);
  return out;
}

std::string escape_html_cut(std::string_view text, size_t max) {
  std::string out;
  size_t end = escape(text, max, out);
  size_t left = 0;
  for (; end < text.size(); end += std::max<size_t>(1, utf8_length_at(text, end))) ++left;
  if (left > 0) out += fmt::format("… ({} more characters)", format_count(left));
  return out;
}

Page::Page(std::string title, std::string subtitle) : title_(std::move(title)), subtitle_(std::move(subtitle)) {}

void Page::verdict(std::string_view tone, std::string_view sentence) {
  MERIT_CHECK(tone == "good" || tone == "bad" || tone == "neutral");
  const char* mark = tone == "good" ? "▲" : tone == "bad" ? "▼" : "●";
  head_ += fmt::format(R"(<p class="verdict {}"><i aria-hidden="true">{}</i><span>{}</span></p>)", tone, mark,
                       escape_html(sentence));
}

void Page::key_figures(const std::vector<KeyFigure>& figures) {
  head_ += R"(<dl class="figures">)";
  for (const KeyFigure& f : figures) {
    head_ += fmt::format("<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>", escape_html(f.label),
                         escape_html(f.value), escape_html(f.note));
  }
  head_ += "</dl>\n";
}

void Page::section(std::string_view title, std::string_view lead) {
  sections_.emplace_back(title);
  body_ += fmt::format("<h2 id=\"s{}\">{}</h2>\n", sections_.size(), escape_html(title));
  if (!lead.empty()) body_ += fmt::format("<p class=\"lead\">{}</p>\n", escape_html(lead));
}

void Page::paragraph(std::string_view text) { body_ += fmt::format("<p>{}</p>\n", escape_html(text)); }

void Page::figure(std::string_view svg_html, std::string_view caption) {
  body_ += fmt::format("<figure><div>{}</div><figcaption>{}</figcaption></figure>\n", svg_html, escape_html(caption));
}

void Page::table(const PageTable& table) {
  std::string id = fmt::format("t{}", ++tables_);
  if (table.filter) {
    body_ += fmt::format(
        R"(<p class="filter" hidden><label for="{0}f">Filter</label><input id="{0}f" type="search" aria-controls="{0}" autocomplete="off"><output></output></p>)",
        id);
  }
  body_ += fmt::format(R"(<div class="scroll"><table class="data" id="{}">)", id);
  if (!table.caption.empty()) body_ += fmt::format("<caption>{}</caption>", escape_html(table.caption));
  body_ += "<thead><tr>";
  for (const PageColumn& column : table.columns) {
    body_ += fmt::format(R"(<th scope="col"{}>{}</th>)", tag_class(column.numeric), escape_html(column.title));
  }
  body_ += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    MERIT_CHECK(row.size() == table.columns.size());
    body_ += "<tr>";
    for (size_t c = 0; c < row.size(); ++c) {
      bool numeric = table.columns[c].numeric;
      body_ += fmt::format("<td{}{}>{}</td>", tag_class(numeric), numeric ? sort_value(row[c]) : R"( dir="auto")",
                           escape_html(row[c]));
    }
    body_ += "</tr>\n";
  }
  body_ += "</tbody></table></div>\n";
}

void Page::examples(const std::vector<Example>& examples) {
  auto block = [](std::string_view title, std::string_view text) {
    return fmt::format(R"(<h3>{}</h3><pre dir="auto">{}</pre>)", title, escape_html_cut(text, kMostShown));
  };
  for (const Example& example : examples) {
    body_ += fmt::format(R"(<details><summary dir="auto">{}</summary><div class="example">)",
                         escape_html_cut(example.title, 200));
    body_ += block("Prompt", example.prompt);
    if (!example.reference.empty()) body_ += block("Reference", example.reference);
    body_ += R"(<div class="pair">)";
    for (const ExampleAnswer& answer : example.answers) {
      body_ += fmt::format(R"(<div class="answer {}"><h3><b>{}</b> · {}</h3><pre dir="auto">{}</pre></div>)",
                           answer.good ? "good" : "bad", escape_html(answer.title), escape_html(answer.note),
                           escape_html_cut(answer.text, kMostShown));
    }
    body_ += "</div></div></details>\n";
  }
}

void Page::facts(const std::vector<std::pair<std::string, std::string>>& facts) {
  body_ += R"(<dl class="facts">)";
  for (const auto& [name, value] : facts) {
    body_ += fmt::format(R"(<dt>{}</dt><dd dir="auto">{}</dd>)", escape_html(name), escape_html_cut(value, kMostShown));
  }
  body_ += "</dl>\n";
}

std::string Page::html() const {
  // A second wall behind the escaping: only this page's own script runs, and nothing is loaded. The nonce is a hash of
  // the whole content, so no record can know it.
  std::string nonce = hash_hex(title_ + head_ + body_);
  std::string contents;
  for (size_t i = 0; i < sections_.size(); ++i) {
    contents += fmt::format("<a href=\"#s{}\">{}</a>", i + 1, escape_html(sections_[i]));
  }
  return fmt::format(
      R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; base-uri 'none'; form-action 'none'">
<title>{1}</title>
<style nonce="{0}">{2}</style></head>
<body><main>
<header><h1>{1}</h1><p class="subtitle" dir="auto">{3}</p>
{4}<nav aria-label="Contents">{5}</nav></header>
{6}</main>
<script nonce="{0}">{7}</script>
</body></html>
)",
      nonce, escape_html(title_), kPageStyle, escape_html(subtitle_), head_, contents, body_, kPageScript);
}

}  // namespace merit::report
