#include "merit/data/group.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "merit/core/strings.h"

namespace merit::data {
namespace {

[[noreturn]] void bad(const char* reason, const std::string& message) { throw RowError(reason, message); }

template <typename... Args>
[[noreturn]] void bad_row(const char* reason, const std::string& where, fmt::format_string<Args...> format,
                          Args&&... args) {
  bad(reason, where + ": " + fmt::format(format, std::forward<Args>(args)...));
}

// The columns of one row while a group is made of them: what is taken is gone, what is left are the group's columns.
class Columns {
 public:
  Columns(OrderedJson row, const ColumnMap& names, const std::string& where)
      : row_(std::move(row)), names_(names), where_(where) {
    for (const auto& [name, spelling] : names_) {
      if (row_.contains(spelling)) continue;
      std::vector<std::string> present;
      for (const auto& item : row_.items()) present.push_back(quote(item.key()));
      bad_row("missing field", where_, "{}={} was asked for and the row has no {}; it has {}", name, spelling,
              quote(spelling), join(present, ", "));
    }
  }

  // The file's name for merit's column.
  const std::string& spelled(const std::string& name) const {
    const auto it = names_.find(name);
    return it == names_.end() ? name : it->second;
  }
  bool has(const std::string& name) const { return row_.contains(spelled(name)); }
  bool holds_object(const std::string& name) const { return has(name) && row_.find(spelled(name))->is_object(); }
  std::string where(const std::string& name) const { return where_ + ": " + spelled(name); }

  OrderedJson take(const std::string& name) {
    const auto it = row_.find(spelled(name));
    if (it == row_.end()) bad_row("missing field", where_, "the field {} is missing", quote(spelled(name)));
    OrderedJson value = std::move(*it);
    row_.erase(it);
    return value;
  }
  Content take_content(const std::string& name) { return to_content(take(name), where(name)); }

  static Content to_content(const OrderedJson& value, const std::string& where) {
    try {
      return content_of(value, where);
    } catch (const Error& e) {
      bad(value.is_array() && value.empty() ? "empty" : "wrong type", e.what());
    }
  }

  // The rest, under merit's names where a name was mapped (answer=final gives `answer`).
  OrderedJson rest() {
    for (const auto& [name, spelling] : names_) {
      const auto it = row_.find(spelling);
      if (it == row_.end() || name == spelling) continue;
      OrderedJson value = std::move(*it);
      row_.erase(it);
      row_[name] = std::move(value);
    }
    return std::move(row_);
  }

 private:
  OrderedJson row_;
  const ColumnMap& names_;
  std::string where_;
};

Layout recognise(const Columns& columns, const std::string& where) {
  if (columns.has("chosen") || columns.has("rejected")) {
    for (const char* half : {"chosen", "rejected"}) {
      if (!columns.has(half)) {
        bad_row("missing field", where, "{} is missing; expected both {} and {}", quote(columns.spelled(half)),
                quote(columns.spelled("chosen")), quote(columns.spelled("rejected")));
      }
    }
    return columns.has("prompt") ? Layout::kPreference : Layout::kImplicitPreference;
  }
  if (!columns.has("prompt")) {
    for (const char* name : {"messages", "text"}) {
      if (columns.has(name)) {
        bad_row("language modeling row", where,
                "a language modeling row ({}) has no answer to judge; split it into \"prompt\" and \"completion\"",
                quote(columns.spelled(name)));
      }
    }
    bad_row("missing field", where, "the field {} is missing; expected \"prompt\", or \"chosen\" and \"rejected\"",
            quote(columns.spelled("prompt")));
  }
  constexpr std::array<const char*, 3> kAnswers = {"completion", "responses", "completions"};
  const auto present = std::count_if(kAnswers.begin(), kAnswers.end(), [&](const char* n) { return columns.has(n); });
  if (present > 1) {
    bad_row("ambiguous row", where,
            "more than one of \"completion\", \"responses\" and \"completions\" is present; expected one");
  }
  if (columns.has("responses")) return Layout::kResponses;
  if (columns.has("completion")) return columns.has("label") ? Layout::kUnpaired : Layout::kCompletion;
  if (!columns.has("completions")) return Layout::kPrompt;
  if (!columns.has("labels")) {
    bad_row("missing field", where,
            "\"completions\" are the steps of one answer and need \"labels\"; name several answers \"responses\"");
  }
  return Layout::kStepwise;
}

std::string id_of(Columns& columns, uint64_t number) {
  if (!columns.has("id")) return fmt::format("row-{}", number);
  const std::string where = columns.where("id");
  const OrderedJson value = columns.take("id");
  if (value.is_number_integer()) return dump_json(value);
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
    bad_row("wrong type", where, "expected a non-empty string or a whole number, got {}", quote(dump_json(value)));
  }
  return value.get<std::string>();
}

// Under a prompt of messages a plain answer is the assistant's message; the other way round there is no reading.
Content beside_prompt(Content content, const Content& prompt, const std::string& where) {
  if (is_messages(content) == is_messages(prompt)) return content;
  if (is_messages(content)) {
    bad_row("wrong type", where, "expected text, as the prompt is text, got messages");
  }
  return OrderedJson::array({{{"role", "assistant"}, {"content", std::get<std::string>(std::move(content))}}});
}

double label_of(const OrderedJson& value, const std::string& where) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (!value.is_number())
    bad_row("wrong type", where, "expected true, false or a number, got {}", quote(dump_json(value)));
  return value.get<double>();
}

