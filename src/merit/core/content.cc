#include "merit/core/content.h"

#include <fmt/format.h>

#include "merit/core/error.h"

namespace merit {
namespace {

void check_parts(const OrderedJson& parts, const std::string& where) {
  for (size_t i = 0; i < parts.size(); ++i) {
    const OrderedJson& part = parts[i];
    if (!part.is_object() || !part.contains("type") || !part["type"].is_string()) {
      fail(ErrorKind::kData, "{}.content[{}]: expected an object with a string \"type\", got {}", where, i,
           quote(dump_json(part)));
    }
    if (part["type"] == "text" && (!part.contains("text") || !part["text"].is_string())) {
      fail(ErrorKind::kData, "{}.content[{}]: expected a string \"text\" in a text part, got {}", where, i,
           quote(dump_json(part)));
    }
  }
}

void check_message(const OrderedJson& message, const std::string& where) {
  if (!message.is_object()) {
    fail(ErrorKind::kData, "{}: expected a message object with \"role\" and \"content\", got {}", where,
         quote(dump_json(message)));
  }
  const auto role = message.find("role");
  if (role == message.end() || !role->is_string() || role->get_ref<const std::string&>().empty()) {
    fail(ErrorKind::kData, "{}: expected a string \"role\" in the message, got {}", where, quote(dump_json(message)));
  }
  const auto content = message.find("content");
  if (content == message.end()) {
    if (message.contains("tool_calls")) return;
    fail(ErrorKind::kData, "{}: the message has no \"content\": {}", where, quote(dump_json(message)));
  }
  if (content->is_array()) return check_parts(*content, where);
  if (!content->is_string() && !content->is_null()) {
    fail(ErrorKind::kData, "{}: expected a string, null or a list of parts for \"content\", got {}", where,
         quote(dump_json(*content)));
  }
}

std::string message_text(const OrderedJson& message) {
  const auto content = message.find("content");
  if (content == message.end() || content->is_null()) return {};
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  for (const OrderedJson& part : *content) {
    if (part["type"] == "text") {
      text += part["text"].get_ref<const std::string&>();
    } else {
      text += "[" + part["type"].get<std::string>() + "]";
    }
  }
  return text;
}

}  // namespace

bool is_messages(const Content& content) { return std::holds_alternative<OrderedJson>(content); }

bool is_empty(const Content& content) {
  return is_messages(content) ? std::get<OrderedJson>(content).empty() : std::get<std::string>(content).empty();
}

void check_messages(const OrderedJson& messages, const std::string& where) {
  if (!messages.is_array()) {
    fail(ErrorKind::kData, "{}: expected a list of messages, got {}", where, quote(dump_json(messages)));
  }
  if (messages.empty()) fail(ErrorKind::kData, "{}: expected at least one message, got an empty list", where);
  for (size_t i = 0; i < messages.size(); ++i) check_message(messages[i], fmt::format("{}[{}]", where, i));
}

Content content_of(const OrderedJson& value, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) {
    fail(ErrorKind::kData, "{}: expected a string or a list of messages, got {}", where, quote(dump_json(value)));
  }
  check_messages(value, where);
  return value;
}

OrderedJson to_json(const Content& content) {
  if (is_messages(content)) return std::get<OrderedJson>(content);
  return std::get<std::string>(content);
}

std::string text_of(const Content& content) {
  if (!is_messages(content)) return std::get<std::string>(content);
  const OrderedJson& messages = std::get<OrderedJson>(content);
  if (messages.size() == 1) return message_text(messages[0]);
  std::string text;
  for (const OrderedJson& message : messages) {
    if (!text.empty()) text += '\n';
    text += message["role"].get<std::string>() + ": " + message_text(message);
  }
  return text;
}

}  // namespace merit
