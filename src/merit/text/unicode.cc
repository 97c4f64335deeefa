#include "merit/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "merit/core/error.h"
#include "merit/core/strings.h"
#include "merit/text/unicode_exceptions.h"
#include "merit/text/unicode_scripts.h"

namespace merit::text {
namespace {

struct LookAlike {
  char32_t first, last, stand_in;
};

// Characters assigned after Unicode 14 (or recategorised), and an older one of the same category and UTF-8 length.
// U+180E stands here because PCRE2 counts it as white space, which the standard no longer does.
constexpr LookAlike kLookAlikes[] = {
    {0x897, 0x897, 0x20d0},      {0xcf3, 0xcf3, 0x903},       {0xece, 0xece, 0x20d0},      {0x180e, 0x180e, 0x200b},
    {0x1b4e, 0x1b4f, 0x2016},    {0x1b7f, 0x1b7f, 0x2016},    {0x1c89, 0x1c89, 0x1e00},    {0x1c8a, 0x1c8a, 0x1e01},
    {0x2427, 0x2429, 0x2600},    {0x2ffc, 0x2fff, 0x2600},    {0x31e4, 0x31e5, 0x2600},    {0x31ef, 0x31ef, 0x2600},
    {0xa7cb, 0xa7cc, 0x1e00},    {0xa7cd, 0xa7cd, 0x1e01},    {0xa7da, 0xa7da, 0x1e00},    {0xa7db, 0xa7db, 0x1e01},
    {0xa7dc, 0xa7dc, 0x1e00},    {0x105c0, 0x105f3, 0x10000}, {0x10d40, 0x10d49, 0x104a0}, {0x10d4a, 0x10d4d, 0x10000},
    {0x10d4e, 0x10d4e, 0x16f93}, {0x10d4f, 0x10d4f, 0x10000}, {0x10d50, 0x10d65, 0x10400}, {0x10d69, 0x10d6d, 0x1d167},
    {0x10d6e, 0x10d6e, 0x10ead}, {0x10d6f, 0x10d6f, 0x16f93}, {0x10d70, 0x10d85, 0x10428}, {0x10d8e, 0x10d8f, 0x1d6c1},
    {0x10ec2, 0x10ec4, 0x10000}, {0x10efc, 0x10eff, 0x1d167}, {0x1123f, 0x11240, 0x10000}, {0x11241, 0x11241, 0x1d167},
    {0x11380, 0x11389, 0x10000}, {0x1138b, 0x1138b, 0x10000}, {0x1138e, 0x1138e, 0x10000}, {0x11390, 0x113b5, 0x10000},
    {0x113b7, 0x113b7, 0x10000}, {0x113b8, 0x113ba, 0x11000}, {0x113bb, 0x113c0, 0x1d167}, {0x113c2, 0x113c2, 0x11000},
    {0x113c5, 0x113c5, 0x11000}, {0x113c7, 0x113ca, 0x11000}, {0x113cc, 0x113cd, 0x11000}, {0x113ce, 0x113ce, 0x1d167},
    {0x113cf, 0x113cf, 0x11000}, {0x113d0, 0x113d0, 0x1d167}, {0x113d1, 0x113d1, 0x10000}, {0x113d2, 0x113d2, 0x1d167},
    {0x113d3, 0x113d3, 0x10000}, {0x113d4, 0x113d5, 0x10100}, {0x113d7, 0x113d8, 0x10100}, {0x113e1, 0x113e2, 0x1d167},
    {0x116d0, 0x116e3, 0x104a0}, {0x1171e, 0x1171e, 0x11000}, {0x11b00, 0x11b09, 0x10100}, {0x11bc0, 0x11be0, 0x10000},
    {0x11be1, 0x11be1, 0x10100}, {0x11bf0, 0x11bf9, 0x104a0}, {0x11f00, 0x11f01, 0x1d167}, {0x11f02, 0x11f02, 0x10000},
    {0x11f03, 0x11f03, 0x11000}, {0x11f04, 0x11f10, 0x10000}, {0x11f12, 0x11f33, 0x10000}, {0x11f34, 0x11f35, 0x11000},
    {0x11f36, 0x11f3a, 0x1d167}, {0x11f3e, 0x11f3f, 0x11000}, {0x11f40, 0x11f40, 0x1d167}, {0x11f41, 0x11f41, 0x11000},
    {0x11f42, 0x11f42, 0x1d167}, {0x11f43, 0x11f4f, 0x10100}, {0x11f50, 0x11f59, 0x104a0}, {0x11f5a, 0x11f5a, 0x1d167},
    {0x1342f, 0x1342f, 0x10000}, {0x13439, 0x1343f, 0x1d173}, {0x13440, 0x13440, 0x1d167}, {0x13441, 0x13446, 0x10000},
    {0x13447, 0x13455, 0x1d167}, {0x13460, 0x143fa, 0x10000}, {0x16100, 0x1611d, 0x10000}, {0x1611e, 0x16129, 0x1d167},
    {0x1612a, 0x1612c, 0x11000}, {0x1612d, 0x1612f, 0x1d167}, {0x16130, 0x16139, 0x104a0}, {0x16d40, 0x16d42, 0x16f93},
    {0x16d43, 0x16d6a, 0x10000}, {0x16d6b, 0x16d6c, 0x16f93}, {0x16d6d, 0x16d6f, 0x10100}, {0x16d70, 0x16d79, 0x104a0},
    {0x18cff, 0x18cff, 0x10000}, {0x1b132, 0x1b132, 0x10000}, {0x1b155, 0x1b155, 0x10000}, {0x1cc00, 0x1ccef, 0x1f300},
    {0x1ccf0, 0x1ccf9, 0x104a0}, {0x1cd00, 0x1ceb3, 0x1f300}, {0x1d2c0, 0x1d2d3, 0x10107}, {0x1df25, 0x1df2a, 0x10428},
    {0x1e030, 0x1e06d, 0x16f93}, {0x1e08f, 0x1e08f, 0x1d167}, {0x1e4d0, 0x1e4ea, 0x10000}, {0x1e4eb, 0x1e4eb, 0x16f93},
    {0x1e4ec, 0x1e4ef, 0x1d167}, {0x1e4f0, 0x1e4f9, 0x104a0}, {0x1e5d0, 0x1e5ed, 0x10000}, {0x1e5ee, 0x1e5ef, 0x1d167},
    {0x1e5f0, 0x1e5f0, 0x10000}, {0x1e5f1, 0x1e5fa, 0x104a0}, {0x1e5ff, 0x1e5ff, 0x10100}, {0x1f6dc, 0x1f6dc, 0x1f300},
    {0x1f774, 0x1f776, 0x1f300}, {0x1f77b, 0x1f77f, 0x1f300}, {0x1f7d9, 0x1f7d9, 0x1f300}, {0x1f8b2, 0x1f8bb, 0x1f300},
    {0x1f8c0, 0x1f8c1, 0x1f300}, {0x1fa75, 0x1fa77, 0x1f300}, {0x1fa87, 0x1fa89, 0x1f300}, {0x1fa8f, 0x1fa8f, 0x1f300},
    {0x1faad, 0x1faaf, 0x1f300}, {0x1fabb, 0x1fabf, 0x1f300}, {0x1fac6, 0x1fac6, 0x1f300}, {0x1face, 0x1facf, 0x1f300},
    {0x1fada, 0x1fadc, 0x1f300}, {0x1fadf, 0x1fadf, 0x1f300}, {0x1fae8, 0x1fae9, 0x1f300}, {0x1faf7, 0x1faf8, 0x1f300},
    {0x1fbcb, 0x1fbef, 0x1f300}, {0x2b739, 0x2b739, 0x20000}, {0x2ebf0, 0x2ee5d, 0x20000}, {0x31350, 0x323af, 0x20000},
};

char32_t look_alike(char32_t c) {
  if (c < kLookAlikes[0].first) return c;
  const auto* end = std::end(kLookAlikes);
  const auto* it = std::upper_bound(std::begin(kLookAlikes), end, c,
                                    [](char32_t value, const LookAlike& entry) { return value < entry.first; });
  --it;
  return c <= it->last ? it->stand_in : c;
}

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(look_alike(c))); }