OrderedJson take_list(Columns& columns, const std::string& name) {
  const std::string where = columns.where(name);
  OrderedJson list = columns.take(name);
  if (!list.is_array()) bad_row("wrong type", where, "expected a list, got {}", quote(dump_json(list)));
  if (list.empty()) bad_row("empty", where, "expected at least one item, got an empty list");
  return list;
}

OrderedJson take_list_of(Columns& columns, const std::string& name, size_t size, const std::string& beside) {
  const std::string where = columns.where(name);
  OrderedJson list = take_list(columns, name);
  if (list.size() != size) {
    bad_row("lengths differ", where, "expected {} items, one for each of {}, got {}", size, quote(beside), list.size());
  }
  return list;
}

Candidate response_of(OrderedJson item, const Content& prompt, const std::string& where) {
  Candidate candidate;
  if (item.is_object()) {
    const auto completion = item.find("completion");
    if (completion == item.end()) {
      bad_row("missing field", where, "expected a string, messages or an object with \"completion\", got {}",
              quote(dump_json(item)));
    }
    candidate.content = Columns::to_content(*completion, where + ".completion");
    item.erase(completion);
    const auto label = item.find("label");
    if (label != item.end() && !label->is_null()) candidate.label = label_of(*label, where + ".label");
    if (label != item.end()) item.erase("label");
    candidate.columns = std::move(item);
  } else {
    candidate.content = Columns::to_content(item, where);
  }
  candidate.content = beside_prompt(std::move(candidate.content), prompt, where);
  return candidate;
}

void take_responses(Columns& columns, Group& group) {
  const std::string where = columns.where("responses");
  const OrderedJson items = take_list(columns, "responses");
  for (size_t i = 0; i < items.size(); ++i) {
    group.candidates.push_back(response_of(items[i], *group.prompt, fmt::format("{}[{}]", where, i)));
  }
  for (const char* name : {"labels", "scores", "rewards"}) {
    // An object of named lists, as merit score writes, is a column like any other.
    if (!columns.has(name) || columns.holds_object(name)) continue;
    const std::string list_where = columns.where(name);
    const OrderedJson list = take_list_of(columns, name, items.size(), "responses");
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i].is_null()) continue;
      const double value = label_of(list[i], fmt::format("{}[{}]", list_where, i));
      if (name == std::string_view("labels")) {
        group.candidates[i].label = value;
      } else {
        group.candidates[i].columns[std::string(name, std::string_view(name).size() - 1)] = value;
      }
    }
  }
}

