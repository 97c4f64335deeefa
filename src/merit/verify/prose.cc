#include "merit/verify/prose.h"

#include <algorithm>
#include <vector>

#include "merit/core/strings.h"
#include "merit/verify/units.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxWord = 256;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool has_digit(std::string_view text) { return std::any_of(text.begin(), text.end(), is_digit); }

// The words of one line, as they stand.
std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (size_t i = 0; i < line.size();) {
    size_t end = line.find(' ', i);
    if (end == std::string_view::npos) end = line.size();
    if (end > i) words.push_back(line.substr(i, end - i));
    i = end + 1;
  }
  return words;
}

// Without quotes, emphasis, sentence ends and brackets that do not pair.
std::string_view bare(std::string_view word) {
  const auto more = [&](char a, char b) {
    return std::count(word.begin(), word.end(), a) > std::count(word.begin(), word.end(), b);
  };
  while (!word.empty()) {
    const char first = word.front();
    const char last = word.back();
    if (std::string_view("\"'*_`#~").find(first) != std::string_view::npos || (first == '(' && more('(', ')')) ||
        (first == '[' && more('[', ']'))) {
      word.remove_prefix(1);
    } else if (std::string_view(".,;:?!\"'*_`").find(last) != std::string_view::npos ||
               (last == ')' && more(')', '(')) || (last == ']' && more(']', '[')) || (last == '}' && more('}', '{'))) {
      word.remove_suffix(1);
    } else {
      break;
    }
  }
  return word;
}

// A word that gives a number, or that holds one we cannot read: not "x2", "CO2", "B12".
bool is_number_word(std::string_view word) {
  if (word.size() > kMaxWord || !has_digit(word)) return false;
  word = bare(word);
  return !word.empty() && (!is_letter(word[0]) || word.find('=') != std::string_view::npos);
}

bool is_operator(std::string_view word) {
  return word.size() == 1 ? std::string_view("+-*/=^x").find(word[0]) != std::string_view::npos : word == "\\pm";
}
bool is_sign(std::string_view word) {
  const std::string lower = to_lower_ascii(word);
  return word == "-" || word == "\\pm" || lower == "minus" || lower == "negative";
}
bool is_operand(std::string_view word) {
  return has_digit(word) || (bare(word).size() == 1 && is_letter(bare(word)[0])) ||
         word.find('\\') != std::string_view::npos;
}
bool is_whole(std::string_view word) { return !word.empty() && std::all_of(word.begin(), word.end(), is_digit); }
bool is_fraction(std::string_view word) {
  const size_t slash = word.find('/');
  return slash != std::string_view::npos && is_whole(word.substr(0, slash)) && is_whole(word.substr(slash + 1));
}
bool is_scale(std::string_view word) {
  const std::string lower = to_lower_ascii(bare(word));
  for (const char* scale : {"%", "percent", "hundred", "thousand", "million", "billion", "trillion"}) {
    if (lower == scale) return true;
  }
  return false;
}
// Whether a sentence or clause ends with this word.
bool ends_clause(std::string_view word) {
  while (!word.empty() && std::string_view("\"'*_`)").find(word.back()) != std::string_view::npos)
    word.remove_suffix(1);
  return !word.empty() && std::string_view(".,;:?!").find(word.back()) != std::string_view::npos;
}

using Words = std::vector<std::string_view>;

// "cm", "km/h"; not "in", which is a word.
bool is_unit(std::string_view word) {
  return word.size() > 1 && word != "in" && word.find('.') == std::string_view::npos && find_unit(word).has_value();
}

bool is_half_of_day(std::string_view word) {
  const std::string lower = to_lower_ascii(word);
  return lower == "am" || lower == "pm" || lower == "a.m" || lower == "p.m";
}

