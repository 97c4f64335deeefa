#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "merit/text/jinja_ast.h"

namespace merit::text::jinja {

namespace {

constexpr int kMaxNesting = 100;
constexpr size_t kMaxExprDepth = 400;

class Parser {
 public:
  explicit Parser(Program& program) : program_(program), tokens_(lex(program.source)) {}

  void run() { program_.body = statements({}, nullptr); }

 private:
  // ---- tokens

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token next() {
    Token token = current();
    if (token.kind != TokenKind::kEnd) ++at_;
    return token;
  }
  static bool is(const Token& token, TokenKind kind, std::string_view text) {
    return token.kind == kind && token.text == text;
  }
  bool is_op(std::string_view text) const { return is(current(), TokenKind::kOperator, text); }
  bool is_name(std::string_view text) const { return is(current(), TokenKind::kName, text); }
  bool skip_op(std::string_view text) {
    if (!is_op(text)) return false;
    ++at_;
    return true;
  }
  bool skip_name(std::string_view text) {
    if (!is_name(text)) return false;
    ++at_;
    return true;
  }
  void expect_op(std::string_view text) {
    if (!skip_op(text)) unexpected(fmt::format("'{}'", text));
  }
  std::string expect_name(const char* what) {
    if (current().kind != TokenKind::kName) unexpected(what);
    return next().text;
  }
  static std::string describe(const Token& token) {
    switch (token.kind) {
      case TokenKind::kEnd:
        return "the end of the template";
      case TokenKind::kTagEnd:
        return "the end of the tag";
      case TokenKind::kPrintEnd:
        return "the end of the print";
      case TokenKind::kString:
        return "the string " + quote(token.text);
      case TokenKind::kInteger:
      case TokenKind::kFloat:
        return "a number";
      default:
        return quote(token.text);
    }
  }
  [[noreturn]] void unexpected(const std::string& wanted) const {
    error(current().offset, fmt::format("expected {}, got {}", wanted, describe(current())));
  }
  [[noreturn]] void error(size_t offset, const std::string& message) const {
    fail_at(program_.source, offset, ErrorKind::kData, message);
  }
  [[noreturn]] void unsupported(size_t offset, const std::string& message) const {
    fail_at(program_.source, offset, ErrorKind::kUnsupported, message);
  }

  struct Nest {
    explicit Nest(Parser& p) : parser(p) {
      if (++parser.nesting_ > kMaxNesting) {
        fail_at(parser.program_.source, parser.current().offset, ErrorKind::kLimit,
                fmt::format("the template nests deeper than {}", kMaxNesting));
      }
    }
    ~Nest() { --parser.nesting_; }
    Parser& parser;
  };

  ExprPtr make(Expr::Kind kind, size_t offset, std::vector<ExprPtr> children = {}) {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->offset = offset;
    expr->children = std::move(children);
    grow(*expr);
    return expr;
  }
  template <typename... Children>
  ExprPtr make_with(Expr::Kind kind, size_t offset, Children... children) {
    std::vector<ExprPtr> list;
    (list.push_back(std::move(children)), ...);
    return make(kind, offset, std::move(list));
  }
  void grow(Expr& expr) {
    size_t inner = 0;
    for (const ExprPtr& child : expr.children) inner = std::max(inner, child ? child->depth : 0);
    for (const CallArgument& argument : expr.arguments) inner = std::max(inner, argument.value->depth);
    expr.depth = inner + 1;
    if (expr.depth > kMaxExprDepth) {
      fail_at(program_.source, expr.offset, ErrorKind::kLimit, "the expression is too deep");
    }
  }
  ExprPtr constant(size_t offset, Value value) {
    ExprPtr expr = make(Expr::kConst, offset);
    expr->constant = std::move(value);
    return expr;
  }

  // ---- statements

  // Up to a tag that is one of `ends`; its name goes to `end` and the parser stands behind it. Without `ends`: to the
  // end of the template.
  Body statements(const std::vector<std::string_view>& ends, std::string* end) {
    Nest nest(*this);
    const size_t opened = current().offset;
    Body body;
    while (true) {
      const Token token = next();
      if (token.kind == TokenKind::kEnd) {
        if (ends.empty()) return body;
        error(opened, fmt::format("the template ends before {}", fmt::join(ends, " or ")));
      }
      if (token.kind == TokenKind::kData) {
        body.push_back(statement(Stmt::kData, token.offset));
        body.back()->data = token.text;
      } else if (token.kind == TokenKind::kPrintBegin) {
        body.push_back(statement(Stmt::kPrint, token.offset));
        body.back()->value = tuple(true, {});
        if (current().kind != TokenKind::kPrintEnd) unexpected("}}");
        ++at_;
      } else {
        const Token tag = current();
        if (tag.kind != TokenKind::kName) unexpected("a tag's name");
        if (std::find(ends.begin(), ends.end(), tag.text) != ends.end()) {
          *end = tag.text;
          ++at_;
          return body;
        }
        parse_tag(tag, body);
        end_tag();
      }
    }
  }

