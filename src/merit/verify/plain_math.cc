#include <array>
#include <vector>

#include "merit/core/strings.h"
#include "merit/verify/prose.h"

namespace merit::verify {
namespace {

struct Spelling {
  std::string_view from;
  std::string_view to;
};

// Longer ones before those they start with. A command ends where its letters end.
constexpr std::array kCommands = std::to_array<Spelling>({
    {"dfrac", "\\frac"},
    {"tfrac", "\\frac"},
    {"cfrac", "\\frac"},
    {"left", ""},
    {"right", ""},
    {"times", "*"},
    {"cdot", "*"},
    {"ast", "*"},
    {"div", "/"},
    {"approx", "="},
    {"quad", " "},
    {"qquad", " "},
    {"degree", " "},
    {"displaystyle", ""},
    {"circ", " "},
});
constexpr std::array kTextCommands = std::to_array<std::string_view>(
    {"text", "textbf", "textit", "textrm", "mathrm", "mathbf", "mathit", "mbox", "boxed", "operatorname"});

constexpr std::array kUnicode = std::to_array<Spelling>({
    {"\xe2\x88\x92", "-"},    {"\xe2\x80\x93", "-"},  {"\xe2\x80\x94", " - "},  {"\xc3\x97", "*"},
    {"\xc3\xb7", "/"},        {"\xc2\xb7", "*"},      {"\xe2\x8b\x85", "*"},    {"\xc2\xa0", " "},
    {"\xe2\x80\x89", " "},    {"\xe2\x80\xaf", " "},  {"\xe2\x81\x84", "/"},    {"\xc2\xbd", " 1/2"},
    {"\xc2\xbc", " 1/4"},     {"\xc2\xbe", " 3/4"},   {"\xe2\x85\x93", " 1/3"}, {"\xe2\x85\x94", " 2/3"},
    {"\xe2\x85\x9b", " 1/8"}, {"\xc2\xb1", " \\pm "}, {"\xe2\x89\x88", "="},    {"\xe2\x82\xac", ""},
    {"\xc2\xa3", ""},         {"\xc2\xa5", ""},       {"\xe2\x82\xb9", ""},     {"\xc2\xb2", "^2"},
    {"\xc2\xb3", "^3"},       {"\xc2\xb0", " "},      {"\xe2\x80\x99", "'"},    {"\xe2\x80\x98", "'"},
    {"\xe2\x80\x9c", "\""},   {"\xe2\x80\x9d", "\""},
});

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class Plain {
 public:
  explicit Plain(std::string_view text) : text_(text) { out_.reserve(text.size()); }

  std::string run() {
    while (i_ < text_.size()) step();
    const size_t first = out_.find_first_not_of(" \n");
    if (first == std::string::npos) return {};
    return out_.substr(first, out_.find_last_not_of(" \n") - first + 1);
  }

 private:
  bool starts(std::string_view what) const { return text_.substr(i_).starts_with(what); }

  void step() {
    const char c = text_[i_];
    if (c == '\\') return command();
    if (starts("<<")) return note();
    if (starts("{,}")) return replace(3, ",");
    if (starts("^{\\circ}")) return replace(8, " ");
    if (starts("^\\circ")) return replace(6, " ");
    if (c == '$') return replace(1, "");
    if (c == '~' || c == '\t' || c == '\r') return replace(1, " ");
    if (c == '{') braces_.push_back(false);
    if (c == '}' && !braces_.empty()) {
      const bool text = braces_.back();
      braces_.pop_back();
      if (text) return replace(1, " ");
    }
    if (static_cast<unsigned char>(c) >= 0x80) {
      for (const Spelling& s : kUnicode) {
        if (starts(s.from)) return replace(s.from.size(), s.to);
      }
    }
    out_ += c;
    ++i_;
  }

  // A calculator note of the form <<3*4=12>>, on one line; anything else that starts with << stands as it is.
  void note() {
    if (i_ < no_note_before_) return keep(2);
    const size_t end = text_.find_first_of(">\n", i_);
    if (end != std::string_view::npos && text_.substr(end).starts_with(">>")) {
      i_ = end + 2;
    } else {
      no_note_before_ = end == std::string_view::npos ? text_.size() : end;  // so that the search stays linear
      keep(2);
    }
  }

  void command() {
    size_t end = i_ + 1;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    const std::string_view name = text_.substr(i_ + 1, end - i_ - 1);
    if (name.empty()) {
      const char c = end < text_.size() ? text_[end] : '\0';
      if (c == '%') return replace(2, "%");
      if (c == '$' || c == '!') return replace(2, "");
      if (c == ',' || c == ';' || c == ':' || c == ' ') return replace(2, " ");
      if (c == '(' || c == ')' || c == '[' || c == ']') return replace(2, " ");  // the ends of a formula
      return keep(1);
    }
    for (const std::string_view text : kTextCommands) {
      if (name == text && end < text_.size() && text_[end] == '{') {
        braces_.push_back(true);
        return replace(end + 1 - i_, " ");
      }
    }
    for (const Spelling& s : kCommands) {
      if (name == s.from) return replace(end - i_, s.to);
    }
    keep(end - i_);
  }

  void replace(size_t length, std::string_view with) {
    out_ += with;
    i_ += length;
  }
  void keep(size_t length) { replace(length, text_.substr(i_, length)); }

  std::string_view text_;
  std::string out_;
  std::vector<bool> braces_;  // whether the open brace is a text command's
  size_t i_ = 0;
  size_t no_note_before_ = 0;
};

}  // namespace

std::string plain_math(std::string_view text) { return Plain(text).run(); }

}  // namespace merit::verify
