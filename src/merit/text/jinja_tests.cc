// The tests (`value is name`) and the global functions.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "merit/text/jinja_functions.h"

namespace merit::text::jinja {

namespace {

template <bool (*kHolds)(const Value&)>
bool plain(Engine&, const Value& subject, const Arguments& arguments) {
  const Params p("a test", arguments, {});
  return kHolds(subject);
}

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_boolean(const Value& v) { return v.boolean() != nullptr; }
bool is_true(const Value& v) { return v.boolean() != nullptr && *v.boolean(); }
bool is_false(const Value& v) { return v.boolean() != nullptr && !*v.boolean(); }
bool is_integer(const Value& v) { return v.integer() != nullptr; }
bool is_float(const Value& v) { return v.real() != nullptr; }
bool is_number(const Value& v) { return number_of(v).has_value(); }
bool is_string(const Value& v) { return v.text() != nullptr; }
bool is_mapping(const Value& v) { return v.dict() != nullptr; }
bool is_escaped(const Value& v) { return v.text() != nullptr && v.text()->safe; }
bool is_callable(const Value& v) { return (v.object() != nullptr && v.object()->callable()) || v.is_undefined(); }
// What has a length and takes subscripts.
bool is_sequence(const Value& v) {
  const Sequence* s = v.sequence();
  return v.text() != nullptr || v.dict() != nullptr || (s != nullptr && s->kind <= Sequence::kRange) ||
         v.is_undefined();
}

template <bool kOdd>
bool parity(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p(kOdd ? "odd" : "even", arguments, {});
  return equal(engine, binary(engine, Op::kMod, subject, int64_t{2}), int64_t{kOdd ? 1 : 0});
}

bool divisibleby(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("divisibleby", arguments, {"num"}, 1);
  return equal(engine, binary(engine, Op::kMod, subject, p[0]), int64_t{0});
}

template <bool kUpper>
bool cased(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p(kUpper ? "upper" : "lower", arguments, {});
  Arguments none;
  return truthy(engine.call(*find_method(to_text(engine, subject), kUpper ? "isupper" : "islower"), none));
}

bool known_filter(Engine&, const Value& subject, const Arguments& arguments) {
  const Params p("filter", arguments, {});
  if (!is_hashable(subject)) fail(ErrorKind::kData, "a '{}' cannot name a filter", type_name(subject));
  return subject.text() != nullptr && find_filter(subject.text()->bytes) != nullptr;
}

bool known_test(Engine&, const Value& subject, const Arguments& arguments) {
  const Params p("test", arguments, {});
  if (!is_hashable(subject)) fail(ErrorKind::kData, "a '{}' cannot name a test", type_name(subject));
  return subject.text() != nullptr && find_test(subject.text()->bytes) != nullptr;
}

bool sameas(Engine&, const Value& subject, const Arguments& arguments) {
  const Params p("sameas", arguments, {"other"}, 1);
  return identical(subject, p[0]);
}

bool in(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("in", arguments, {"seq"}, 1);
  return contains(engine, p[0], subject);
}

template <bool kNot>
bool equals(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("eq", arguments, {"/other"}, 1);
  return equal(engine, subject, p[0]) != kNot;
}

template <bool kSwap, bool kOrEqual>
bool order(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("a comparison", arguments, {"/other"}, 1);
  const Value& a = kSwap ? p[0] : subject;
  const Value& b = kSwap ? subject : p[0];
  const bool before = less(engine, a, b);
  return before || (kOrEqual && equal(engine, a, b));
}

// ---- globals

struct GlobalFunction : Object {
  using Body = Value (*)(Engine& engine, Arguments& arguments);
  GlobalFunction(const char* n, Body b) : name(n), body(b) {}
  std::string type() const override { return "function"; }
  bool callable() const override { return true; }
  Value call(Engine& engine, Arguments& arguments) override { return body(engine, arguments); }
  const char* name;
  Body body;
};

Value range_global(Engine& engine, Arguments& arguments) {
  constexpr int64_t kMaxRange = 100000;  // the sandbox's
  const Params p("range", arguments, {"/start", "/stop", "/step"}, 1);
  const int64_t start = p.has(1) ? p.integer(0, 0) : 0;
  const int64_t stop = p.has(1) ? p.integer(1, 0) : p.integer(0, 0);
  const int64_t step = p.integer(2, 1);
  if (step == 0) fail(ErrorKind::kData, "range's step must not be zero");
  std::vector<Value> items;
  for (__int128 i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (static_cast<int64_t>(items.size()) >= kMaxRange)
      fail(ErrorKind::kLimit, "a range of more than {} items", kMaxRange);
    items.push_back(static_cast<int64_t>(i));
  }
  engine.charge(items.size());
  std::string label = fmt::format("range({}, {}", start, stop);
  return make_range(std::move(items), label + (step != 1 ? fmt::format(", {})", step) : ")"));
}

std::vector<std::pair<Value, Value>> entries_of(Engine& engine, const char* function, Arguments& arguments) {
  if (arguments.positional.size() > 1) fail(ErrorKind::kData, "{} takes one argument by position", function);
  std::vector<std::pair<Value, Value>> entries;
  if (!arguments.positional.empty()) {
    const Value& source = defined(arguments.positional[0]);
    if (const Dict* dict = source.dict()) {
      entries = dict->entries;
    } else {
      for (const Value& item : iterate(engine, source)) {
        const std::vector<Value> pair = iterate(engine, item);
        if (pair.size() != 2) fail(ErrorKind::kData, "{} takes pairs, got {} items", function, pair.size());
        entries.emplace_back(pair[0], pair[1]);
      }
    }
    engine.charge(entries.size());
  }
  for (auto& [name, value] : arguments.named) entries.emplace_back(make_text(name), value);
  return entries;
}

Value dict_global(Engine& engine, Arguments& arguments) { return make_dict(entries_of(engine, "dict", arguments)); }

Value namespace_global(Engine& engine, Arguments& arguments) {
  auto space = std::make_shared<Namespace>();
  engine.charge(64);
  for (const auto& [key, value] : entries_of(engine, "namespace", arguments)) {
    space->set(require_text(key, "a namespace's name").bytes, value);
  }
  engine.keep(space);
  return std::shared_ptr<Object>(space);
}

Value raise_global(Engine& engine, Arguments& arguments) {
  const Params p("raise_exception", arguments, {"message"}, 1);
  std::string message = to_text(engine, p[0]).bytes;
  for (char& c : message) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  constexpr size_t kMax = 1000;
  if (message.size() > kMax) {
    size_t end = kMax;
    while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;
    message = message.substr(0, end) + "...";
  }
  throw TemplateRefusal(ErrorKind::kData, message);
}

Value strftime_global(Engine& engine, Arguments& arguments) {
  const Params p("strftime_now", arguments, {"format"}, 1);
  return make_text(engine.strftime_now(p.text(0).bytes));
}

struct Cycle {
  std::vector<Value> items;
  size_t at = 0;
  size_t depth = 0;
};

struct CycleMethod : Object {
  using Body = Value (*)(Cycle& self);
  CycleMethod(std::shared_ptr<Cycle> s, Body b) : self(std::move(s)), body(b) { depth = self->depth; }
  std::string type() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Engine&, Arguments& arguments) override {
    const Params p("a method", arguments, {});
    return body(*self);
  }
  std::shared_ptr<Cycle> self;
  Body body;
};

struct Cycler : Object {
  explicit Cycler(std::shared_ptr<Cycle> s) : self(std::move(s)) { depth = self->depth; }
  std::string type() const override { return "Cycler"; }
  std::optional<Value> attribute(Engine&, const std::string& name) override {
    if (name == "current") return self->items[self->at];
    const auto method = [&](CycleMethod::Body body) {
      return Value(std::shared_ptr<Object>(std::make_shared<CycleMethod>(self, body)));
    };
    if (name == "next") {
      return method([](Cycle& c) {
        Value value = c.items[c.at];
        c.at = (c.at + 1) % c.items.size();
        return value;
      });
    }
    if (name == "reset") {
      return method([](Cycle& c) {
        c.at = 0;
        return Value();
      });
    }
    return std::nullopt;
  }
  std::shared_ptr<Cycle> self;
};

Value cycler_global(Engine&, Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty())
    fail(ErrorKind::kData, "cycler takes one or more items");
  auto cycle = std::make_shared<Cycle>();
  cycle->items = arguments.positional;
  cycle->depth = depth_above(cycle->items);
  return std::shared_ptr<Object>(std::make_shared<Cycler>(std::move(cycle)));
}

