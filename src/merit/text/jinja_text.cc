#include "merit/text/jinja_text.h"

#include <utf8proc.h>

#include <algorithm>

#include "merit/text/jinja_casing.h"

namespace merit::text::jinja {

void TextBuilder::mark(size_t begin, size_t end, uint8_t marks) {
  if (marks == 0 || begin == end) return;
  std::vector<Span>& spans = text_.spans;
  if (!spans.empty() && spans.back().end == begin && spans.back().marks == marks) {
    spans.back().end = end;
  } else {
    spans.push_back({begin, end, marks});
  }
}

void TextBuilder::append(std::string_view bytes, uint8_t marks) {
  const size_t begin = text_.bytes.size();
  text_.bytes.append(bytes);
  mark(begin, text_.bytes.size(), marks);
}

void TextBuilder::append(const Text& text, size_t begin, size_t end, uint8_t extra) {
  const size_t at = text_.bytes.size();
  text_.bytes.append(text.bytes, begin, end - begin);
  size_t done = begin;  // bytes before it are marked
  auto span = std::partition_point(text.spans.begin(), text.spans.end(), [&](const Span& s) { return s.end <= begin; });
  for (; span != text.spans.end() && span->begin < end; ++span) {
    const size_t from = std::max(span->begin, begin);
    const size_t to = std::min(span->end, end);
    mark(at + (done - begin), at + (from - begin), extra);
    mark(at + (from - begin), at + (to - begin), span->marks | extra);
    done = to;
  }
  mark(at + (done - begin), at + (end - begin), extra);
}

void TextBuilder::append_code_point(int32_t c, uint8_t marks) {
  std::string bytes;
  append_utf8(bytes, c);
  append(bytes, marks);
}

Text slice(const Text& text, size_t begin, size_t end) {
  TextBuilder out;
  out.append(text, begin, end);
  Text piece = out.take();
  piece.safe = text.safe;
  return piece;
}

uint8_t marks_at(const Text& text, size_t byte) {
  auto span = std::partition_point(text.spans.begin(), text.spans.end(), [&](const Span& s) { return s.end <= byte; });
  return span != text.spans.end() && span->begin <= byte ? span->marks : 0;
}

CodePoint code_point_at(std::string_view text, size_t byte) {
  const auto at = [&](size_t i) { return static_cast<int32_t>(static_cast<unsigned char>(text[i])); };
  const int32_t first = at(byte);
  if (first < 0x80) return {first, byte + 1};
  if (first < 0xE0) return {(first & 0x1F) << 6 | (at(byte + 1) & 0x3F), byte + 2};
  if (first < 0xF0) return {(first & 0x0F) << 12 | (at(byte + 1) & 0x3F) << 6 | (at(byte + 2) & 0x3F), byte + 3};
  return {(first & 0x07) << 18 | (at(byte + 1) & 0x3F) << 12 | (at(byte + 2) & 0x3F) << 6 | (at(byte + 3) & 0x3F),
          byte + 4};
}

size_t count_code_points(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

size_t byte_of(std::string_view text, size_t index) {
  size_t byte = 0;
  while (index > 0 && byte < text.size()) {
    byte = code_point_at(text, byte).next;
    --index;
  }
  return byte;
}

void append_utf8(std::string& out, int32_t c) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t n = utf8proc_encode_char(c, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
}

bool is_space(int32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_alpha(int32_t c) {
  const utf8proc_category_t k = utf8proc_category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(int32_t c) { return utf8proc_category(c) == UTF8PROC_CATEGORY_ND; }

// Superscripts, circled and full-stop digits: digits by property though not decimal.
bool is_digit(int32_t c) {
  if (is_decimal(c)) return true;
  return c == 0xB2 || c == 0xB3 || c == 0xB9 || (c >= 0x1369 && c <= 0x1371) || c == 0x19DA || c == 0x2070 ||
         (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) || (c >= 0x2460 && c <= 0x2468) ||
         (c >= 0x2474 && c <= 0x247C) || (c >= 0x2488 && c <= 0x2490) || c == 0x24EA || (c >= 0x24F5 && c <= 0x24FD) ||
         c == 0x24FF || (c >= 0x2776 && c <= 0x277E) || (c >= 0x2780 && c <= 0x2788) || (c >= 0x278A && c <= 0x2792) ||
         (c >= 0x10A40 && c <= 0x10A43) || (c >= 0x10E60 && c <= 0x10E68) || (c >= 0x11052 && c <= 0x1105A) ||
         (c >= 0x1F100 && c <= 0x1F10A);
}

// Other numbers and letter numbers; ideographic numerals are left out.
bool is_numeric(int32_t c) {
  const utf8proc_category_t k = utf8proc_category(c);
  return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool is_printable(int32_t c) {
  if (c == ' ') return true;
  const utf8proc_category_t k = utf8proc_category(c);
  return k != UTF8PROC_CATEGORY_CN && (k < UTF8PROC_CATEGORY_ZS);
}

bool is_upper(int32_t c) { return utf8proc_isupper(c) != 0 && utf8proc_category(c) != UTF8PROC_CATEGORY_LT; }
bool is_lower(int32_t c) { return utf8proc_islower(c) != 0; }
bool is_title(int32_t c) { return utf8proc_category(c) == UTF8PROC_CATEGORY_LT; }
bool is_cased(int32_t c) { return is_upper(c) || is_lower(c) || is_title(c); }

namespace {

void upper(int32_t c, uint8_t marks, TextBuilder& out) {
  if (const SpecialCase* special = special_case(c)) {
    for (int32_t u : special->upper) {
      if (u != 0) out.append_code_point(u, marks);
    }
    return;
  }
  out.append_code_point(utf8proc_toupper(c), marks);
}

void title(int32_t c, uint8_t marks, TextBuilder& out) {
  if (const SpecialCase* special = special_case(c)) {
    for (int32_t t : special->title) {
      if (t != 0) out.append_code_point(t, marks);
    }
    return;
  }
  out.append_code_point(utf8proc_totitle(c), marks);
}

// A character that Unicode's final-sigma rule looks through.
bool is_case_ignorable(int32_t c) {
  const utf8proc_category_t k = utf8proc_category(c);
  return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF ||
         k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' || c == 0xB7 ||
         c == 0x2018 || c == 0x2019;
}

bool is_final_sigma(std::string_view text, size_t byte, size_t next) {
  size_t i = byte;
  bool before = false;
  while (i > 0) {
    do --i;
    while ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80);
    const int32_t c = code_point_at(text, i).value;
    if (is_case_ignorable(c)) continue;
    before = is_cased(c);
    break;
  }
  if (!before) return false;
  for (i = next; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    if (!is_case_ignorable(c.value)) return !is_cased(c.value);
    i = c.next;
  }
  return true;
}

void lower(std::string_view text, size_t byte, CodePoint c, uint8_t marks, TextBuilder& out) {
  if (c.value == 0x130) {
    out.append("i\xCC\x87", marks);
  } else if (c.value == 0x3A3) {
    out.append_code_point(is_final_sigma(text, byte, c.next) ? 0x3C2 : 0x3C3, marks);
  } else {
    out.append_code_point(utf8proc_tolower(c.value), marks);
  }
}

void fold(int32_t c, uint8_t marks, TextBuilder& out) {
  utf8proc_int32_t folded[8];
  int last_class = UTF8PROC_BOUNDCLASS_START;
  const utf8proc_ssize_t n = utf8proc_decompose_char(c, folded, 8, UTF8PROC_CASEFOLD, &last_class);
  for (utf8proc_ssize_t i = 0; i < std::min<utf8proc_ssize_t>(n, 8); ++i) out.append_code_point(folded[i], marks);
}

}  // namespace

Text map_case(const Text& text, Case to) {
  TextBuilder out;
  bool in_word = false;  // the character before is cased
  for (size_t byte = 0; byte < text.bytes.size();) {
    const CodePoint c = code_point_at(text.bytes, byte);
    const uint8_t marks = text.spans.empty() ? 0 : marks_at(text, byte);
    const bool first = to == Case::kCapitalize ? byte == 0 : !in_word;
    if (to == Case::kFold) {
      fold(c.value, marks, out);
    } else if (to == Case::kUpper || (to == Case::kSwap && is_lower(c.value))) {
      upper(c.value, marks, out);
    } else if (to == Case::kSwap && !is_upper(c.value)) {
      out.append_code_point(c.value, marks);
    } else if ((to == Case::kTitle || to == Case::kCapitalize) && first) {
      title(c.value, marks, out);
    } else {
      lower(text.bytes, byte, c, marks, out);
    }
    in_word = is_cased(c.value);
    byte = c.next;
  }
  Text mapped = out.take();
  mapped.safe = text.safe;
  return mapped;
}

}  // namespace merit::text::jinja