void take_steps(Columns& columns, Group& group) {
  const std::string steps_where = columns.where("completions");
  const std::string labels_where = columns.where("labels");
  OrderedJson steps = take_list(columns, "completions");
  OrderedJson labels = take_list_of(columns, "labels", steps.size(), "completions");
  std::string text;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!steps[i].is_string()) {
      bad_row("wrong type", fmt::format("{}[{}]", steps_where, i), "expected a step's text, got {}",
              quote(dump_json(steps[i])));
    }
    if (!labels[i].is_boolean()) {
      bad_row("wrong type", fmt::format("{}[{}]", labels_where, i), "expected true or false, got {}",
              quote(dump_json(labels[i])));
    }
    if (i != 0) text += '\n';
    text += steps[i].get_ref<const std::string&>();
  }
  Candidate candidate;
  candidate.content = beside_prompt(text, *group.prompt, steps_where);
  candidate.columns["steps"] = std::move(steps);
  candidate.columns["labels"] = std::move(labels);
  group.candidates.push_back(std::move(candidate));
}

// Whatever the order of a message's members.
bool same(const OrderedJson& a, const OrderedJson& b) { return Json(a) == Json(b); }
bool same(const Content& a, const Content& b) {
  return is_messages(a) ? same(std::get<OrderedJson>(a), std::get<OrderedJson>(b)) : a == b;
}

void refuse_empty(const Content& content, const std::string& where) {
  if (is_empty(content)) bad_row("empty", where, "expected an answer, got an empty one");
}

void take_pair(Columns& columns, Group& group, const std::string& where) {
  Content chosen = columns.take_content("chosen");
  Content rejected = columns.take_content("rejected");
  if (is_messages(chosen) != is_messages(rejected)) {
    bad_row("wrong type", where, "expected \"chosen\" and \"rejected\" to be both text or both messages");
  }
  // Some sets repeat a plain prompt beside whole conversations; the conversations then hold it.
  if (group.layout == Layout::kPreference && is_messages(chosen) && !is_messages(*group.prompt)) {
    group.layout = Layout::kImplicitPreference;
  }
  refuse_empty(chosen, columns.where("chosen"));
  refuse_empty(rejected, columns.where("rejected"));
  if (same(chosen, rejected)) bad_row("equal answers", where, "\"chosen\" and \"rejected\" are equal");
  if (group.layout == Layout::kImplicitPreference) {
    SplitPair split = split_pair(chosen, rejected);
    const std::string after = fmt::format(" after the {} bytes or messages that both share",
                                          is_messages(split.prompt) ? std::get<OrderedJson>(split.prompt).size()
                                                                    : std::get<std::string>(split.prompt).size());
    refuse_empty(split.chosen, columns.where("chosen") + after);
    refuse_empty(split.rejected, columns.where("rejected") + after);
    if (is_messages(split.prompt) && is_empty(split.prompt)) {
      bad_row("empty", where, "\"chosen\" and \"rejected\" share no first message, so there is no prompt");
    }
    group.prompt = std::move(split.prompt);
    chosen = std::move(split.chosen);
    rejected = std::move(split.rejected);
  }
  group.candidates.push_back(
      {beside_prompt(std::move(chosen), *group.prompt, columns.where("chosen")), 1.0, OrderedJson::object()});
  group.candidates.push_back(
      {beside_prompt(std::move(rejected), *group.prompt, columns.where("rejected")), 0.0, OrderedJson::object()});
}

void take_completion(Columns& columns, Group& group) {
  Candidate candidate;
  const std::string where = columns.where("completion");
  candidate.content = beside_prompt(columns.take_content("completion"), *group.prompt, where);
  if (group.layout == Layout::kUnpaired) {
    refuse_empty(candidate.content, where);
    const std::string label_where = columns.where("label");
    const OrderedJson label = columns.take("label");
    candidate.label = label_of(label, label_where);
    if (*candidate.label != 0 && *candidate.label != 1) {
      bad_row("wrong type", label_where, "expected true, false, 0 or 1, got {}", quote(dump_json(label)));
    }
  }
  group.candidates.push_back(std::move(candidate));
}

