// What json.dumps writes, for the filter tojson.
#include <fmt/format.h>

#include <algorithm>

#include "merit/text/jinja_value.h"

namespace merit::text::jinja {

namespace {

class Writer {
 public:
  Writer(Engine& engine, const JsonStyle& style) : engine_(engine), style_(style) {}

  void write(const Value& value, size_t level) {
    engine_.charge(1);
    if (const Text* text = value.text()) {
      string(*text);
    } else if (const Dict* dict = value.dict()) {
      object(*dict, level);
    } else if (const Sequence* s = value.sequence(); s != nullptr && s->kind <= Sequence::kTuple) {
      array(*s, level);
    } else if (std::optional<std::string> plain = scalar(value)) {
      out_.append(*plain);
    } else {
      fail(ErrorKind::kData, "a value of type {} is not JSON serializable", type_name(value));
    }
  }

  Text take() { return out_.take(); }

 private:
  std::optional<std::string> scalar(const Value& value) const {
    if (value.is_none()) return "null";
    if (const bool* b = value.boolean()) return *b ? "true" : "false";
    if (const int64_t* i = value.integer()) return std::to_string(*i);
    if (const double* d = value.real()) {
      if (*d != *d) return "NaN";
      if (*d - *d != 0) return *d > 0 ? "Infinity" : "-Infinity";
      return format_real(*d);
    }
    return std::nullopt;
  }

  void string(const Text& text) {
    engine_.charge_bytes(text.bytes.size());
    out_.append("\"");
    for (size_t byte = 0; byte < text.bytes.size();) {
      const CodePoint c = code_point_at(text.bytes, byte);
      static constexpr std::string_view kFrom = "\"\\\n\r\t\f\b";
      static constexpr std::string_view kTo = "\"\\nrtfb";
      const size_t simple = c.value < 0x80 ? kFrom.find(static_cast<char>(c.value)) : std::string_view::npos;
      if (simple != std::string_view::npos) {
        out_.append(std::string{'\\', kTo[simple]}, marks_at(text, byte));
      } else if (c.value < 0x20 || (style_.ensure_ascii && c.value >= 0x80)) {
        escape(c.value, marks_at(text, byte));
      } else {
        out_.append(text, byte, c.next);
      }
      byte = c.next;
    }
    out_.append("\"");
  }

  void escape(int32_t c, uint8_t marks) {
    if (c < 0x10000) {
      out_.append(fmt::format("\\u{:04x}", c), marks);
    } else {
      const int32_t rest = c - 0x10000;
      out_.append(fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF)), marks);
    }
  }

  void line(size_t level) {
    if (!style_.indent) return;
    out_.append("\n");
    engine_.charge_bytes(style_.indent->size() * level);
    for (size_t i = 0; i < level; ++i) out_.append(*style_.indent);
  }

  void array(const Sequence& s, size_t level) {
    if (s.items.empty()) return out_.append("[]");
    out_.append("[");
    for (size_t i = 0; i < s.items.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      line(level + 1);
      write(s.items[i], level + 1);
    }
    line(level);
    out_.append("]");
  }

  void object(const Dict& dict, size_t level) {
    if (dict.entries.empty()) return out_.append("{}");
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [&](const auto* a, const auto* b) { return less(engine_, a->first, b->first); });
    }
    out_.append("{");
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      line(level + 1);
      const Value& key = entries[i]->first;
      if (const Text* text = key.text()) {
        string(*text);
      } else if (std::optional<std::string> plain = scalar(key)) {
        out_.append("\"" + *plain + "\"");
      } else {
        fail(ErrorKind::kData, "JSON names must be strings, numbers, bools or none, not {}", type_name(key));
      }
      out_.append(style_.key_separator);
      write(entries[i]->second, level + 1);
    }
    line(level);
    out_.append("}");
  }

  Engine& engine_;
  const JsonStyle& style_;
  TextBuilder out_;
};

}  // namespace

Text to_json_text(Engine& engine, const Value& value, const JsonStyle& style) {
  Writer writer(engine, style);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace merit::text::jinja
