#include "merit/text/jinja_interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace merit::text::jinja {

namespace {
constexpr int kMaxNesting = 1500;
constexpr size_t kMaxOutput = size_t{64} << 20;
}  // namespace

void Frame::set(const std::string& name, Value value) {
  for (auto& [key, held] : names) {
    if (key == name) {
      held = std::move(value);
      return;
    }
  }
  names.emplace_back(name, std::move(value));
}

const Value* Frame::find(const std::string& name) const {
  for (const Frame* frame = this; frame != nullptr; frame = frame->parent.get()) {
    for (const auto& [key, value] : frame->names) {
      if (key == name) return &value;
    }
  }
  return nullptr;
}

struct Interpreter::Nest {
  explicit Nest(Interpreter& i) : interpreter(i) {
    if (interpreter.nesting_ >= kMaxNesting) fail(ErrorKind::kLimit, "the template calls itself too deeply");
    ++interpreter.nesting_;
    interpreter.charge(1);
  }
  ~Nest() { --interpreter.nesting_; }
  Interpreter& interpreter;
};

struct MacroObject : Object {
  MacroObject(Interpreter& i, const MacroDef& m, FramePtr s) : interpreter(i), macro(m), scope(std::move(s)) {}
  std::string type() const override { return "Macro"; }
  bool callable() const override { return true; }
  std::optional<Value> attribute(Engine&, const std::string& name) override {
    if (name == "name") return make_text(macro.name);
    return std::nullopt;
  }
  Value call(Engine&, Arguments& arguments) override { return interpreter.call_macro(macro, scope, arguments); }
  Interpreter& interpreter;
  const MacroDef& macro;
  FramePtr scope;
};

namespace {

// The items of a for loop, one at a time, and what `loop` says about them. Items are filtered only when they are
// reached or asked for, as the reference does: a body may change what the filter tests.
struct Loop : Object, std::enable_shared_from_this<Loop> {
  std::vector<Value> items;
  size_t cursor = 0;                          // of the next unfiltered item
  std::function<bool(const Value&)> accepts;  // empty: all
  int64_t index0 = -1;
  std::optional<int64_t> known_length;
  std::optional<Value> after;
  Value before, current;
  std::optional<Value> last_changed;
  size_t depth0 = 0;

  std::string type() const override { return "LoopContext"; }
  void release() override {
    items.clear();
    cursor = 0;
    accepts = nullptr;
    after.reset();
    last_changed.reset();
    before = current = Value();
  }

  std::optional<Value> pull() {
    while (cursor < items.size()) {
      Value item = items[cursor++];
      if (!accepts || accepts(item)) return item;
    }
    return std::nullopt;
  }
  bool advance() {
    std::optional<Value> item = after ? std::exchange(after, std::nullopt) : pull();
    if (!item) return false;
    ++index0;
    before = std::exchange(current, *item);
    return true;
  }
  const std::optional<Value>& peek() {
    if (!after) after = pull();
    return after;
  }
  int64_t size() {
    if (!known_length) {
      if (accepts) {
        std::vector<Value> left;
        while (std::optional<Value> item = pull()) left.push_back(*item);
        items = std::move(left);
        cursor = 0;
        accepts = nullptr;
        known_length = static_cast<int64_t>(items.size()) + index0 + 1 + (after ? 1 : 0);
      } else {
        known_length = static_cast<int64_t>(items.size());
      }
    }
    return *known_length;
  }
  std::optional<Value> attribute(Engine& engine, const std::string& name) override;
};

struct LoopMethod : Object {
  using Body = Value (*)(Engine&, Loop&, const Arguments&);
  LoopMethod(std::shared_ptr<Loop> l, Body b) : loop(std::move(l)), body(b) {}
  std::string type() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Engine& engine, Arguments& arguments) override { return body(engine, *loop, arguments); }
  std::shared_ptr<Loop> loop;
  Body body;
};

Value loop_cycle(Engine&, Loop& loop, const Arguments& arguments) {
  if (arguments.positional.empty()) fail(ErrorKind::kData, "no items for cycling given");
  return arguments.positional[static_cast<size_t>(loop.index0) % arguments.positional.size()];
}

Value loop_changed(Engine& engine, Loop& loop, const Arguments& arguments) {
  Value now = make_tuple(arguments.positional);
  if (loop.last_changed && equal(engine, *loop.last_changed, now)) return false;
  loop.last_changed = std::move(now);
  return true;
}