bool in(char32_t c, char32_t first, char32_t last) { return first <= c && c <= last; }

// The bytes of the longest prefix of a well-formed sequence that starts at byte i, at least 1; `whole` if it is one.
size_t maximal_part(std::string_view text, size_t i, bool& whole) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char lead = byte(i);
  whole = lead < 0x80;
  if (whole || lead < 0xc2 || lead > 0xf4) return 1;
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  unsigned char low = 0x80, high = 0xbf;  // what the second byte may be: Unicode, table 3-7
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  size_t n = 1;
  for (; n < length && i + n < text.size() && low <= byte(i + n) && byte(i + n) <= high; ++n) low = 0x80, high = 0xbf;
  whole = n == length;
  return n;
}

size_t ascii_prefix(std::string_view text, size_t i) {
  while (i + 8 <= text.size()) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    if (word & 0x8080808080808080u) break;
    i += 8;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

}  // namespace

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

bool is_ascii(std::string_view text) { return ascii_prefix(text, 0) == text.size(); }

bool is_valid_utf8(std::string_view text) {
  for (size_t i = ascii_prefix(text, 0); i < text.size(); i = ascii_prefix(text, i)) {
    bool whole = false;
    i += maximal_part(text, i, whole);
    if (!whole) return false;
  }
  return true;
}