// words[first .. last], which stand in one line, with a scale word or a unit behind.
std::string span(const Words& words, size_t first, size_t last) {
  if (last - first > kMaxWord) return std::string(bare(words[last]));
  if (last + 1 < words.size() && !ends_clause(words[last]) && is_scale(words[last + 1])) ++last;
  if (last + 1 < words.size() && !ends_clause(words[last]) &&
      (is_unit(bare(words[last + 1])) || is_half_of_day(bare(words[last + 1])))) {
    ++last;
  }
  const char* begin = words[first].data();
  std::string_view text = bare({begin, static_cast<size_t>(words[last].data() + words[last].size() - begin)});
  // "5-year-old"
  for (size_t at = text.find('-', 1); at != std::string_view::npos; at = text.find('-', at + 1)) {
    if (is_digit(text[at - 1]) && at + 2 < text.size() && is_letter(text[at + 1]) && is_letter(text[at + 2])) {
      text = text.substr(0, at);
      break;
    }
  }
  return std::string(text);
}

size_t extend_left(const Words& words, size_t k) {
  const size_t last = k;
  if (k > 0 && is_fraction(bare(words[k])) && is_whole(words[k - 1])) --k;
  while (k > 0) {
    const std::string_view before = words[k - 1];
    const bool bullet = k == 1 && (before == "-" || before == "*" || before == "+");
    if (bullet) break;
    if (is_operator(before)) {
      --k;
      if (k > 0 && is_operand(words[k - 1]) && !(ends_clause(words[k - 1]) && k - 1 != last)) --k;
    } else if (is_sign(before)) {
      --k;
    } else {
      break;
    }
  }
  return k;
}

// Whether the value that starts at words[first] is one of a list of unknowns: "x = 1, y = 2".
bool among_unknowns(const Words& words, size_t first) {
  if (first == 0 || words[first].find('=') == std::string_view::npos) {
    if (first + 1 >= words.size() || first < 2 || words[first + 1] != "=") return false;
    return words[first].size() == 1 && words[first - 1].ends_with(',') && words[first - 2] == "=";
  }
  return words[first - 1].ends_with(',') && words[first - 1].find('=') != std::string_view::npos;
}

size_t extend_right(const Words& words, size_t k) {
  while (k + 1 < words.size() && !ends_clause(words[k])) {
    if (is_whole(words[k]) && is_fraction(bare(words[k + 1]))) {
      ++k;
    } else if (is_operator(words[k + 1]) && k + 2 < words.size() && is_operand(words[k + 2])) {
      k += 2;
    } else {
      break;
    }
  }
  return k;
}

// "5 or 6", "5, 6": several answers are none.
bool offers_another(const Words& words, size_t last) {
  if (last + 1 >= words.size()) return false;
  const std::string_view word = words[last];
  if (word.ends_with(',') || word.ends_with(';')) return is_number_word(words[last + 1]);
  const std::string next = to_lower_ascii(words[last + 1]);
  return (next == "or" || next == "and") && last + 2 < words.size() && is_number_word(words[last + 2]);
}

}  // namespace

FoundNumber first_number(std::string_view plain) {
  for (const std::string_view line : split(plain, '\n')) {
    const Words words = words_of(line);
    const auto found = std::find_if(words.begin(), words.end(), is_number_word);
    if (found == words.end()) continue;
    size_t first = static_cast<size_t>(found - words.begin());
    const size_t last = extend_right(words, first);
    while (first > 0 && is_sign(words[first - 1])) --first;
    return {span(words, first, last), offers_another(words, last)};
  }
  return {};
}

FoundNumber last_number(std::string_view plain) {
  for (size_t end = plain.size();;) {
    const size_t newline = end == 0 ? std::string_view::npos : plain.rfind('\n', end - 1);
    const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
    const Words words = words_of(plain.substr(start, end - start));
    const auto found = std::find_if(words.rbegin(), words.rend(), is_number_word);
    if (found != words.rend()) {
      const size_t last = static_cast<size_t>(words.rend() - found) - 1;
      const size_t first = extend_left(words, last);
      return {span(words, first, last), among_unknowns(words, first)};
    }
    if (start == 0) return {};
    end = start - 1;
  }
}

}  // namespace merit::verify