struct Joiner : Object {
  explicit Joiner(Value s) : separator(std::move(s)) { depth = depth_above({separator}); }
  std::string type() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Value call(Engine&, Arguments& arguments) override {
    const Params p("a joiner", arguments, {});
    if (std::exchange(used, true)) return separator;
    return make_text("");
  }
  Value separator;
  bool used = false;
};

Value joiner_global(Engine&, Arguments& arguments) {
  const Params p("joiner", arguments, {"sep"});
  return std::shared_ptr<Object>(std::make_shared<Joiner>(p.has(0) ? p[0] : make_text(", ")));
}

}  // namespace

std::optional<Value> Namespace::attribute(Engine&, const std::string& name) {
  for (const auto& [key, value] : members) {
    if (key == name) return value;
  }
  return std::nullopt;
}

void Namespace::set(const std::string& name, Value value) {
  if (!name.empty() && name[0] == '_') fail(ErrorKind::kData, "a namespace takes no name that begins with _");
  for (auto& [key, held] : members) {
    if (key == name) {
      held = std::move(value);
      return;
    }
  }
  members.emplace_back(name, std::move(value));
}

Test find_test(std::string_view name) {
  static const std::map<std::string_view, Test> kTests = {
      {"boolean", plain<is_boolean>},
      {"callable", plain<is_callable>},
      {"defined", plain<is_defined>},
      {"escaped", plain<is_escaped>},
      {"false", plain<is_false>},
      {"float", plain<is_float>},
      {"integer", plain<is_integer>},
      {"iterable", plain<is_iterable>},
      {"mapping", plain<is_mapping>},
      {"none", plain<is_none>},
      {"number", plain<is_number>},
      {"sequence", plain<is_sequence>},
      {"string", plain<is_string>},
      {"true", plain<is_true>},
      {"undefined", plain<is_undefined>},
      {"odd", parity<true>},
      {"even", parity<false>},
      {"divisibleby", divisibleby},
      {"upper", cased<true>},
      {"lower", cased<false>},
      {"filter", known_filter},
      {"test", known_test},
      {"sameas", sameas},
      {"in", in},
      {"eq", equals<false>},
      {"equalto", equals<false>},
      {"==", equals<false>},
      {"ne", equals<true>},
      {"!=", equals<true>},
      {"lt", order<false, false>},
      {"lessthan", order<false, false>},
      {"<", order<false, false>},
      {"le", order<false, true>},
      {"<=", order<false, true>},
      {"gt", order<true, false>},
      {"greaterthan", order<true, false>},
      {">", order<true, false>},
      {"ge", order<true, true>},
      {">=", order<true, true>},
  };
  const auto found = kTests.find(name);
  return found != kTests.end() ? found->second : nullptr;
}

std::optional<Value> find_global(std::string_view name) {
  static const std::map<std::string_view, GlobalFunction::Body> kGlobals = {
      {"range", range_global},           {"dict", dict_global},           {"cycler", cycler_global},
      {"joiner", joiner_global},         {"namespace", namespace_global}, {"raise_exception", raise_global},
      {"strftime_now", strftime_global},
  };
  const auto found = kGlobals.find(name);
  if (found == kGlobals.end()) return std::nullopt;
  return Value(std::shared_ptr<Object>(std::make_shared<GlobalFunction>(found->first.data(), found->second)));
}

}  // namespace merit::text::jinja