  void end_tag() {
    if (current().kind != TokenKind::kTagEnd) unexpected("the end of the tag");
    ++at_;
  }

  // The body behind a tag's head: to `ends`, which is left behind, its tag end not yet read.
  Body block(const std::vector<std::string_view>& ends, std::string* end = nullptr) {
    skip_op(":");
    end_tag();
    std::string name;
    Body body = statements(ends, end != nullptr ? end : &name);
    return body;
  }

  static std::unique_ptr<Stmt> statement(Stmt::Kind kind, size_t offset) {
    auto stmt = std::make_unique<Stmt>();
    stmt->kind = kind;
    stmt->offset = offset;
    return stmt;
  }

  void parse_tag(const Token& tag, Body& body) {
    using Handler = void (Parser::*)(Stmt&);
    struct Entry {
      Stmt::Kind kind;
      Handler handler;
    };
    static const std::map<std::string_view, Entry> kTags = {
        {"if", {Stmt::kIf, &Parser::if_tag}},
        {"for", {Stmt::kFor, &Parser::for_tag}},
        {"set", {Stmt::kSet, &Parser::set_tag}},
        {"with", {Stmt::kWith, &Parser::with_tag}},
        {"macro", {Stmt::kMacro, &Parser::macro_tag}},
        {"call", {Stmt::kCallBlock, &Parser::call_tag}},
        {"filter", {Stmt::kFilterBlock, &Parser::filter_tag}},
        {"generation", {Stmt::kGeneration, &Parser::generation_tag}},
        {"break", {Stmt::kBreak, &Parser::leave_tag}},
        {"continue", {Stmt::kContinue, &Parser::leave_tag}},
    };
    if (tag.text == "print") return print_tag(body);
    const auto found = kTags.find(tag.text);
    if (found == kTags.end()) {
      static constexpr std::string_view kOthers[] = {"include", "import",     "from", "extends",
                                                     "block",   "autoescape", "do"};
      const bool known = std::find(std::begin(kOthers), std::end(kOthers), tag.text) != std::end(kOthers);
      if (known) unsupported(tag.offset, fmt::format("the tag {} has no place in a chat template", quote(tag.text)));
      error(tag.offset, fmt::format("unknown tag {}", quote(tag.text)));
    }
    ++at_;
    body.push_back(statement(found->second.kind, tag.offset));
    (this->*found->second.handler)(*body.back());
  }

  void print_tag(Body& body) {
    const size_t offset = next().offset;
    bool first = true;
    while (current().kind != TokenKind::kTagEnd) {
      if (!first) expect_op(",");
      first = false;
      body.push_back(statement(Stmt::kPrint, offset));
      body.back()->value = expression(true);
    }
  }

  void if_tag(Stmt& stmt) {
    std::string end = "elif";
    while (end == "elif") {
      ExprPtr test = tuple(false, {});
      Body body = block({"elif", "else", "endif"}, &end);
      stmt.branches.emplace_back(std::move(test), std::move(body));
    }
    if (end == "else") stmt.otherwise = block({"endif"});
  }

  void for_tag(Stmt& stmt) {
    stmt.target = target({"in"}, false);
    if (!skip_name("in")) unexpected("in");
    stmt.value = tuple(false, {"recursive"});
    if (skip_name("if")) stmt.test = expression(true);
    if (is_name("recursive")) unsupported(current().offset, "recursive loops");
    std::string end;
    ++loops_;
    stmt.body = block({"endfor", "else"}, &end);
    --loops_;
    if (end == "else") stmt.otherwise = block({"endfor"});
  }

  void set_tag(Stmt& stmt) {
    stmt.target = target({}, true);
    if (skip_op("=")) {
      stmt.value = tuple(true, {});
      return;
    }
    stmt.kind = Stmt::kSetBlock;
    if (is_op("|")) stmt.value = filters(nullptr);
    stmt.body = captured({"endset"});
  }

  void with_tag(Stmt& stmt) {
    while (current().kind != TokenKind::kTagEnd && !is_op(":")) {
      if (!stmt.assignments.empty()) expect_op(",");
      ExprPtr to = target({}, false);
      expect_op("=");
      ExprPtr value = expression(true);
      stmt.assignments.emplace_back(std::move(to), std::move(value));
    }
    stmt.body = block({"endwith"});
  }

