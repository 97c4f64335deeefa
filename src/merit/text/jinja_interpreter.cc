#include "merit/text/jinja_interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "merit/text/jinja_loop.h"

namespace merit::text::jinja {

namespace {
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
      return exec_for(stmt, frame);
    case Stmt::kSet:
      assign(*stmt.target, eval(*stmt.value, frame), *frame);
      break;
    case Stmt::kSetBlock: {
      Text text;
      const Flow flow = capture(stmt.body, std::make_shared<Frame>(frame), text);
      if (flow != Flow::kNext) return flow;
      assign(*stmt.target, eval_filtered(stmt.value.get(), std::move(text), frame), *frame);
      break;
    }
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
    case Stmt::kFilterBlock: {
      Text text;
      const Flow flow = capture(stmt.body, std::make_shared<Frame>(frame), text);
      if (flow != Flow::kNext) return flow;
      print(require_text(eval_filtered(stmt.value.get(), std::move(text), frame), "what a filter block gives"));
      break;
    }
    case Stmt::kGeneration: {
      Text text;
      capture(stmt.body, std::make_shared<Frame>(frame), text);
      print(text, kGeneration);
      break;
    }
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

Interpreter::Flow Interpreter::exec_for(const Stmt& stmt, const FramePtr& frame) {
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
  bool completed = false;  // some pass came to its end
  try {
    while (loop->advance()) {
      charge(4);
      const FramePtr inner = std::make_shared<Frame>(frame);
      assign(*stmt.target, loop->current, *inner);
      inner->set("loop", shown);
      const Flow flow = exec(stmt.body, inner);
      if (flow == Flow::kBreak) break;
      completed = completed || flow == Flow::kNext;
    }
  } catch (...) {
    loop->release();
    throw;
  }
  loop->release();  // a template may keep `loop`, but not what it held
  // The reference runs else unless a pass came to its end: after a break or continue in every pass too.
  return completed ? Flow::kNext : exec(stmt.otherwise, std::make_shared<Frame>(frame));
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

Interpreter::Flow Interpreter::capture(const Body& body, const FramePtr& frame, Text& text) {
  TextBuilder inner;
  TextBuilder* const outer = std::exchange(out_, &inner);
  Flow flow = Flow::kNext;
  try {
    flow = exec(body, frame);
  } catch (...) {
    out_ = outer;
    throw;
  }
  out_ = outer;
  text = inner.take();
  return flow;
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
  Text text;
  capture(macro.body, frame, text);
  return text;
}

}  // namespace merit::text::jinja
