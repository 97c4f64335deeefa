#include "merit/text/jinja_expressions.h"

namespace merit::text::jinja {

bool ExpressionParser::ends_tuple(const std::vector<std::string_view>& ends) const {
  const Token& token = current();
  if (token.kind == TokenKind::kPrintEnd || token.kind == TokenKind::kTagEnd || is_op(")") || is_op("=")) return true;
  return token.kind == TokenKind::kName && std::find(ends.begin(), ends.end(), token.text) != ends.end();
}

ExprPtr ExpressionParser::tuple(bool conditions, const std::vector<std::string_view>& ends, bool may_be_empty) {
  const size_t offset = current().offset;
  std::vector<ExprPtr> list;
  bool is_tuple = false;
  while (!ends_tuple(ends)) {
    list.push_back(expression(conditions));
    if (!skip_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && list.size() == 1) return std::move(list[0]);
  if (list.empty() && !may_be_empty) unexpected("an expression");
  return make(Expr::kTuple, offset, std::move(list));
}

ExprPtr ExpressionParser::expression(bool conditions) {
  Nest nest(*this);
  return conditions ? condition() : or_expr();
}

ExprPtr ExpressionParser::condition() {
  ExprPtr expr = or_expr();
  while (is_name("if")) {
    const size_t offset = next().offset;
    ExprPtr test = or_expr();
    ExprPtr otherwise;
    if (skip_name("else")) {
      Nest nest(*this);
      otherwise = condition();
    }
    expr = make_with(Expr::kCondition, offset, std::move(test), std::move(expr), std::move(otherwise));
  }
  return expr;
}

ExprPtr ExpressionParser::or_expr() {
  ExprPtr left = and_expr();
  while (is_name("or")) {
    const size_t offset = next().offset;
    left = make_with(Expr::kOr, offset, std::move(left), and_expr());
  }
  return left;
}

ExprPtr ExpressionParser::and_expr() {
  ExprPtr left = not_expr();
  while (is_name("and")) {
    const size_t offset = next().offset;
    left = make_with(Expr::kAnd, offset, std::move(left), not_expr());
  }
  return left;
}

ExprPtr ExpressionParser::not_expr() {
  if (!is_name("not")) return comparison();
  Nest nest(*this);
  const size_t offset = next().offset;
  return make_with(Expr::kNot, offset, not_expr());
}

std::optional<Expr::Comparison> ExpressionParser::comparison_operator() {
  static constexpr std::pair<std::string_view, Expr::Comparison> kOps[] = {
      {"==", Expr::kEq}, {"!=", Expr::kNe}, {"<", Expr::kLt}, {"<=", Expr::kLe}, {">", Expr::kGt}, {">=", Expr::kGe}};
  for (const auto& [text, op] : kOps) {
    if (skip_op(text)) return op;
  }
  if (skip_name("in")) return Expr::kIn;
  if (is_name("not") && is(ahead(), TokenKind::kName, "in")) {
    at_ += 2;
    return Expr::kNotIn;
  }
  return std::nullopt;
}

ExprPtr ExpressionParser::comparison() {
  ExprPtr first = sum();
  const size_t offset = current().offset;
  std::vector<Expr::Comparison> operators;
  std::vector<ExprPtr> operands;
  while (const std::optional<Expr::Comparison> op = comparison_operator()) {
    if (operands.empty()) operands.push_back(std::move(first));
    operators.push_back(*op);
    operands.push_back(sum());
  }
  if (operators.empty()) return first;
  ExprPtr expr = make(Expr::kCompare, offset, std::move(operands));
  expr->operators = std::move(operators);
  return expr;
}

ExprPtr ExpressionParser::make_binary(Op op, size_t offset, ExprPtr left, ExprPtr right) {
  ExprPtr expr = make_with(Expr::kBinary, offset, std::move(left), std::move(right));
  expr->op = op;
  return expr;
}

ExprPtr ExpressionParser::sum() {
  ExprPtr left = concat();
  while (is_op("+") || is_op("-")) {
    const Token op = next();
    left = make_binary(op.text == "+" ? Op::kAdd : Op::kSub, op.offset, std::move(left), concat());
  }
  return left;
}

ExprPtr ExpressionParser::concat() {
  std::vector<ExprPtr> parts;
  const size_t offset = current().offset;
  do parts.push_back(product());
  while (skip_op("~"));
  if (parts.size() == 1) return std::move(parts[0]);
  return make(Expr::kConcat, offset, std::move(parts));
}

ExprPtr ExpressionParser::product() {
  ExprPtr left = power();
  while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
    const Token op = next();
    const Op kind = op.text == "*" ? Op::kMul : op.text == "/" ? Op::kDiv : op.text == "//" ? Op::kFloorDiv : Op::kMod;
    left = make_binary(kind, op.offset, std::move(left), power());
  }
  return left;
}

ExprPtr ExpressionParser::power() {
  ExprPtr left = unary(true);
  while (is_op("**")) {
    const size_t offset = next().offset;
    left = make_binary(Op::kPow, offset, std::move(left), unary(true));
  }
  return left;
}

ExprPtr ExpressionParser::unary(bool with_filters) {
  Nest nest(*this);
  ExprPtr expr;
  if (is_op("-") || is_op("+")) {
    const Token sign = next();
    expr = make_with(sign.text == "-" ? Expr::kNegate : Expr::kPlus, sign.offset, unary(false));
  } else {
    expr = primary();
  }
  expr = postfix(std::move(expr));
  return with_filters ? filters_and_tests(std::move(expr)) : std::move(expr);
}

ExprPtr ExpressionParser::primary() {
  const Token token = next();
  switch (token.kind) {
    case TokenKind::kName:
      return name(token);
    case TokenKind::kString: {
      std::string text = token.text;
      while (current().kind == TokenKind::kString) text += next().text;
      return constant(token.offset, make_text(text));
    }
    case TokenKind::kInteger:
      return constant(token.offset, token.integer);
    case TokenKind::kFloat:
      return constant(token.offset, token.number);
    default:
      break;
  }
  if (is(token, TokenKind::kOperator, "(")) {
    ExprPtr inner = tuple(true, {}, true);
    expect_op(")");
    return inner;
  }
  if (is(token, TokenKind::kOperator, "[")) return list(token.offset);
  if (is(token, TokenKind::kOperator, "{")) return dict(token.offset);
  --at_;
  unexpected("an expression");
}

ExprPtr ExpressionParser::name(const Token& token) {
  if (token.text == "true" || token.text == "True") return constant(token.offset, true);
  if (token.text == "false" || token.text == "False") return constant(token.offset, false);
  if (token.text == "none" || token.text == "None") return constant(token.offset, Value());
  if (token.text == "strftime_now") program_.reads_clock = true;
  // What a macro's text names, inner macros included, is what it takes beyond its parameters; a parameter of that name
  // hides it from the macros around.
  for (auto macro = macros_.rbegin(); macro != macros_.rend(); ++macro) {
    const std::vector<std::string>& own = (*macro)->parameters;
    if (std::find(own.begin(), own.end(), token.text) != own.end()) break;
    (*macro)->uses_caller = (*macro)->uses_caller || token.text == "caller";
    (*macro)->uses_varargs = (*macro)->uses_varargs || token.text == "varargs";
    (*macro)->uses_kwargs = (*macro)->uses_kwargs || token.text == "kwargs";
  }
  ExprPtr expr = make(Expr::kName, token.offset);
  expr->name = token.text;
  return expr;
}

ExprPtr ExpressionParser::list(size_t offset) {
  std::vector<ExprPtr> items;
  while (!is_op("]")) {
    if (!items.empty()) expect_op(",");
    if (is_op("]")) break;
    items.push_back(expression(true));
  }
  expect_op("]");
  return make(Expr::kList, offset, std::move(items));
}

ExprPtr ExpressionParser::dict(size_t offset) {
  std::vector<ExprPtr> items;
  while (!is_op("}")) {
    if (!items.empty()) expect_op(",");
    if (is_op("}")) break;
    items.push_back(expression(true));
    expect_op(":");
    items.push_back(expression(true));
  }
  expect_op("}");
  return make(Expr::kDict, offset, std::move(items));
}

ExprPtr ExpressionParser::postfix(ExprPtr expr) {
  while (true) {
    if (is_op(".")) {
      expr = attribute(std::move(expr));
    } else if (is_op("[")) {
      expr = subscript(std::move(expr));
    } else if (is_op("(")) {
      expr = call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::filters_and_tests(ExprPtr expr) {
  while (true) {
    if (is_op("|")) {
      ++at_;
      expr = filter(std::move(expr));
    } else if (is_name("is")) {
      expr = test(std::move(expr));
    } else if (is_op("(")) {
      expr = call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::attribute(ExprPtr subject) {
  const size_t offset = next().offset;
  const Token token = next();
  if (token.kind == TokenKind::kInteger) {
    return make_with(Expr::kItem, offset, std::move(subject), constant(token.offset, token.integer));
  }
  if (token.kind != TokenKind::kName) {
    --at_;
    unexpected("a name or a number");
  }
  ExprPtr expr = make_with(Expr::kAttribute, offset, std::move(subject));
  expr->name = token.text;
  return expr;
}

ExprPtr ExpressionParser::subscript(ExprPtr subject) {
  const size_t offset = next().offset;
  ExprPtr parts[3];  // start, stop, step
  bool is_slice = false;
  if (!is_op(":")) parts[0] = expression(true);
  for (int i = 1; i < 3 && skip_op(":"); ++i) {
    is_slice = true;
    if (!is_op(":") && !is_op("]") && !is_op(",")) parts[i] = expression(true);
  }
  if (is_op(",")) unsupported(current().offset, "a subscript of several parts");
  expect_op("]");
  if (!is_slice) return make_with(Expr::kItem, offset, std::move(subject), std::move(parts[0]));
  return make_with(Expr::kSlice, offset, std::move(subject), std::move(parts[0]), std::move(parts[1]),
                   std::move(parts[2]));
}

std::vector<CallArgument> ExpressionParser::call_arguments() {
  expect_op("(");
  std::vector<CallArgument> arguments;
  CallArgument::Kind last = CallArgument::kPlain;
  while (!is_op(")")) {
    if (!arguments.empty()) {
      expect_op(",");
      if (is_op(")")) break;
    }
    const size_t offset = current().offset;
    CallArgument argument{CallArgument::kPlain, {}, nullptr};
    if (skip_op("**")) {
      argument.kind = CallArgument::kSplatNamed;
    } else if (skip_op("*")) {
      argument.kind = CallArgument::kSplat;
    } else if (current().kind == TokenKind::kName && is(ahead(), TokenKind::kOperator, "=")) {
      argument.kind = CallArgument::kNamed;
      argument.name = next().text;
      ++at_;
      for (const CallArgument& other : arguments) {
        if (other.kind == CallArgument::kNamed && other.name == argument.name) {
          error(offset, "the argument " + quote(argument.name) + " stands twice");
        }
      }
    }
    // Plain ones, then named and *, then **.
    const bool ordered = argument.kind == CallArgument::kPlain   ? last == CallArgument::kPlain
                         : argument.kind == CallArgument::kSplat ? last <= CallArgument::kNamed
                                                                 : last != CallArgument::kSplatNamed;
    if (!ordered) error(offset, "arguments out of order");
    last = std::max(last, argument.kind);
    argument.value = expression(true);
    arguments.push_back(std::move(argument));
  }
  expect_op(")");
  return arguments;
}

ExprPtr ExpressionParser::call(ExprPtr callee) {
  const size_t offset = callee->offset;
  ExprPtr expr = make_with(Expr::kCall, offset, std::move(callee));
  expr->arguments = call_arguments();
  grow(*expr);
  return expr;
}

std::string ExpressionParser::dotted_name(const char* what) {
  std::string name = expect_name(what);
  while (skip_op(".")) name += "." + expect_name(what);
  return name;
}

ExprPtr ExpressionParser::filter(ExprPtr subject) {
  const size_t offset = current().offset;
  const std::string name = dotted_name("a filter's name");
  ExprPtr expr = make_with(Expr::kFilter, offset, std::move(subject));
  expr->name = name;
  expr->filter = find_filter(name);
  if (expr->filter == nullptr) unsupported(offset, "no filter named " + quote(name));
  if (is_op("(")) expr->arguments = call_arguments();
  grow(*expr);
  return expr;
}

ExprPtr ExpressionParser::filters(ExprPtr expr) {
  while (skip_op("|")) expr = filter(std::move(expr));
  return expr;
}

ExprPtr ExpressionParser::test(ExprPtr subject) {
  ++at_;
  const bool negated = skip_name("not");
  const size_t offset = current().offset;
  const std::string name = dotted_name("a test's name");
  ExprPtr expr = make_with(Expr::kTest, offset, std::move(subject));
  expr->name = name;
  expr->test = find_test(name);
  if (expr->test == nullptr) unsupported(offset, "no test named " + quote(name));
  if (is_op("(")) {
    expr->arguments = call_arguments();
  } else if (takes_bare_argument()) {
    if (is_name("is")) error(current().offset, "tests cannot be chained with is");
    expr->arguments.push_back({CallArgument::kPlain, {}, postfix(primary())});
  }
  grow(*expr);
  return negated ? make_with(Expr::kNot, offset, std::move(expr)) : std::move(expr);
}

bool ExpressionParser::takes_bare_argument() const {
  switch (current().kind) {
    case TokenKind::kName:
      return !is_name("else") && !is_name("or") && !is_name("and");
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return true;
    default:
      return is_op("[") || is_op("{");
  }
}

}  // namespace merit::text::jinja
