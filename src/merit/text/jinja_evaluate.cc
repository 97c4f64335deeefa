// The interpreter's expressions.
#include <fmt/format.h>

#include "merit/text/jinja_interpreter.h"

namespace merit::text::jinja {

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
