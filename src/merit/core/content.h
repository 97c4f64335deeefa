// What a prompt or a completion holds, as files give it: plain text, or a list of chat messages. Shared by the
// readers of records and by the encoder, so that neither depends on the other.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "merit/core/json.h"

namespace merit {

// Text, or a non-empty JSON array of message objects that check_messages accepts. The members of a message keep
// their order and all of them reach the chat template (`tool_calls`, `name`, ...).
using Content = std::variant<std::string, OrderedJson>;

bool is_messages(const Content& content);

// True for "" and for no message at all.
bool is_empty(const Content& content);

// Error(kData) naming `where` unless the value is a non-empty array of objects, each with a non-empty string `role`
// and with `content` that is a string, null or an array of part objects that each have a string `type`. `content` may
// be missing beside `tool_calls` only.
void check_messages(const OrderedJson& messages, const std::string& where);

// The content a JSON value stands for: a string, or messages. Error(kData) naming `where` for anything else.
Content content_of(const OrderedJson& value, const std::string& where);

// The same back.
OrderedJson to_json(const Content& content);

// The text for people and for answer checkers: a plain text as it is, a single message's text, or every message as
// "role: text" on lines of its own. Text parts are joined; other parts show as "[type]".
std::string text_of(const Content& content);

}  // namespace merit