std::string repair_utf8(std::string_view bytes, std::vector<uint32_t>* sources) {
  std::string out;
  out.reserve(bytes.size() + 16);
  for (size_t i = 0; i < bytes.size();) {
    bool whole = false;
    const size_t n = maximal_part(bytes, i, whole);
    if (whole) {
      out.append(bytes, i, n);
      for (size_t k = 0; sources && k < n; ++k) sources->push_back(static_cast<uint32_t>(i + k));
    } else {
      out += "\xef\xbf\xbd";
      if (sources) sources->insert(sources->end(), 3, static_cast<uint32_t>(i));
    }
    i += n;
  }
  if (sources) sources->push_back(static_cast<uint32_t>(bytes.size()));
  return out;
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || in(c, 9, 13);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || in(c, 0x2000, 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

bool is_white_space(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    if (!is_space(c.value)) return false;
    i += c.length;
  }
  return true;
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return in(c, '0', '9');
  if (in(c, 0x11de0, 0x11de9) || in(c, 0x16ff4, 0x16ff6)) return true;  // Unicode 17, which the reference has here
  const auto k = category(c);
  return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t c) {
  const auto k = category(c);
  if (c == 0x166d || c == 0x111c9) return true;  // were punctuation in the reference's version
  return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO && !is_in(kNotPunctuation, c);
}

bool is_mark(char32_t c) {
  const auto k = category(c);
  if (c == 0x1cf2 || c == 0x1cf3) return true;  // were marks in the reference's version
  return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME && !is_in(kNotMark, c);
}

bool is_nonspacing_mark(char32_t c) { return category(c) == UTF8PROC_CATEGORY_MN && !is_in(kNotNonspacing, c); }

bool is_other(char32_t c) {
  const auto k = category(c);
  return (k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO) && !is_in(kNotOther, c);
}

bool is_word(char32_t c) {
  if (c < 0x80) return in(c | 0x20, 'a', 'z') || in(c, '0', '9') || c == '_';
  const auto k = category(c);
  if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_ME) return true;
  if (k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_PC) return true;
  // Join_Control, and the symbols that are Other_Alphabetic.
  return c == 0x200c || c == 0x200d || in(c, 0x24b6, 0x24e9) || in(c, 0x1f130, 0x1f149) || in(c, 0x1f150, 0x1f169) ||
         in(c, 0x1f170, 0x1f189);
}

