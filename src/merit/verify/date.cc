#include "merit/verify/date.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "merit/core/strings.h"

namespace merit::verify {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"january",   "february", "march",    "april",
                                                      "may",       "june",     "july",     "august",
                                                      "september", "october",  "november", "december"};

// A run of letters or of digits, or one other sign; white space only parts them.
struct Token {
  std::string_view text;
  size_t start;
  bool is_number() const { return text[0] >= '0' && text[0] <= '9'; }
};

char kind_of(char c) {
  if (c >= '0' && c <= '9') return 'd';
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return 'a';
  return c == ' ' || c == '\n' || c == '\t' || c == '\r' ? ' ' : 's';
}

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  for (size_t i = 0; i < text.size();) {
    const char kind = kind_of(text[i]);
    size_t end = i + 1;
    while (kind != 's' && end < text.size() && kind_of(text[end]) == kind) ++end;
    if (kind != ' ') tokens.push_back({text.substr(i, end - i), i});
    i = end;
  }
  return tokens;
}

class Finder {
 public:
  explicit Finder(std::string_view text) : text_(text), tokens_(tokens_of(text)) {}

  std::optional<FoundDate> find(bool last) {
    std::optional<FoundDate> found;
    for (size_t k = 0; k < tokens_.size(); ++k) {
      std::optional<FoundDate> date = at(k);
      if (!date) continue;
      found = std::move(date);
      if (!last) break;
      k = next_ - 1;
    }
    return found;
  }

 private:
  std::optional<FoundDate> at(size_t k) {
    next_ = k;
    const size_t first = k;
    unsigned day = 0;
    unsigned month = 0;
    int year = 0;
    const bool iso = take_year(year) && take_sign() && take_number(month) && take_sign() && take_number(day);
    if (!iso) {
      next_ = k;
      const bool month_first = take_month(month) && take_day(day) && take_comma() && take_year(year);
      if (!month_first) {
        next_ = k;
        if (!(take_day(day) && take_of() && take_month(month) && take_comma() && take_year(year))) return std::nullopt;
      }
    }
    const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
    if (!date.ok()) return std::nullopt;
    const Token& end = tokens_[next_ - 1];
    const size_t start = tokens_[first].start;
    return FoundDate{date, std::string(text_.substr(start, end.start + end.text.size() - start))};
  }

  bool more() const { return next_ < tokens_.size(); }
  std::string lower() const { return to_lower_ascii(tokens_[next_].text.substr(0, 10)); }
  bool is_sign(char sign) const { return more() && tokens_[next_].text.size() == 1 && tokens_[next_].text[0] == sign; }

  bool take_sign() {
    if (!is_sign('-') && !is_sign('/')) return false;
    ++next_;
    return true;
  }
  bool take_number(unsigned& out) {
    if (!more() || !tokens_[next_].is_number() || tokens_[next_].text.size() > 2) return false;
    out = 0;
    for (const char c : tokens_[next_].text) out = out * 10 + static_cast<unsigned>(c - '0');
    ++next_;
    return true;
  }
  bool take_year(int& out) {
    if (!more() || !tokens_[next_].is_number() || tokens_[next_].text.size() != 4) return false;
    out = 0;
    for (const char c : tokens_[next_].text) out = out * 10 + (c - '0');
    ++next_;
    return out > 0;
  }
  bool take_month(unsigned& out) {
    if (!more()) return false;
    const std::string word = lower();
    for (size_t m = 0; m < kMonths.size(); ++m) {
      if (word == kMonths[m] || (word.size() == 3 && kMonths[m].starts_with(word)) || (m == 8 && word == "sept")) {
        out = static_cast<unsigned>(m + 1);
        ++next_;
        if (is_sign('.')) ++next_;
        return true;
      }
    }
    return false;
  }
  bool take_day(unsigned& out) {
    if (!take_number(out)) return false;
    if (more()) {
      const std::string suffix = lower();
      if (suffix == "st" || suffix == "nd" || suffix == "rd" || suffix == "th") ++next_;
    }
    return true;
  }
  bool take_of() {
    if (more() && lower() == "of") ++next_;
    return true;
  }
  bool take_comma() {
    if (is_sign(',')) ++next_;
    return true;
  }

  std::string_view text_;
  std::vector<Token> tokens_;
  size_t next_ = 0;
};

}  // namespace

std::optional<FoundDate> find_date(std::string_view text, bool last) { return Finder(text).find(last); }

std::string to_string(const std::chrono::year_month_day& date) {
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

}  // namespace merit::verify
