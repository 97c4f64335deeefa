#include "merit/text/message_policies.h"

#include <algorithm>

#include "merit/core/error.h"

namespace merit::text {
namespace {

constexpr const char* kBetween = "\n\n";

bool has_role(const OrderedJson& message, const char* role) {
  return message.contains("role") && message.at("role") == role;
}

OrderedJson text_part(const std::string& text) { return {{"type", "text"}, {"text", text}}; }

OrderedJson parts_of(const OrderedJson& content) {
  return content.is_string() ? OrderedJson::array({text_part(content.get<std::string>())}) : content;
}

// Two contents with an empty line between.
OrderedJson joined(const OrderedJson& a, const OrderedJson& b) {
  if (a.is_string() && b.is_string()) return a.get<std::string>() + kBetween + b.get<std::string>();
  OrderedJson parts = parts_of(a);
  parts.push_back(text_part(kBetween));
  for (const OrderedJson& part : parts_of(b)) parts.push_back(part);
  return parts;
}

bool has_content(const OrderedJson& message) {
  return message.contains("content") && (message.at("content").is_string() || message.at("content").is_array());
}

OrderedJson merge_systems(const OrderedJson& messages) {
  OrderedJson out = OrderedJson::array();
  OrderedJson waiting;  // the system text that the next user message takes
  for (const OrderedJson& message : messages) {
    if (has_role(message, "system") && has_content(message)) {
      waiting = waiting.is_null() ? message.at("content") : joined(waiting, message.at("content"));
      continue;
    }
    out.push_back(message);
    if (!waiting.is_null() && has_role(message, "user") && has_content(message)) {
      out.back()["content"] = joined(std::exchange(waiting, nullptr), message.at("content"));
    }
  }
  if (!waiting.is_null()) {
    fail(ErrorKind::kData, "a system message that no user message follows cannot be merged (system_role is merge)");
  }
  return out;
}

bool is_plain_turn(const OrderedJson& message) {
  return message.size() == 2 && has_content(message) && (has_role(message, "user") || has_role(message, "assistant"));
}

OrderedJson merge_repeated(const OrderedJson& messages) {
  OrderedJson out = OrderedJson::array();
  for (const OrderedJson& message : messages) {
    const bool repeats = !out.empty() && is_plain_turn(message) && is_plain_turn(out.back()) &&
                         out.back().at("role") == message.at("role");
    if (repeats) {
      out.back()["content"] = joined(out.back().at("content"), message.at("content"));
    } else {
      out.push_back(message);
    }
  }
  return out;
}

}  // namespace

OrderedJson with_policies(const OrderedJson& messages, const EncodingRecord& record) {
  OrderedJson out = messages;
  if (record.system_role == "merge") out = merge_systems(out);
  if (record.repeated_turns == "merge") out = merge_repeated(out);
  return out;
}

}  // namespace merit::text