std::optional<Value> Loop::attribute(Engine& engine, const std::string& name) {
  if (name == "index") return Value(index0 + 1);
  if (name == "index0") return Value(index0);
  if (name == "first") return Value(index0 == 0);
  if (name == "last") return Value(!peek());
  if (name == "length") return Value(size());
  if (name == "revindex") return Value(size() - index0);
  if (name == "revindex0") return Value(size() - index0 - 1);
  if (name == "previtem") return index0 == 0 ? Value(Undefined{"there is no previous item"}) : before;
  if (name == "nextitem") return peek() ? *peek() : Value(Undefined{"there is no next item"});
  if (name == "depth") return Value(int64_t{1});
  if (name == "depth0") return Value(int64_t{0});
  if (name == "cycle" || name == "changed") {
    const LoopMethod::Body body = name == "cycle" ? loop_cycle : loop_changed;
    return Value(std::shared_ptr<Object>(std::make_shared<LoopMethod>(shared_from_this(), body)));
  }
  return std::nullopt;
}

}  // namespace

Interpreter::Interpreter(const Program& program, std::vector<std::pair<std::string, Value>> inputs, const Clock& clock)
    : program_(program), inputs_(std::move(inputs)), clock_(clock), root_(std::make_shared<Frame>(nullptr)) {}

// Scopes and namespaces may hold themselves by way of macros: emptied, they let go.
Interpreter::~Interpreter() {
  for (const FramePtr& frame : kept_frames_) frame->names.clear();
  for (const std::shared_ptr<Object>& object : kept_) object->release();
}

Text Interpreter::run() {
  try {
    TextBuilder out;
    out_ = &out;
    exec(program_.body, root_);
    return out.take();
  } catch (const Error& e) {
    fail_at(program_.source, offset_, e.kind(), e.what());
  }
}

void Interpreter::keep(std::shared_ptr<Object> object) {
  charge(64);
  kept_.push_back(std::move(object));
}

std::string Interpreter::strftime_now(const std::string& format) {
  if (format.empty()) return {};
  if (format.size() > 1000) fail(ErrorKind::kLimit, "a date format of more than 1000 bytes");
  const std::tm now = clock_();
  std::string out(16384, '\0');
  // A mark behind the format tells an empty date from one that does not fit.
  const size_t n = std::strftime(out.data(), out.size(), (format + "|").c_str(), &now);
  if (n == 0) fail(ErrorKind::kLimit, "the date is too long");
  out.resize(n - 1);
  return out;
}

// ---- statements

