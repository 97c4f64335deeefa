#include "merit/text/template.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "merit/text/jinja_ast.h"
#include "merit/text/jinja_interpreter.h"

namespace merit::text {

Clock system_clock() {
  return [] {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    return local;
  };
}

namespace {

// Midnight of a day, or nothing if there is no such day.
std::optional<std::tm> day_of(const std::string& date) {
  std::tm day{};
  char rest = '\0';
  if (date.size() != 10 ||
      std::sscanf(date.c_str(), "%4d-%2d-%2d%c", &day.tm_year, &day.tm_mon, &day.tm_mday, &rest) != 3) {
    return std::nullopt;
  }
  day.tm_year -= 1900;
  day.tm_mon -= 1;
  std::tm copy = day;
  const std::time_t at = timegm(&copy);
  std::tm found{};
  gmtime_r(&at, &found);
  const bool same = found.tm_year == day.tm_year && found.tm_mon == day.tm_mon && found.tm_mday == day.tm_mday;
  return same ? std::optional<std::tm>(found) : std::nullopt;
}

}  // namespace

bool is_date(const std::string& date) { return day_of(date).has_value(); }

Clock fixed_clock(const std::string& date) {
  const std::optional<std::tm> day = day_of(date);
  if (!day) fail(ErrorKind::kData, "{} is not a date; write YYYY-MM-DD", quote(date));
  return [day] { return *day; };
}

namespace {

// Roles are how a conversation is built, not what was said: templates make control tokens of them ("<|user|>").
bool is_plain_role(const OrderedJson& role) {
  if (!role.is_string()) return false;
  const std::string& text = role.get_ref<const std::string&>();
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

jinja::Value message_value(const OrderedJson& message) {
  if (!message.is_object()) return jinja::from_json(message, jinja::kContent);
  const bool assistant = message.contains("role") && message.at("role") == "assistant";
  const uint8_t content = jinja::kContent | (assistant ? jinja::kAssistant : 0);
  std::vector<std::pair<jinja::Value, jinja::Value>> members;
  for (const auto& [name, value] : message.items()) {
    const uint8_t marks = name == "role" && is_plain_role(value) ? 0 : content;
    members.emplace_back(jinja::from_json(OrderedJson(name), content), jinja::from_json(value, marks));
  }
  return jinja::make_dict(std::move(members));
}

std::vector<std::pair<std::string, jinja::Value>> variables(const OrderedJson& inputs) {
  std::vector<std::pair<std::string, jinja::Value>> out;
  for (const auto& [name, value] : inputs.items()) {
    if (name == "messages" && value.is_array()) {
      std::vector<jinja::Value> messages;
      for (const OrderedJson& message : value) messages.push_back(message_value(message));
      out.emplace_back(name, jinja::make_list(std::move(messages)));
    } else {
      const bool content = name == "messages" || name == "tools" || name == "documents";
      out.emplace_back(name, jinja::from_json(value, content ? jinja::kContent : 0));
    }
  }
  return out;
}

std::vector<ByteRange> ranges(const jinja::Text& text, jinja::Mark mark) {
  std::vector<ByteRange> out;
  for (const jinja::Span& span : text.spans) {
    if ((span.marks & mark) == 0) continue;
    if (!out.empty() && out.back().end == span.begin) {
      out.back().end = span.end;
    } else {
      out.push_back({span.begin, span.end});
    }
  }
  return out;
}

}  // namespace

ChatTemplate ChatTemplate::compile(std::string source, std::string where) {
  return ChatTemplate(jinja::parse(source, std::move(where)));
}

Rendered ChatTemplate::render(const OrderedJson& inputs, const Clock& clock) const {
  if (!inputs.is_object()) fail(ErrorKind::kUsage, "a template's inputs must be an object");
  jinja::Interpreter interpreter(*program_, variables(inputs), clock);
  jinja::Text text = interpreter.run();
  Rendered rendered{
      {}, ranges(text, jinja::kContent), ranges(text, jinja::kAssistant), ranges(text, jinja::kGeneration)};
  rendered.text = std::move(text.bytes);
  return rendered;
}

const std::string& ChatTemplate::source() const { return program_->given; }
bool ChatTemplate::has_generation() const { return program_->has_generation; }
bool ChatTemplate::reads_clock() const { return program_->reads_clock; }

}  // namespace merit::text
