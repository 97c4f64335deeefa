// Text formatting as Python does it: "..." % values and "...".format(values), the common conversions.
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "merit/text/jinja_functions.h"

namespace merit::text::jinja {

namespace {

constexpr int64_t kMaxWidth = 100000;

// What stands behind % or : and how the field is laid out.
struct Spec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =
  char sign = '-';    // - + or space
  bool alternate = false;
  bool grouped = false;
  int64_t width = 0;
  int64_t precision = -1;
  char type = '\0';
};

std::string group_thousands(const std::string& digits) {
  std::string out;
  size_t end = digits.find_first_not_of("0123456789");
  if (end == std::string::npos) end = digits.size();
  for (size_t i = 0; i < end; ++i) {
    if (i > 0 && (end - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out + digits.substr(end);
}

// Digits without a sign.
std::string format_magnitude(double value, const Spec& spec, char type) {
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  if (std::isnan(value)) return type < 'a' ? "NAN" : "nan";
  if (std::isinf(value)) return type < 'a' ? "INF" : "inf";
  if (type == '%') return fmt::format("{:.{}f}%", value * 100, precision);
  if (type == 'f' || type == 'F') return fmt::format("{:.{}f}", value, precision);
  if (type == 'e' || type == 'E')
    return fmt::format(fmt::runtime(type == 'e' ? "{:.{}e}" : "{:.{}E}"), value, precision);
  return fmt::format(fmt::runtime(type == 'g' ? "{:.{}g}" : "{:.{}G}"), value, precision == 0 ? 1 : precision);
}

std::string format_magnitude(uint64_t value, const Spec& spec) {
  switch (spec.type) {
    case 'x':
      return (spec.alternate ? "0x" : "") + fmt::format("{:x}", value);
    case 'X':
      return (spec.alternate ? "0X" : "") + fmt::format("{:X}", value);
    case 'o':
      return (spec.alternate ? "0o" : "") + fmt::format("{:o}", value);
    case 'b':
      return (spec.alternate ? "0b" : "") + fmt::format("{:b}", value);
    default:
      return std::to_string(value);
  }
}

// Lays `body` out in its field; `sign` stands before the zeros of an = field.
Text lay_out(Engine& engine, const std::string& sign, const Text& body, const Spec& spec, char natural) {
  const int64_t size = static_cast<int64_t>(sign.size() + count_code_points(body.bytes));
  const int64_t missing = std::max<int64_t>(0, spec.width - size);
  engine.charge_bytes(body.bytes.size() + static_cast<size_t>(missing));
  const char align = spec.align != '\0' ? spec.align : natural;
  const int64_t left = align == '>' || align == '=' ? missing : align == '^' ? missing / 2 : 0;
  TextBuilder out;
  if (align == '=') out.append(sign);
  for (int64_t i = 0; i < left; ++i) out.append(spec.fill);
  if (align != '=') out.append(sign);
  out.append(body);
  for (int64_t i = left; i < missing; ++i) out.append(spec.fill);
  return out.take();
}

std::string sign_of(bool negative, const Spec& spec) {
  if (negative) return "-";
  return spec.sign == '-' ? "" : std::string(1, spec.sign);
}

Text lay_out_whole(Engine& engine, int64_t value, const Spec& spec) {
  const uint64_t magnitude = value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
  std::string digits = format_magnitude(magnitude, spec);
  if (spec.grouped) digits = group_thousands(digits);
  return lay_out(engine, sign_of(value < 0, spec), {std::move(digits), {}, false}, spec, '>');
}

Text lay_out_real(Engine& engine, double value, const Spec& spec, char type) {
  std::string digits = format_magnitude(std::fabs(value), spec, type);
  if (spec.grouped) digits = group_thousands(digits);
  return lay_out(engine, sign_of(std::signbit(value) && !std::isnan(value), spec), {std::move(digits), {}, false}, spec,
                 '>');
}

Text cut(Text text, int64_t characters) {
  if (characters < 0) return text;
  return slice(text, 0, byte_of(text.bytes, static_cast<size_t>(characters)));
}

int64_t read_number(std::string_view text, size_t& at) {
  int64_t value = -1;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    value = (value < 0 ? 0 : value) * 10 + (text[at++] - '0');
    if (value > kMaxWidth) fail(ErrorKind::kLimit, "a field wider than {}", kMaxWidth);
  }
  return value;
}

// ---- %

class Percent {
 public:
  Percent(Engine& engine, const Text& format, const Value& arguments)
      : engine_(engine), format_(format), arguments_(arguments), text_(format.bytes) {
    const Sequence* s = arguments.sequence();
    if (s != nullptr && s->kind == Sequence::kTuple) {
      items_ = s->items;
      is_tuple_ = true;
    } else {
      items_ = {arguments};
    }
  }

  Text run() {
    for (size_t at = 0; at < text_.size();) {
      const size_t percent = text_.find('%', at);
      if (percent == std::string_view::npos) {
        out_.append(format_, at, text_.size());
        break;
      }
      out_.append(format_, at, percent);
      at = conversion(percent + 1);
    }
    const bool takes_any = named_ || (!is_tuple_ && (arguments_.dict() != nullptr || arguments_.sequence() != nullptr));
    if (next_ < items_.size() && !takes_any) {
      fail(ErrorKind::kData, "not all arguments converted during string formatting");
    }
    Text out = out_.take();
    out.safe = format_.safe;
    return out;
  }

 private:
  const Value& take() {
    if (next_ >= items_.size()) fail(ErrorKind::kData, "not enough arguments for format string");
    return items_[next_++];
  }

  size_t conversion(size_t at) {
    const Value* subject = nullptr;
    if (at < text_.size() && text_[at] == '(') {
      const size_t close = text_.find(')', at);
      if (close == std::string_view::npos) fail(ErrorKind::kData, "incomplete format key");
      if (arguments_.dict() == nullptr) fail(ErrorKind::kData, "format requires a mapping");
      subject = find(*arguments_.dict(), text_.substr(at + 1, close - at - 1));
      if (subject == nullptr)
        fail(ErrorKind::kData, "no value for format key {}", quote(text_.substr(at + 1, close - at - 1)));
      named_ = true;
      at = close + 1;
    }
    Spec spec;
    bool zero = false;
    for (; at < text_.size() && std::string_view("#0- +").find(text_[at]) != std::string_view::npos; ++at) {
      const char c = text_[at];
      if (c == '#') spec.alternate = true;
      if (c == '0') zero = true;
      if (c == '-') spec.align = '<';
      if (c == '+' || (c == ' ' && spec.sign != '+')) spec.sign = c;
    }
    spec.width = std::max<int64_t>(0, number_or_star(at, spec));
    if (at < text_.size() && text_[at] == '.') {
      ++at;
      spec.precision = std::max<int64_t>(0, number_or_star(at, spec));
    }
    if (at >= text_.size()) fail(ErrorKind::kData, "incomplete format");
    spec.type = text_[at++];
    if (spec.type == '%') {
      out_.append("%");
      return at;
    }
    convert(subject != nullptr ? *subject : take(), spec, zero);
    return at;
  }

  int64_t number_or_star(size_t& at, Spec& spec) {
    if (at >= text_.size() || text_[at] != '*') return read_number(text_, at);
    ++at;
    const int64_t* value = take().integer();
    if (value == nullptr) fail(ErrorKind::kData, "* wants int");
    if (*value > kMaxWidth || *value < -kMaxWidth) fail(ErrorKind::kLimit, "a field wider than {}", kMaxWidth);
    if (*value < 0) spec.align = '<';
    return std::abs(*value);
  }

  void convert(const Value& subject, Spec spec, bool zero) {
    const std::optional<Number> number = number_of(subject);
    const auto zeros = [&] {
      if (!zero || spec.align == '<') return;
      spec.align = '=';
      spec.fill = "0";
    };
    switch (spec.type) {
      case 's':
      case 'r':
        return out_.append(lay_out(
            engine_, "", cut(spec.type == 's' ? to_text(engine_, subject) : repr(engine_, subject), spec.precision),
            spec, '>'));
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': {
        if (!number || (!number->whole && spec.type != 'd' && spec.type != 'i' && spec.type != 'u')) {
          fail(ErrorKind::kData, "%{} format: a number is required, not {}", spec.type, type_name(subject));
        }
        if (!number->whole && !(std::fabs(number->real) < 9e18))
          fail(ErrorKind::kUnsupported, "an integer past 64 bits");
        if (spec.precision > 0) fail(ErrorKind::kUnsupported, "a precision with %{}", spec.type);
        zeros();
        return out_.append(
            lay_out_whole(engine_, number->whole ? number->integer : static_cast<int64_t>(number->real), spec));
      }
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G':
        if (!number) fail(ErrorKind::kData, "must be real number, not {}", type_name(subject));
        if (spec.alternate) fail(ErrorKind::kUnsupported, "%#{}", spec.type);
        zeros();
        return out_.append(lay_out_real(engine_, number->real, spec, spec.type));
      case 'c': {
        if (subject.text() != nullptr && count_code_points(subject.text()->bytes) == 1) {
          return out_.append(lay_out(engine_, "", *subject.text(), spec, '>'));
        }
        fail(ErrorKind::kUnsupported, "%c of anything but one character");
      }
      default:
        fail(ErrorKind::kUnsupported, "the conversion %{}", quote(std::string(1, spec.type)));
    }
  }

  Engine& engine_;
  const Text& format_;
  const Value& arguments_;
  std::string_view text_;
  std::vector<Value> items_;
  bool is_tuple_ = false;
  bool named_ = false;
  size_t next_ = 0;
  TextBuilder out_;
};

// ---- {}

class Braces {
 public:
  Braces(Engine& engine, const Text& format, const Arguments& arguments)
      : engine_(engine), format_(format), arguments_(arguments), text_(format.bytes) {}

  Text run() {
    for (size_t at = 0; at < text_.size();) {
      const size_t brace = text_.find_first_of("{}", at);
      if (brace == std::string_view::npos) {
        out_.append(format_, at, text_.size());
        break;
      }
      out_.append(format_, at, brace);
      if (brace + 1 < text_.size() && text_[brace + 1] == text_[brace]) {
        out_.append(format_, brace, brace + 1);
        at = brace + 2;
        continue;
      }
      if (text_[brace] == '}') fail(ErrorKind::kData, "single '}}' encountered in format string");
      at = field(brace + 1);
    }
    return out_.take();
  }

 private:
  size_t field(size_t at) {
    const size_t close = text_.find_first_of("{}", at);
    if (close == std::string_view::npos) fail(ErrorKind::kData, "expected '}}' before end of string");
    if (text_[close] == '{') fail(ErrorKind::kUnsupported, "a field inside a format field");
    std::string_view field = text_.substr(at, close - at);
    std::string_view spec;
    if (const size_t colon = field.find(':'); colon != std::string_view::npos) {
      spec = field.substr(colon + 1);
      field = field.substr(0, colon);
    }
    char conversion = '\0';
    if (const size_t mark = field.find('!'); mark != std::string_view::npos) {
      if (mark + 2 != field.size() || (field[mark + 1] != 's' && field[mark + 1] != 'r')) {
        fail(ErrorKind::kUnsupported, "the conversion {}", quote(field.substr(mark)));
      }
      conversion = field[mark + 1];
      field = field.substr(0, mark);
    }
    Value value = lookup(field);
    if (conversion == 's') value = to_text(engine_, value);
    if (conversion == 'r') value = repr(engine_, value);
    write(value, parse(spec));
    return close + 1;
  }

  Value lookup(std::string_view field) {
    const size_t end = std::min(field.find_first_of(".["), field.size());
    Value value = first(field.substr(0, end));
    for (size_t at = end; at < field.size();) {
      if (field[at] == '.') {
        const size_t stop = std::min(field.find_first_of(".[", at + 1), field.size());
        value = get_attribute(engine_, value, std::string(field.substr(at + 1, stop - at - 1)));
        at = stop;
      } else if (const size_t stop = field.find(']', at); field[at] == '[' && stop != std::string_view::npos) {
        const std::string_view key = field.substr(at + 1, stop - at - 1);
        int64_t index = 0;
        const auto [last, problem] = std::from_chars(key.data(), key.data() + key.size(), index);
        const bool whole = problem == std::errc() && last == key.data() + key.size() && key[0] != '-';
        value = get_item(engine_, value, whole ? Value(index) : make_text(key));
        at = stop + 1;
      } else {
        fail(ErrorKind::kData, "the format field {} cannot be read", quote(field));
      }
    }
    return value;
  }

  Value first(std::string_view name) {
    size_t index = automatic_;
    if (name.empty()) {
      ++automatic_;
    } else if (name[0] >= '0' && name[0] <= '9') {
      size_t at = 0;
      index = static_cast<size_t>(read_number(name, at));
    } else {
      for (const auto& [key, value] : arguments_.named) {
        if (key == name) return value;
      }
      fail(ErrorKind::kData, "no argument {} for the format string", quote(name));
    }
    if (index >= arguments_.positional.size()) fail(ErrorKind::kData, "too few arguments for the format string");
    return arguments_.positional[index];
  }

  Spec parse(std::string_view text) const {
    static constexpr std::string_view kAligns = "<>^=";
    Spec spec;
    size_t at = 0;
    if (!text.empty()) {
      const size_t next = code_point_at(text, 0).next;
      if (next < text.size() && kAligns.find(text[next]) != std::string_view::npos) {
        spec.fill = std::string(text.substr(0, next));
        spec.align = text[next];
        at = next + 1;
      } else if (kAligns.find(text[0]) != std::string_view::npos) {
        spec.align = text[0];
        at = 1;
      }
    }
    const auto accept = [&](char c) {
      if (at >= text.size() || text[at] != c) return false;
      ++at;
      return true;
    };
    if (accept('+'))
      spec.sign = '+';
    else if (accept(' '))
      spec.sign = ' ';
    else
      accept('-');
    spec.alternate = accept('#');
    if (accept('0') && spec.align == '\0') {
      spec.align = '=';
      spec.fill = "0";
    }
    spec.width = std::max<int64_t>(0, read_number(text, at));
    spec.grouped = accept(',');
    if (accept('.')) {
      spec.precision = read_number(text, at);
      if (spec.precision < 0) fail(ErrorKind::kData, "format specifier missing precision");
    }
    if (at < text.size()) spec.type = text[at++];
    if (at < text.size()) fail(ErrorKind::kUnsupported, "the format {}", quote(text));
    return spec;
  }

  void write(const Value& value, Spec spec) {
    const bool plain = spec.type == '\0' || spec.type == 's';
    if (value.text() != nullptr) {
      if (!plain || spec.align == '=') fail(ErrorKind::kData, "format '{}' does not fit a string", spec.type);
      return out_.append(lay_out(engine_, "", cut(*value.text(), spec.precision), spec, '<'));
    }
    const std::optional<Number> number = number_of(value);
    const bool bare = spec.width == 0 && spec.precision < 0 && spec.sign == '-' && !spec.grouped && !spec.alternate;
    if (spec.type == '\0' && bare) return out_.append(to_text(engine_, value));
    if (!number) fail(ErrorKind::kData, "a format for a '{}', which takes none", type_name(value));
    static constexpr std::string_view kReals = "fFeEgG%";
    if (kReals.find(spec.type) != std::string_view::npos && spec.type != '\0') {
      if (spec.alternate) fail(ErrorKind::kUnsupported, "the flag # with '{}'", spec.type);
      return out_.append(lay_out_real(engine_, number->real, spec, spec.type));
    }
    const bool whole_type = spec.type == '\0' || std::string_view("dxXob").find(spec.type) != std::string_view::npos;
    if (!number->whole && spec.type == '\0' && spec.precision < 0) {
      Spec body = spec;
      std::string digits = format_real(std::fabs(number->real));
      if (spec.grouped) digits = group_thousands(digits);
      return out_.append(lay_out(engine_, sign_of(std::signbit(number->real), spec), {digits, {}, false}, body, '>'));
    }
    if (!number->whole || !whole_type || spec.precision >= 0) {
      fail(ErrorKind::kUnsupported, "format '{}' of a '{}'", spec.type, type_name(value));
    }
    out_.append(lay_out_whole(engine_, number->integer, spec));
  }

  Engine& engine_;
  const Text& format_;
  const Arguments& arguments_;
  std::string_view text_;
  size_t automatic_ = 0;
  TextBuilder out_;
};

}  // namespace

Text format_percent(Engine& engine, const Text& format, const Value& arguments) {
  engine.charge_bytes(format.bytes.size());
  return Percent(engine, format, arguments).run();
}

Text format_braces(Engine& engine, const Text& format, const Arguments& arguments) {
  engine.charge_bytes(format.bytes.size());
  return Braces(engine, format, arguments).run();
}

}  // namespace merit::text::jinja
