// Unicode as the tokenizers need it: code points, categories and normal forms of the standard's version 16, from
// utf8proc's and PCRE2's older tables through look-alikes: each character assigned since Unicode 14 has the category
// of an older character of the same UTF-8 length, so a look-alike text has the same offsets.
// All functions are pure and thread-safe; texts are well-formed UTF-8 unless it says otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace merit::text {

struct CodePoint {
  char32_t value;
  size_t length;  // bytes
};

// The character that starts at byte i.
inline CodePoint code_point_at(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[i + k]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xe0) return {char32_t(lead & 0x1f) << 6 | char32_t(byte(1) & 0x3f), 2};
  if (lead < 0xf0) return {char32_t(lead & 0xf) << 12 | char32_t(byte(1) & 0x3f) << 6 | char32_t(byte(2) & 0x3f), 3};
  return {char32_t(lead & 7) << 18 | char32_t(byte(1) & 0x3f) << 12 | char32_t(byte(2) & 0x3f) << 6 |
              char32_t(byte(3) & 0x3f),
          4};
}
// The byte at which the character before byte i starts; i must not be 0.
inline size_t previous_boundary(std::string_view text, size_t i) {
  do --i;
  while (i > 0 && (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80);
  return i;
}
void append_utf8(std::string& out, char32_t c);

// Whether every byte is ASCII; whether the text (any bytes) is UTF-8. Both read eight bytes at a time where they can.
bool is_ascii(std::string_view text);
bool is_valid_utf8(std::string_view text);

// Any bytes as UTF-8, as Python's bytes.decode(errors="replace"): each maximal part of a broken sequence becomes one
// U+FFFD. sources[k] is the byte of `bytes` from which byte k of the result comes, with bytes.size() at the end.
std::string repair_utf8(std::string_view bytes, std::vector<uint32_t>* sources = nullptr);

bool is_space(char32_t c);                   // White_Space
bool is_white_space(std::string_view text);  // all of it
bool is_numeric(char32_t c);                 // Nd, Nl, No
bool is_punctuation(char32_t c);             // Pc, Pd, Ps, Pe, Pi, Pf, Po
bool is_mark(char32_t c);                    // Mn, Mc, Me
bool is_nonspacing_mark(char32_t c);
bool is_other(char32_t c);  // Cc, Cf, Co
bool is_word(char32_t c);   // \w of UTS 18: alphabetic, marks, decimal digits, connectors, joiners
char32_t to_lower(char32_t c);
int script_of(char32_t c);  // a number for each script, 0 for none; Han and kana are one

// The text with every character that PCRE2's tables do not know, or class otherwise, replaced by a look-alike of the
// same length; returns false and leaves `out` alone if there is none.
bool make_look_alike(std::string_view text, std::string& out);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
// Whether the text surely is in the form already (false: perhaps not).
bool is_surely_normal(std::string_view text, NormalForm form);
std::string normal_form(std::string_view text, NormalForm form);
// Canonical combining class 0 and never composed with what stands before it: the form of a text is the forms of its
// parts cut before such characters.
bool starts_segment(char32_t c, NormalForm form);

}  // namespace merit::text
