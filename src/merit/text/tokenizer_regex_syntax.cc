#define PCRE2_CODE_UNIT_WIDTH 8
#include "merit/text/tokenizer_regex_syntax.h"

#include <pcre2.h>

#include <algorithm>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/strings.h"

namespace merit::text {
namespace {

// Oniguruma's \w is the standard's (alphabetic, marks, digits, connectors); PCRE2's is letters, numbers and "_".
constexpr const char* kWordMembers =
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{"
    "1f189}";
// Outside a character class it counts the superscripts and fractions of Latin-1 too.
const std::string kWord = std::string("[") + kWordMembers + "\\xb2\\xb3\\xb9\\xbc-\\xbe]";
const std::string kNotWord = "[^" + kWord.substr(1);
constexpr int kMaxDepth = 16;  // of nested classes

std::string word_boundary(bool is) {
  const char *in = is ? "!" : "=", *out = is ? "=" : "!";
  return "(?:(?<=" + kWord + ")(?" + in + kWord + ")|(?<!" + kWord + ")(?" + out + kWord + "))";
}

// PCRE2 reads a script's name as its extensions (characters that several scripts use); Oniguruma as the script.
bool is_script(std::string_view name) {
  const std::string pattern = "\\p{sc:" + std::string(name) + "}";
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF, &code, &offset, nullptr);
  pcre2_code_free(compiled);
  return compiled != nullptr;
}

// What a character class matches, as members of a PCRE2 class and as expressions for one character.
struct Union {
  std::string members;
  std::vector<std::string> expressions;

  std::string text() const {
    if (expressions.empty()) return "[" + members + "]";
    std::string out = "(?:" + join(expressions, "|");
    if (!members.empty()) out += "|[" + members + "]";
    return out + ")";
  }
};

class Translator {
 public:
  Translator(const std::string& pattern, const std::string& where) : pattern_(pattern), where_(where) {}

  std::string run() {
    std::string out;
    while (at_ < pattern_.size()) {
      if (pattern_[at_] == '\\' && at_ + 1 < pattern_.size()) {
        out += escape();
      } else if (pattern_[at_] == '[') {
        out += character_class(0).text();
      } else {
        // "a{2}+" repeats in Ruby's syntax and is possessive in PCRE2's.
        if (pattern_.compare(at_, 2, "}+") == 0) refuse("a quantifier after an interval");
        out += pattern_[at_++];
      }
    }
    return out;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    fail(ErrorKind::kUnsupported, "{}: {} is not supported in tokenizer patterns, got {}", where_, what,
         quote(pattern_));
  }

  std::string escape() {
    const char next = pattern_[at_ + 1];
    if (next == 'w' || next == 'W' || next == 'b' || next == 'B') {
      at_ += 2;
      if (next == 'b' || next == 'B') return word_boundary(next == 'b');
      return next == 'w' ? kWord : kNotWord;
    }
    return plain_escape();
  }

  // An escape that is the same in both syntaxes, in a class or not.
  std::string plain_escape() {
    const char next = pattern_[at_ + 1];
    if (std::string_view("BhHRXKGCNOQEgk0123456789").find(next) != std::string_view::npos) {
      refuse(std::string("\\") + next);
    }
    size_t end = at_ + 2;
    if (next == 'u') {
      at_ = std::min(end + 4, pattern_.size());
      return "\\x{" + pattern_.substr(end, 4) + "}";
    }
    const bool braced = end < pattern_.size() && pattern_[end] == '{';
    if (braced && (next == 'p' || next == 'P' || next == 'x')) {
      end = std::min(pattern_.find('}', end), pattern_.size() - 1) + 1;
    }
    std::string out = pattern_.substr(at_, end - at_);
    at_ = end;
    if (braced && next != 'x' && out.size() > 6) {  // shorter ones are categories
      const size_t name = out[3] == '^' ? 4 : 3;
      if (is_script(std::string_view(out).substr(name, out.size() - 1 - name))) out.insert(name, "sc:");
    }
    return out;
  }

  // From "[" to its "]": operands of "&&", each a union of members and inner classes.
  Union character_class(int depth) {
    if (depth > kMaxDepth) fail(ErrorKind::kLimit, "{}: character classes nest deeper than {}", where_, kMaxDepth);
    ++at_;
    const bool negated = at_ < pattern_.size() && pattern_[at_] == '^';
    if (negated) ++at_;
    std::vector<Union> operands(1);
    const auto empty = [&] { return operands.back().members.empty() && operands.back().expressions.empty(); };
    for (bool first = true;; first = false) {
      if (at_ >= pattern_.size()) refuse("a character class without an end");
      if (pattern_[at_] == ']' && !first) break;
      if (pattern_.compare(at_, 2, "&&") == 0) {
        if (empty()) refuse("an intersection with nothing");
        operands.emplace_back();
        at_ += 2;
      } else {
        member(operands.back(), depth);
      }
    }
    ++at_;
    if (empty()) refuse("an intersection with nothing");
    return finish(std::move(operands), negated);
  }

  void member(Union& out, int depth) {
    const char c = pattern_[at_];
    if (c == '[') {
      if (pattern_.compare(at_, 2, "[:") == 0) refuse("a POSIX class");
      Union inner = character_class(depth + 1);
      out.members += inner.members;
      out.expressions.insert(out.expressions.end(), inner.expressions.begin(), inner.expressions.end());
      return;
    }
    if (c == '\\' && at_ + 1 < pattern_.size()) {
      const char next = pattern_[at_ + 1];
      if (next != 'w' && next != 'W' && next != 'b') {
        out.members += plain_escape();
        return;
      }
      at_ += 2;
      if (next == 'w') out.members += kWordMembers;
      if (next == 'W') out.expressions.push_back(std::string("[^") + kWordMembers + "]");
      if (next == 'b') out.members += "\\x08";
      return;
    }
    ++at_;
    // A hyphen makes a range only between two characters; what comes to stand beside it here must not make one.
    if (c == '-' && pattern_.compare(at_, 1, "[") == 0) refuse("a hyphen before an inner class");
    const bool lone =
        c == '-' && (out.members.empty() || pattern_.compare(at_, 1, "]") == 0 || pattern_.compare(at_, 2, "&&") == 0);
    if (lone || c == ']' || c == '^') out.members += '\\';
    out.members += c;
  }

  static Union finish(std::vector<Union> operands, bool negated) {
    if (operands.size() == 1 && operands[0].expressions.empty() && negated) {
      return {"", {"[^" + operands[0].members + "]"}};
    }
    if (operands.size() == 1 && !negated) return std::move(operands[0]);
    std::string all;
    for (size_t i = 0; i + 1 < operands.size(); ++i) all += "(?=" + operands[i].text() + ")";
    all += operands.back().text();
    return {"", {negated ? "(?:(?!" + all + ")(?s:.))" : "(?:" + all + ")"}};
  }

  const std::string& pattern_;
  const std::string& where_;
  size_t at_ = 0;
};

}  // namespace

std::string to_pcre2(const std::string& pattern, const std::string& where) { return Translator(pattern, where).run(); }

}  // namespace merit::text