  // A body whose text is captured: a loop outside cannot be left from inside it.
  Body captured(const std::vector<std::string_view>& ends) {
    const int loops = std::exchange(loops_, 0);
    Body body = block(ends);
    loops_ = loops;
    return body;
  }

  void macro_tag(Stmt& stmt) {
    stmt.macro = std::make_unique<MacroDef>();
    stmt.macro->name = expect_name("a macro's name");
    signature(*stmt.macro);
    macro_body(*stmt.macro, {"endmacro"});
  }

  void macro_body(MacroDef& macro, const std::vector<std::string_view>& ends) {
    macros_.push_back(&macro);
    macro.body = captured(ends);
    macros_.pop_back();
  }

  void signature(MacroDef& macro) {
    expect_op("(");
    while (!is_op(")")) {
      if (!macro.parameters.empty()) expect_op(",");
      const size_t offset = current().offset;
      const std::string name = expect_name("a parameter's name");
      if (is_reserved(name)) error(offset, "a parameter cannot be named " + name);
      macro.parameters.push_back(name);
      if (skip_op("=")) {
        macros_.push_back(&macro);
        macro.defaults.push_back(expression(true));
        macros_.pop_back();
      } else if (!macro.defaults.empty()) {
        error(offset, "a parameter without a default behind one that has one");
      }
    }
    expect_op(")");
  }

  void call_tag(Stmt& stmt) {
    stmt.macro = std::make_unique<MacroDef>();
    stmt.macro->name = "caller";
    if (is_op("(")) signature(*stmt.macro);
    const size_t offset = current().offset;
    stmt.value = expression(true);
    if (stmt.value->kind != Expr::kCall) error(offset, "expected a call");
    macro_body(*stmt.macro, {"endcall"});
  }

  void filter_tag(Stmt& stmt) {
    stmt.value = filter(nullptr);
    stmt.value = filters(std::move(stmt.value));
    stmt.body = captured({"endfilter"});
  }

  void generation_tag(Stmt& stmt) {
    program_.has_generation = true;
    stmt.body = captured({"endgeneration"});
  }

  void leave_tag(Stmt& stmt) {
    if (loops_ == 0) error(stmt.offset, "there is no loop to leave here");
  }

  // ---- targets

  static bool is_reserved(const std::string& name) {
    static constexpr std::string_view kNames[] = {"true", "false", "none", "True", "False", "None"};
    return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
  }

  ExprPtr one_target(bool members) {
    Nest nest(*this);
    const Token token = current();
    if (token.kind == TokenKind::kOperator && token.text == "(") {
      ++at_;
      ExprPtr inner = targets({}, members);
      expect_op(")");
      return inner;
    }
    const std::string name = expect_name("a name to assign to");
    if (is_reserved(name)) error(token.offset, "cannot assign to " + name);
    ExprPtr expr = make(Expr::kName, token.offset);
    if (members && skip_op(".")) {
      expr->kind = Expr::kMember;
      expr->children.push_back(make(Expr::kName, token.offset));
      expr->children[0]->name = name;
      expr->name = expect_name("an attribute's name");
    } else {
      expr->name = name;
    }
    return expr;
  }

  ExprPtr target(const std::vector<std::string_view>& ends, bool members) { return targets(ends, members); }

  ExprPtr targets(const std::vector<std::string_view>& ends, bool members) {
    const size_t offset = current().offset;
    std::vector<ExprPtr> list;
    bool is_tuple = false;
    while (true) {
      if (!list.empty() && ends_tuple(ends)) break;
      list.push_back(one_target(members));
      if (!skip_op(",")) break;
      is_tuple = true;
    }
    if (!is_tuple) return std::move(list[0]);
    return make(Expr::kTuple, offset, std::move(list));
  }

  // ---- expressions

  bool ends_tuple(const std::vector<std::string_view>& ends) const {
    const Token& token = current();
    if (token.kind == TokenKind::kPrintEnd || token.kind == TokenKind::kTagEnd || is_op(")") || is_op("=")) return true;
    return token.kind == TokenKind::kName && std::find(ends.begin(), ends.end(), token.text) != ends.end();
  }