Interpreter::Flow Interpreter::exec(const Body& body, const FramePtr& frame) {
  for (const std::unique_ptr<Stmt>& stmt : body) {
    const Flow flow = exec(*stmt, frame);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::exec(const Stmt& stmt, const FramePtr& frame) {
  offset_ = stmt.offset;
  const Nest nest(*this);
  switch (stmt.kind) {
    case Stmt::kData:
      print({stmt.data, {}, false});
      break;
    case Stmt::kPrint:
      print(to_text(*this, eval(*stmt.value, frame)));
      break;
    case Stmt::kIf:
      return exec_if(stmt, frame);
    case Stmt::kFor:
      exec_for(stmt, frame);
      break;
    case Stmt::kSet:
      assign(*stmt.target, eval(*stmt.value, frame), *frame);
      break;
    case Stmt::kSetBlock:
      assign(*stmt.target, eval_filtered(stmt.value.get(), capture(stmt.body, frame), frame), *frame);
      break;
    case Stmt::kWith: {
      const FramePtr inner = std::make_shared<Frame>(frame);
      for (const auto& [target, value] : stmt.assignments) assign(*target, eval(*value, frame), *inner);
      return exec(stmt.body, inner);
    }
    case Stmt::kMacro:
      frame->set(stmt.macro->name, make_macro(*stmt.macro, frame));
      break;
    case Stmt::kCallBlock: {
      const Value callee = eval(*stmt.value->children[0], frame);
      Arguments arguments = eval_arguments(*stmt.value, frame);
      arguments.named.emplace_back("caller", make_macro(*stmt.macro, frame));
      offset_ = stmt.offset;
      print(to_text(*this, call(callee, arguments)));
      break;
    }
    case Stmt::kFilterBlock:
      print(to_text(*this, eval_filtered(stmt.value.get(), capture(stmt.body, frame), frame)));
      break;
    case Stmt::kGeneration:
      print(capture(stmt.body, frame), kGeneration);
      break;
    case Stmt::kBreak:
      return Flow::kBreak;
    case Stmt::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::exec_if(const Stmt& stmt, const FramePtr& frame) {
  for (const auto& [test, body] : stmt.branches) {
    if (truthy(eval(*test, frame))) return exec(body, frame);
  }
  return exec(stmt.otherwise, frame);
}

void Interpreter::exec_for(const Stmt& stmt, const FramePtr& frame) {
  const Value source = eval(*stmt.value, frame);
  offset_ = stmt.offset;
  auto loop = std::make_shared<Loop>();
  loop->items = iterate(*this, source);
  if (stmt.test) {
    loop->accepts = [&](const Value& item) {
      const FramePtr inner = std::make_shared<Frame>(frame);
      assign(*stmt.target, item, *inner);
      return truthy(eval(*stmt.test, inner));
    };
  }
  const Value shown = std::shared_ptr<Object>(loop);
  try {
    while (loop->advance()) {
      charge(4);
      const FramePtr inner = std::make_shared<Frame>(frame);
      assign(*stmt.target, loop->current, *inner);
      inner->set("loop", shown);
      if (exec(stmt.body, inner) == Flow::kBreak) break;
    }
  } catch (...) {
    loop->release();
    throw;
  }
  // Python's loops without a pass run their else.
  const bool empty = loop->index0 < 0;
  loop->release();  // a template may keep `loop`, but not what it held
  if (empty) exec(stmt.otherwise, std::make_shared<Frame>(frame));
}

void Interpreter::print(const Text& text, uint8_t marks) {
  charge_bytes(text.bytes.size());
  if (out_->size() + text.bytes.size() > kMaxOutput) fail(ErrorKind::kLimit, "the template writes more than 64 MiB");
  out_->append(text, 0, text.bytes.size(), marks);
}

void Interpreter::assign(const Expr& target, const Value& value, Frame& frame) {
  if (target.kind == Expr::kName) {
    frame.set(target.name, value);
  } else if (target.kind == Expr::kMember) {
    const std::string& name = target.children[0]->name;
    const Value* held = frame.find(name);
    Namespace* space = held != nullptr ? dynamic_cast<Namespace*>(held->object()) : nullptr;
    offset_ = target.offset;
    if (space == nullptr)
      fail(ErrorKind::kData, "cannot assign an attribute of {}, which is no namespace", quote(name));
    space->set(target.name, value);
  } else {
    offset_ = target.offset;
    const std::vector<Value> items = iterate(*this, value);
    if (items.size() != target.children.size()) {
      fail(ErrorKind::kData, "{} value(s) for {} name(s)", items.size(), target.children.size());
    }
    for (size_t i = 0; i < items.size(); ++i) assign(*target.children[i], items[i], frame);
  }
}

Text Interpreter::capture(const Body& body, const FramePtr& frame) {
  TextBuilder text;
  TextBuilder* const outer = std::exchange(out_, &text);
  try {
    exec(body, std::make_shared<Frame>(frame));
  } catch (...) {
    out_ = outer;
    throw;
  }
  out_ = outer;
  return text.take();
}

Value Interpreter::make_macro(const MacroDef& macro, const FramePtr& frame) {
  for (FramePtr scope = frame; scope != nullptr && !scope->kept; scope = scope->parent) {
    charge(64);
    scope->kept = true;
    kept_frames_.push_back(scope);
  }
  return std::shared_ptr<Object>(std::make_shared<MacroObject>(*this, macro, frame));
}

void Interpreter::bind(const MacroDef& macro, Arguments& arguments, const FramePtr& frame) {
  const size_t n = macro.parameters.size();
  const size_t first_default = n - macro.defaults.size();
  const auto take_named = [&](const std::string& name) -> std::optional<Value> {
    const auto at = std::find_if(arguments.named.begin(), arguments.named.end(),
                                 [&](const auto& argument) { return argument.first == name; });
    if (at == arguments.named.end()) return std::nullopt;
    Value value = std::move(at->second);
    arguments.named.erase(at);
    return value;
  };
  for (size_t i = 0; i < n; ++i) {
    const std::string& name = macro.parameters[i];
    if (i < arguments.positional.size()) {
      frame->set(name, arguments.positional[i]);
    } else if (std::optional<Value> named = take_named(name)) {
      frame->set(name, *named);
    } else if (i >= first_default) {
      frame->set(name, eval(*macro.defaults[i - first_default], frame));
    } else {
      frame->set(name, Undefined{fmt::format("parameter {} was not provided", quote(name))});
    }
  }
  if (macro.uses_caller) {
    frame->set("caller", take_named("caller").value_or(Value(Undefined{"no caller defined"})));
  }
  if (macro.uses_kwargs) {
    std::vector<std::pair<Value, Value>> entries;
    for (auto& [name, value] : arguments.named) entries.emplace_back(make_text(name), value);
    frame->set("kwargs", make_dict(std::move(entries)));
  } else if (!arguments.named.empty()) {
    fail(ErrorKind::kData, "macro {} takes no argument {}", quote(macro.name), quote(arguments.named[0].first));
  }
  std::vector<Value>& given = arguments.positional;
  if (macro.uses_varargs) {
    frame->set("varargs",
               make_tuple({given.begin() + static_cast<std::ptrdiff_t>(std::min(n, given.size())), given.end()}));
  } else if (given.size() > n) {
    fail(ErrorKind::kData, "macro {} takes not more than {} argument(s)", quote(macro.name), n);
  }
}

Text Interpreter::call_macro(const MacroDef& macro, const FramePtr& scope, Arguments& arguments) {
  const Nest nest(*this);
  const FramePtr frame = std::make_shared<Frame>(scope);
  bind(macro, arguments, frame);
  TextBuilder text;
  TextBuilder* const outer = std::exchange(out_, &text);
  try {
    exec(macro.body, frame);
  } catch (...) {
    out_ = outer;
    throw;
  }
  out_ = outer;
  return text.take();
}

// ---- expressions

Value Interpreter::call(const Value& callee, Arguments& arguments) {
  charge(1);
  if (callee.is_undefined()) fail(ErrorKind::kData, "{}", callee.undefined().message);
  Object* object = callee.object();
  if (object == nullptr || !object->callable()) {
    fail(ErrorKind::kData, "'{}' object is not callable", type_name(callee));
  }
  const std::shared_ptr<Object> held = callee.shared_object();
  return held->call(*this, arguments);
}

Value Interpreter::eval(const Expr& expr, const FramePtr& frame) {
  const Nest nest(*this);
  const auto child = [&](size_t i) {
    Value value = expr.children[i] ? eval(*expr.children[i], frame) : Value();
    offset_ = expr.offset;
    return value;
  };
  switch (expr.kind) {
    case Expr::kConst:
      return expr.constant;
    case Expr::kName:
      return eval_name(expr, frame);
    case Expr::kTuple:
      return make_tuple(eval_all(expr.children, frame));
    case Expr::kList:
      return make_list(eval_all(expr.children, frame));
    case Expr::kDict:
      return eval_dict(expr, frame);
    case Expr::kAttribute:
      return get_attribute(*this, child(0), expr.name);
    case Expr::kItem: {
      const Value subject = child(0);
      return get_item(*this, subject, child(1));
    }
    case Expr::kSlice: {
      const Value subject = child(0);
      const Value start = child(1);
      const Value stop = child(2);
      return get_slice(*this, subject, start, stop, child(3));
    }
    case Expr::kCall:
      return eval_call(expr, frame);
    case Expr::kFilter: {
      const Value subject = expr.children[0] ? child(0) : *block_subject_;
      const Arguments arguments = eval_arguments(expr, frame);
      offset_ = expr.offset;
      return expr.filter(*this, subject, arguments);
    }
    case Expr::kTest: {
      const Value subject = child(0);
      const Arguments arguments = eval_arguments(expr, frame);
      offset_ = expr.offset;
      return expr.test(*this, subject, arguments);
    }
    case Expr::kNot:
      return !truthy(child(0));
    case Expr::kNegate:
    case Expr::kPlus:
      return negate(child(0), expr.kind == Expr::kNegate);
    case Expr::kAnd: {
      Value left = child(0);
      return truthy(left) ? child(1) : left;
    }
    case Expr::kOr: {
      Value left = child(0);
      return truthy(left) ? left : child(1);
    }
    case Expr::kBinary: {
      const Value left = child(0);
      const Value right = child(1);
      return binary(*this, expr.op, left, right);
    }
    case Expr::kConcat:
      return eval_concat(expr, frame);
    case Expr::kCompare:
      return eval_compare(expr, frame);
    case Expr::kCondition:
      return eval_condition(expr, frame);
    case Expr::kMember:
      break;
  }
  MERIT_CHECK(false);
  return Value();
}

Value Interpreter::eval_name(const Expr& expr, const FramePtr& frame) {
  offset_ = expr.offset;
  if (const Value* value = frame->find(expr.name)) return *value;
  for (const auto& [name, value] : inputs_) {
    if (name == expr.name) return value;
  }
  if (std::optional<Value> global = find_global(expr.name)) return *global;
  return Undefined{fmt::format("{} is undefined", quote(expr.name))};
}

Value Interpreter::eval_condition(const Expr& expr, const FramePtr& frame) {
  if (truthy(eval(*expr.children[0], frame))) return eval(*expr.children[1], frame);
  if (expr.children[2]) return eval(*expr.children[2], frame);
  return Undefined{"an inline if without else was false"};
}

std::vector<Value> Interpreter::eval_all(const std::vector<ExprPtr>& list, const FramePtr& frame) {
  std::vector<Value> values;
  values.reserve(list.size());
  for (const ExprPtr& expr : list) values.push_back(eval(*expr, frame));
  return values;
}

Value Interpreter::eval_dict(const Expr& expr, const FramePtr& frame) {
  std::vector<std::pair<Value, Value>> entries;
  for (size_t i = 0; i + 1 < expr.children.size(); i += 2) {
    Value key = eval(*expr.children[i], frame);
    entries.emplace_back(std::move(key), eval(*expr.children[i + 1], frame));
  }
  offset_ = expr.offset;
  return make_dict(std::move(entries));
}

Value Interpreter::eval_concat(const Expr& expr, const FramePtr& frame) {
  TextBuilder out;
  for (const ExprPtr& part : expr.children) {
    const Text text = to_text(*this, eval(*part, frame));
    charge_bytes(text.bytes.size());
    out.append(text);
  }
  return out.take();
}

Value Interpreter::eval_compare(const Expr& expr, const FramePtr& frame) {
  Value left = eval(*expr.children[0], frame);
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = eval(*expr.children[i + 1], frame);
    offset_ = expr.offset;
    bool holds = false;
    switch (expr.operators[i]) {
      case Expr::kEq:
        holds = equal(*this, left, right);
        break;
      case Expr::kNe:
        holds = !equal(*this, left, right);
        break;
      case Expr::kLt:
        holds = less(*this, left, right);
        break;
      case Expr::kGt:
        holds = less(*this, right, left);
        break;
      case Expr::kLe:
        holds = less(*this, left, right) || equal(*this, left, right);
        break;
      case Expr::kGe:
        holds = less(*this, right, left) || equal(*this, left, right);
        break;
      case Expr::kIn:
        holds = contains(*this, right, left);
        break;
      case Expr::kNotIn:
        holds = !contains(*this, right, left);
        break;
    }
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

Arguments Interpreter::eval_arguments(const Expr& expr, const FramePtr& frame) {
  Arguments out;
  const auto add_named = [&](const std::string& name, Value value) {
    for (const auto& [other, held] : out.named) {
      if (other == name) fail(ErrorKind::kData, "the argument {} stands twice", quote(name));
    }
    out.named.emplace_back(name, std::move(value));
  };
  for (const CallArgument& argument : expr.arguments) {
    Value value = eval(*argument.value, frame);
    offset_ = expr.offset;
    switch (argument.kind) {
      case CallArgument::kPlain:
        out.positional.push_back(std::move(value));
        break;
      case CallArgument::kNamed:
        out.named.emplace_back(argument.name, std::move(value));
        break;
      case CallArgument::kSplat:
        for (Value& item : iterate(*this, value)) out.positional.push_back(std::move(item));
        break;
      case CallArgument::kSplatNamed:
        if (value.dict() == nullptr) fail(ErrorKind::kData, "** wants a mapping, not {}", type_name(value));
        charge(value.dict()->entries.size() * value.dict()->entries.size() / 16 + 1);
        for (const auto& [key, item] : value.dict()->entries)
          add_named(require_text(key, "an argument's name").bytes, item);
        break;
    }
  }
  return out;
}

Value Interpreter::eval_call(const Expr& expr, const FramePtr& frame) {
  const Value callee = eval(*expr.children[0], frame);
  Arguments arguments = eval_arguments(expr, frame);
  offset_ = expr.offset;
  return call(callee, arguments);
}

Value Interpreter::eval_filtered(const Expr* filter, Text text, const FramePtr& frame) {
  if (filter == nullptr) return text;
  const Value subject(std::move(text));
  const Value* const outer = std::exchange(block_subject_, &subject);
  try {
    Value value = eval(*filter, frame);
    block_subject_ = outer;
    return value;
  } catch (...) {
    block_subject_ = outer;
    throw;
  }
}

}  // namespace merit::text::jinja
