#include "tests/report/markup_support.h"

#include <algorithm>
#include <set>

namespace merit::report {
namespace {

const std::set<std::string, std::less<>> kVoid = {"meta", "input", "br", "img", "link"};

// The position of the tag's '>', quotes skipped; npos if it has none.
size_t tag_end(std::string_view html, size_t i) {
  char open = 0;
  for (; i < html.size(); ++i) {
    if (open) {
      if (html[i] == open) open = 0;
    } else if (html[i] == '"') {
      open = html[i];
    } else if (html[i] == '>') {
      return i;
    } else if (html[i] == '<' || html[i] == '\'') {
      return std::string_view::npos;
    }
  }
  return std::string_view::npos;
}

}  // namespace

size_t Markup::count(std::string_view name) const {
  return static_cast<size_t>(std::count(names.begin(), names.end(), name));
}

Markup read_markup(std::string_view html) {
  Markup result;
  std::vector<std::string> open;
  auto wrong = [&](size_t at, std::string what) {
    result.error = what + " near: " + std::string(html.substr(at, 60));
    return result;
  };
  for (size_t i = 0; i < html.size(); ++i) {
    if (html[i] != '<') continue;
    if (html.substr(i, 2) == "<!") {
      i = html.find('>', i);
      continue;
    }
    size_t end = tag_end(html, i + 1);
    if (end == std::string_view::npos) return wrong(i, "a tag without end");
    bool closing = html[i + 1] == '/';
    size_t from = i + 1 + closing;
    std::string name(html.substr(from, html.find_first_of(" />", from) - from));
    if (closing) {
      if (open.empty() || open.back() != name) return wrong(i, "unexpected </" + name + ">");
      open.pop_back();
    } else {
      result.names.push_back(name);
      if (html[end - 1] != '/' && !kVoid.count(name)) open.push_back(name);
      if (name == "script" || name == "style") end = html.find("</" + name + ">", end) - 1;
    }
    i = end;
  }
  if (!open.empty()) result.error = "never closed: " + open.back();
  return result;
}

}  // namespace merit::report