  ExprPtr tuple(bool conditions, const std::vector<std::string_view>& ends, bool may_be_empty = false) {
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

  ExprPtr expression(bool conditions) {
    Nest nest(*this);
    return conditions ? condition() : or_expr();
  }

  ExprPtr condition() {
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

  ExprPtr or_expr() {
    ExprPtr left = and_expr();
    while (is_name("or")) {
      const size_t offset = next().offset;
      left = make_with(Expr::kOr, offset, std::move(left), and_expr());
    }
    return left;
  }

  ExprPtr and_expr() {
    ExprPtr left = not_expr();
    while (is_name("and")) {
      const size_t offset = next().offset;
      left = make_with(Expr::kAnd, offset, std::move(left), not_expr());
    }
    return left;
  }

  ExprPtr not_expr() {
    if (!is_name("not")) return comparison();
    Nest nest(*this);
    const size_t offset = next().offset;
    return make_with(Expr::kNot, offset, not_expr());
  }

  std::optional<Expr::Comparison> comparison_operator() {
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

  ExprPtr comparison() {
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

  ExprPtr make_binary(Op op, size_t offset, ExprPtr left, ExprPtr right) {
    ExprPtr expr = make_with(Expr::kBinary, offset, std::move(left), std::move(right));
    expr->op = op;
    return expr;
  }

  ExprPtr sum() {
    ExprPtr left = concat();
    while (is_op("+") || is_op("-")) {
      const Token op = next();
      left = make_binary(op.text == "+" ? Op::kAdd : Op::kSub, op.offset, std::move(left), concat());
    }
    return left;
  }

  ExprPtr concat() {
    std::vector<ExprPtr> parts;
    const size_t offset = current().offset;
    do parts.push_back(product());
    while (skip_op("~"));
    if (parts.size() == 1) return std::move(parts[0]);
    return make(Expr::kConcat, offset, std::move(parts));
  }

  ExprPtr product() {
    ExprPtr left = power();
    while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
      const Token op = next();
      const Op kind = op.text == "*"    ? Op::kMul
                      : op.text == "/"  ? Op::kDiv
                      : op.text == "//" ? Op::kFloorDiv
                                        : Op::kMod;
      left = make_binary(kind, op.offset, std::move(left), power());
    }
    return left;
  }

  ExprPtr power() {
    ExprPtr left = unary(true);
    while (is_op("**")) {
      const size_t offset = next().offset;
      left = make_binary(Op::kPow, offset, std::move(left), unary(true));
    }
    return left;
  }

  ExprPtr unary(bool with_filters) {
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

  ExprPtr primary() {
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

  ExprPtr name(const Token& token) {
    if (token.text == "true" || token.text == "True") return constant(token.offset, true);
    if (token.text == "false" || token.text == "False") return constant(token.offset, false);
    if (token.text == "none" || token.text == "None") return constant(token.offset, Value());
    if (token.text == "strftime_now") program_.reads_clock = true;
    if (!macros_.empty()) {
      MacroDef& macro = *macros_.back();
      const auto given = [&](std::string_view n) {
        return token.text == n &&
               std::find(macro.parameters.begin(), macro.parameters.end(), n) == macro.parameters.end();
      };
      macro.uses_caller = macro.uses_caller || given("caller");
      macro.uses_varargs = macro.uses_varargs || given("varargs");
      macro.uses_kwargs = macro.uses_kwargs || given("kwargs");
    }
    ExprPtr expr = make(Expr::kName, token.offset);
    expr->name = token.text;
    return expr;
  }

  ExprPtr list(size_t offset) {
    std::vector<ExprPtr> items;
    while (!is_op("]")) {
      if (!items.empty()) expect_op(",");
      if (is_op("]")) break;
      items.push_back(expression(true));
    }
    expect_op("]");
    return make(Expr::kList, offset, std::move(items));
  }

  ExprPtr dict(size_t offset) {
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

  ExprPtr postfix(ExprPtr expr) {
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

  ExprPtr filters_and_tests(ExprPtr expr) {
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

  ExprPtr attribute(ExprPtr subject) {
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

  ExprPtr subscript(ExprPtr subject) {
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

  std::vector<CallArgument> call_arguments() {
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

  ExprPtr call(ExprPtr callee) {
    const size_t offset = callee->offset;
    ExprPtr expr = make_with(Expr::kCall, offset, std::move(callee));
    expr->arguments = call_arguments();
    grow(*expr);
    return expr;
  }

  std::string dotted_name(const char* what) {
    std::string name = expect_name(what);
    while (skip_op(".")) name += "." + expect_name(what);
    return name;
  }

  ExprPtr filter(ExprPtr subject) {
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

  ExprPtr filters(ExprPtr expr) {
    while (skip_op("|")) expr = filter(std::move(expr));
    return expr;
  }

  ExprPtr test(ExprPtr subject) {
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

  bool takes_bare_argument() const {
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

  Program& program_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;
  std::vector<MacroDef*> macros_;
};

}  // namespace

std::shared_ptr<const Program> parse(std::string_view text, std::string where) {
  auto program = std::make_shared<Program>();
  program->given = std::string(text);
  program->source = make_source(text, std::move(where));
  Parser(*program).run();
  return program;
}

}  // namespace merit::text::jinja
