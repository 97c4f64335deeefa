// Tokens and expressions of a template. The parser of statements (jinja_parser.cc) builds on this.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "merit/text/jinja_ast.h"

namespace merit::text::jinja {

// Nesting of statements and expressions in the source, and depth of an expression's tree.
constexpr int kMaxNesting = 100;
constexpr size_t kMaxExprDepth = 400;

class ExpressionParser {
 protected:
  explicit ExpressionParser(Program& program) : program_(program), tokens_(lex(program.source)) {}

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
    explicit Nest(ExpressionParser& p) : parser(p) {
      if (++parser.nesting_ > kMaxNesting) {
        fail_at(parser.program_.source, parser.current().offset, ErrorKind::kLimit,
                fmt::format("the template nests deeper than {}", kMaxNesting));
      }
    }
    ~Nest() { --parser.nesting_; }
    ExpressionParser& parser;
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

  // ---- expressions; `conditions`: an inline if may stand at the top

  ExprPtr expression(bool conditions);
  // Expressions with commas between, one alone being itself; they end at a tag's end or a name of `ends`.
  ExprPtr tuple(bool conditions, const std::vector<std::string_view>& ends, bool may_be_empty = false);
  bool ends_tuple(const std::vector<std::string_view>& ends) const;
  ExprPtr filter(ExprPtr subject);  // a null subject is the text of a block
  ExprPtr filters(ExprPtr expr);

  Program& program_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
  std::vector<MacroDef*> macros_;  // around the current place

 private:
  ExprPtr condition();
  ExprPtr or_expr();
  ExprPtr and_expr();
  ExprPtr not_expr();
  std::optional<Expr::Comparison> comparison_operator();
  ExprPtr comparison();
  ExprPtr make_binary(Op op, size_t offset, ExprPtr left, ExprPtr right);
  ExprPtr sum();
  ExprPtr concat();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filters);
  ExprPtr primary();
  ExprPtr name(const Token& token);
  ExprPtr list(size_t offset);
  ExprPtr dict(size_t offset);
  ExprPtr postfix(ExprPtr expr);
  ExprPtr filters_and_tests(ExprPtr expr);
  ExprPtr attribute(ExprPtr subject);
  ExprPtr subscript(ExprPtr subject);
  std::vector<CallArgument> call_arguments();
  ExprPtr call(ExprPtr callee);
  std::string dotted_name(const char* what);
  ExprPtr test(ExprPtr subject);
  bool takes_bare_argument() const;
};

}  // namespace merit::text::jinja