char32_t to_lower(char32_t c) {
  if (c < 0x80) return in(c, 'A', 'Z') ? c | 0x20 : c;
  // Letters of Unicode 15 to 17, which utf8proc's tables do not know.
  if (in(c, 0x10d50, 0x10d65)) return c + 0x20;
  if (in(c, 0x16ea0, 0x16eb8)) return c + 0x1b;
  if (c == 0xa7cb) return 0x264;
  if (c == 0xa7dc) return 0x19b;
  for (const char32_t upper : {0x1c89, 0xa7cc, 0xa7ce, 0xa7d2, 0xa7d4, 0xa7da}) {
    if (c == upper) return c + 1;
  }
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

int script_of(char32_t c) {
  const auto* it = std::partition_point(std::begin(kScripts), std::end(kScripts),
                                        [c](const ScriptRange& range) { return range.last < c; });
  return it != std::end(kScripts) && it->first <= c ? it->script : 0;
}

bool make_look_alike(std::string_view text, std::string& out) {
  size_t done = 0;
  bool any = false;
  std::string result;
  for (size_t i = ascii_prefix(text, 0); i < text.size(); i = ascii_prefix(text, i)) {
    const CodePoint c = code_point_at(text, i);
    if (const char32_t other = look_alike(c.value); other != c.value) {
      if (!any) result.reserve(text.size());
      any = true;
      result.append(text, done, i - done);
      append_utf8(result, other);
      done = i + c.length;
    }
    i += c.length;
  }
  if (!any) return false;
  result.append(text, done);
  out = std::move(result);
  return true;
}

bool is_surely_normal(std::string_view text, NormalForm form) {
  // NFC keeps everything below U+0300 and these common blocks; the other forms keep ASCII.
  for (size_t i = ascii_prefix(text, 0); i < text.size(); i = ascii_prefix(text, i)) {
    if (form != NormalForm::kNfc) return false;
    const CodePoint c = code_point_at(text, i);
    if (c.value >= 0x300 && !in(c.value, 0x2010, 0x2027) && !in(c.value, 0x3041, 0x3096) &&
        !in(c.value, 0x4e00, 0x9fff))
      return false;
    i += c.length;
  }
  return true;
}

namespace {

// utf8proc orders combining marks by exchanging neighbours: quadratic on a long run of them. Runs over kLongRun are
// ordered here first, which changes no normal form.
constexpr size_t kLongRun = 64;

bool order_long_runs(std::string_view text, std::string& out) {
  std::vector<std::pair<int, char32_t>> run;
  std::string result;
  bool any = false;
  const auto flush = [&] {
    if (run.size() > kLongRun) {
      any = true;
      std::stable_sort(run.begin(), run.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    for (const auto& [combining_class, c] : run) append_utf8(result, c);
    run.clear();
  };
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    const int combining_class = utf8proc_get_property(static_cast<utf8proc_int32_t>(c.value))->combining_class;
    if (combining_class == 0) {
      flush();
      append_utf8(result, c.value);
    } else {
      run.emplace_back(combining_class, c.value);
    }
    i += c.length;
  }
  flush();
  if (any) out = std::move(result);
  return any;
}

std::string standard_form(std::string_view text, NormalForm form) {
  std::string ordered;
  if (text.size() > 2 * kLongRun && order_long_runs(text, ordered)) text = ordered;
  int options = UTF8PROC_STABLE;
  options |= form == NormalForm::kNfc || form == NormalForm::kNfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::kNfkc || form == NormalForm::kNfkd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* raw = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &raw, static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(raw, &std::free);
  MERIT_CHECK(size >= 0);  // the text is valid UTF-8
  return std::string(reinterpret_cast<const char*>(raw), static_cast<size_t>(size));
}

}  // namespace

std::string normal_form(std::string_view text, NormalForm form) {
  // What the reference's tables do not know stands as it is, and nothing composes or is ordered across it.
  std::string out;
  size_t done = 0;
  for (size_t i = ascii_prefix(text, 0); i < text.size(); i = ascii_prefix(text, i)) {
    const CodePoint c = code_point_at(text, i);
    if (is_in(kNotNormalized, c.value)) {
      out += standard_form(text.substr(done, i - done), form);
      out += text.substr(i, c.length);
      done = i + c.length;
    }
    i += c.length;
  }
  return done == 0 ? standard_form(text, form) : out + standard_form(text.substr(done), form);
}

bool starts_segment(char32_t c, NormalForm form) {
  if (c < 0x300 || is_in(kNotNormalized, c)) return true;
  // Jamo vowels and finals compose with what stands before them.
  if (in(c, 0x1161, 0x1175) || in(c, 0x11a8, 0x11c2)) return false;
  const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
  const auto k = category(c);
  if (property->combining_class != 0 || (k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME)) return false;
  // A compatibility form may begin with a mark (U+FF9E decomposes to U+3099).
  return form == NormalForm::kNfc || form == NormalForm::kNfd || !in(c, 0xff9e, 0xff9f);
}

}  // namespace merit::text
