#include "merit/verify/mark.h"

#include <algorithm>

#include "merit/core/strings.h"

namespace merit::verify {
namespace {

constexpr std::string_view kNone = std::string_view();

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string_view line_from(std::string_view text, size_t start) {
  return text.substr(start, text.find('\n', start) - start);
}

// An unclosed box is what a cut-off response leaves: its content is then empty, which nothing reads as an answer.
std::optional<std::string_view> boxed(std::string_view text) {
  const size_t at = std::max(text.rfind("\\boxed") + 1, text.rfind("\\fbox") + 1);
  if (at == 0) return std::nullopt;
  size_t i = text.find_first_of("{ \n", at);
  while (i < text.size() && text[i] == ' ') ++i;
  if (i >= text.size()) return kNone;
  if (text[i] != '{') return text.substr(i, text.find_first_of(" \n$", i) - i);
  const size_t open = i + 1;
  size_t depth = 0;
  for (; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;  // \{ and \} do not count
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return text.substr(open, i - open);
    }
  }
  return kNone;
}

// The last <answer>...</answer>; one that is cut off is empty.
std::optional<std::string_view> tagged(std::string_view text) {
  constexpr std::string_view kOpen = "<answer>";
  const size_t at = text.rfind(kOpen);
  if (at == std::string_view::npos) return std::nullopt;
  const size_t start = at + kOpen.size();
  const size_t end = text.find("</answer>", start);
  if (end == std::string_view::npos) return kNone;
  return trim(text.substr(start, end - start));
}

// "####" is also a Markdown heading: it marks an answer on the last line, or where a number follows.
std::optional<std::string_view> marked_line(std::string_view text) {
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  bool last = true;
  for (size_t end = text.size();; last = false) {
    const size_t newline = end == 0 ? std::string_view::npos : text.rfind('\n', end - 1);
    const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
    const std::string_view line = trim(text.substr(start, end - start));
    for (const std::string_view mark : {"####", "A:"}) {
      if (!line.starts_with(mark)) continue;
      const std::string_view rest = trim(line.substr(mark.size()));
      if (!rest.empty() && (last || std::string_view("0123456789-+$.\\").find(rest[0]) != std::string_view::npos)) {
        return rest;
      }
    }
    if (start == 0) return std::nullopt;
    end = start - 1;
  }
}

// What follows "answer" if it is a statement of one: "answer is 5", "Answer: 5", "**Answer:** 5", "answer = 5".
std::optional<std::string_view> after_answer(std::string_view text, size_t i) {
  const auto skip = [&](std::string_view signs) {
    while (i < text.size() && signs.find(text[i]) != std::string_view::npos) ++i;
  };
  const auto take_word = [&](std::string_view word) {
    if (to_lower_ascii(text.substr(i, word.size())) != word) return false;
    if (i + word.size() < text.size() && is_letter(text[i + word.size()])) return false;
    i += word.size();
    return true;
  };
  skip(" *_");
  bool stated = false;
  for (const std::string_view verb : {"is", "was", "will be", "would be", "should be"}) {
    if (take_word(verb)) {
      stated = true;
      break;
    }
  }
  skip(" *_");
  while (i < text.size() && (text[i] == ':' || text[i] == '=')) {
    stated = true;
    ++i;
  }
  if (!stated) return std::nullopt;
  skip(" *_\t\r\n");
  const std::string_view rest = trim(line_from(text, i));
  if (rest.empty()) return std::nullopt;
  return rest;
}

std::optional<std::string_view> stated(std::string_view text) {
  const std::string lower = to_lower_ascii(text);
  for (size_t at = lower.rfind("answer"); at != std::string::npos; at = lower.rfind("answer", at - 1)) {
    if (const auto found = after_answer(text, at + 6)) return found;
    if (at == 0) break;
  }
  return std::nullopt;
}

// "The correct option is (B).": only before a letter.
std::optional<std::string_view> chosen(std::string_view text) {
  const std::string lower = to_lower_ascii(text);
  for (const std::string_view mark : {"option is", "choice is"}) {
    const size_t at = lower.rfind(mark);
    if (at == std::string::npos) continue;
    std::string_view rest = trim(line_from(text, at + mark.size()));
    while (!rest.empty() && std::string_view(".*_:() ").find(rest.back()) != std::string_view::npos)
      rest.remove_suffix(1);
    while (!rest.empty() && std::string_view("*_:( ").find(rest.front()) != std::string_view::npos)
      rest.remove_prefix(1);
    if (rest.size() == 1 && is_letter(rest[0])) return rest;
  }
  return std::nullopt;
}

// The form that MATH's prompts ask for: "Final Answer: The final answer is $5$. I hope it is correct."
std::optional<std::string_view> hoped(std::string_view text) {
  const size_t hope = text.rfind(". I hope it is correct");
  if (hope == std::string_view::npos) return std::nullopt;
  const std::string_view before = text.substr(0, hope);
  constexpr std::string_view kMark = "final answer is";
  const size_t at = before.rfind(kMark);
  if (at == std::string_view::npos || hope - at > 1000) return std::nullopt;
  const std::string_view rest = trim(before.substr(at + kMark.size()));
  if (rest.empty()) return std::nullopt;
  return rest;
}

}  // namespace

std::optional<MarkedAnswer> find_mark(std::string_view text) {
  if (const auto found = hoped(text)) return MarkedAnswer{Mark::kAnswerIs, *found};
  if (const auto found = boxed(text)) return MarkedAnswer{Mark::kBoxed, *found};
  if (const auto found = tagged(text)) return MarkedAnswer{Mark::kTag, *found};
  if (const auto found = marked_line(text)) return MarkedAnswer{Mark::kLine, *found};
  if (const auto found = stated(text)) return MarkedAnswer{Mark::kAnswerIs, *found};
  if (const auto found = chosen(text)) return MarkedAnswer{Mark::kAnswerIs, *found};
  return std::nullopt;
}

}  // namespace merit::verify