// The bytes that two texts share, never ending inside a character.
size_t common_prefix(const std::string& a, const std::string& b) {
  size_t n = std::mismatch(a.begin(), a.begin() + std::min(a.size(), b.size()), b.begin()).first - a.begin();
  const auto inside = [](const std::string& text, size_t i) {
    return i < text.size() && (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
  };
  while (n > 0 && (inside(a, n) || inside(b, n))) --n;
  return n;
}

}  // namespace

const char* name_of(Layout layout) {
  switch (layout) {
    case Layout::kPrompt:
      return "prompt-only";
    case Layout::kCompletion:
      return "prompt-completion";
    case Layout::kResponses:
      return "responses";
    case Layout::kPreference:
      return "preference";
    case Layout::kImplicitPreference:
      return "preference with implicit prompt";
    case Layout::kUnpaired:
      return "unpaired preference";
    case Layout::kStepwise:
      return "stepwise";
  }
  return "unknown";
}

bool is_preference(Layout layout) { return layout == Layout::kPreference || layout == Layout::kImplicitPreference; }

ColumnMap parse_column_map(const std::string& text) {
  ColumnMap map;
  if (text.empty()) return map;
  for (std::string_view item : split(text, ',')) {
    const size_t equals = item.find('=');
    const std::string_view name = trim(item.substr(0, equals));
    const std::string_view spelling = equals == std::string_view::npos ? "" : trim(item.substr(equals + 1));
    if (name.empty() || spelling.empty()) {
      fail(ErrorKind::kUsage, "columns: expected NAME=COLUMN pairs such as prompt=question,answer=final, got {}",
           quote(item));
    }
    if (!map.emplace(name, spelling).second) {
      fail(ErrorKind::kUsage, "columns: {} is given twice; expected each name once", quote(name));
    }
  }
  return map;
}

SplitPair split_pair(const Content& chosen, const Content& rejected) {
  MERIT_CHECK(is_messages(chosen) == is_messages(rejected));
  if (is_messages(chosen)) {
    const OrderedJson& a = std::get<OrderedJson>(chosen);
    const OrderedJson& b = std::get<OrderedJson>(rejected);
    size_t n = 0;
    while (n < a.size() && n < b.size() && same(a[n], b[n])) ++n;
    const auto slice = [](const OrderedJson& messages, size_t first, size_t last) {
      OrderedJson out = OrderedJson::array();
      for (size_t i = first; i < last; ++i) out.push_back(messages[i]);
      return out;
    };
    return {slice(a, 0, n), slice(a, n, a.size()), slice(b, n, b.size())};
  }
  const std::string& a = std::get<std::string>(chosen);
  const std::string& b = std::get<std::string>(rejected);
  size_t n = common_prefix(a, b);
  if (n > 0 && n < a.size() && n < b.size() && a[n - 1] == ' ') --n;
  return {a.substr(0, n), a.substr(n), b.substr(n)};
}

Group group_of_row(OrderedJson row, const ColumnMap& names, uint64_t number, const std::string& where) {
  if (!row.is_object()) bad_row("wrong type", where, "expected a JSON object, got {}", quote(dump_json(row)));
  Columns columns(std::move(row), names, where);
  Group group;
  group.where = where;
  group.layout = recognise(columns, where);
  group.id = id_of(columns, number);
  if (group.layout != Layout::kImplicitPreference) group.prompt = columns.take_content("prompt");
  switch (group.layout) {
    case Layout::kPrompt:
      if (is_empty(*group.prompt)) bad_row("empty", columns.where("prompt"), "expected a prompt, got an empty one");
      break;
    case Layout::kCompletion:
    case Layout::kUnpaired:
      take_completion(columns, group);
      break;
    case Layout::kResponses:
      take_responses(columns, group);
      break;
    case Layout::kPreference:
    case Layout::kImplicitPreference:
      take_pair(columns, group, where);
      break;
    case Layout::kStepwise:
      take_steps(columns, group);
      break;
  }
  group.columns = columns.rest();
  return group;
}

}  // namespace merit::data
