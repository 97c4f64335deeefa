// The parser of parser.h, a recursive descent over tokens: parser.cc has lists, relations, sums and products,
// primary.cc single values and commands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "merit/core/strings.h"
#include "merit/verify/budget.h"
#include "merit/verify/expr.h"
#include "merit/verify/lexer.h"

namespace merit::verify {

// What is not read is raised as Undecided with the reason, which parse_math catches.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  Expr run();

 private:
  [[noreturn]] static void fail(const char* reason) { throw Undecided{reason}; }
  static constexpr int kMaxDepth = 64;
  struct Deeper {
    explicit Deeper(int& depth) : depth(depth) {
      if (++depth > kMaxDepth) fail("nested too deep");
    }
    ~Deeper() { --depth; }
    int& depth;
  };

  Token& here() { return tokens_[i_]; }
  const Token& ahead(size_t n) const { return tokens_[std::min(i_ + n, tokens_.size() - 1)]; }
  void skip() {
    if (i_ + 1 < tokens_.size()) ++i_;
  }
  bool take_sign(char c) {
    if (!here().sign(c)) return false;
    skip();
    return true;
  }
  bool take_command(std::string_view name) {
    if (!here().command(name)) return false;
    skip();
    return true;
  }
  bool is_word(const Token& t, std::string_view word) const {
    return (t.kind == Tok::kWord || t.kind == Tok::kText) && to_lower_ascii(trim(t.text)) == word;
  }
  bool at_separator();
  bool take_separators(uint8_t& words);
  // Whether what is here ends a list from outside.
  bool at_close();

  Expr list();
  char relation();
  Expr statement();
  Expr side();
  // A sum, and the unit or words behind it.
  Expr operand();
  // Words that stand where a value could: "\text{even}", "\text{(B)}".
  Expr text();
  Expr tail(Expr value);
  int half_of_day();
  Expr with_smaller_unit(Expr value);
  bool starts_structure(size_t n) const;
  std::string unit_power();
  Expr sum();
  Expr term();
  // "3 x 4" and "3x4" are products of two numbers.
  bool is_cross();
  static Expr divide(Expr a, Expr b);
  static void multiply(Expr& left, Expr right);
  Expr signed_factor();
  Expr power();
  Expr raised();
  // ^\circ, ^{\circ}, \degree: passed over.
  bool degree_sign();
  std::string temperature();
  Expr postfix(Expr e);

  bool starts_primary();
  Expr primary();
  Expr number();
  // 9:00 and 2:3
  Expr ratio(const Token& first);
  // 204_5
  Expr based(const Token& digits);
  Expr letter(char c) {
    if (c == 'e') return constant(Op::kEuler);
    if (c == 'i' && !index_i_) return constant(Op::kImaginary);
    return symbol_expr(std::string(1, c));
  }
  static Expr constant(Op op) {
    Expr e;
    e.op = op;
    return e;
  }
  Expr word();
  // f(x): an unknown function of what it is applied to.
  Expr named_function(std::string name);
  Expr subscript(Expr e, char c);
  // The text of one argument, as it stands: names of symbols are made of it.
  std::string raw_argument();
  // One argument of a LaTeX command: braces, or one token (one digit).
  Expr argument(bool digit);
  Expr bracketed();
  // Braces group; with several things in them they are a set.
  Expr braces();
  Expr bars();
  Expr set();
  Expr enclosed(std::string_view close, const char* function);

  Expr command();
  Expr fraction();
  Expr conjugate();
  static Expr with_conjugate_units(const Expr& e);
  Expr root();
  Expr matrix();
  Expr big_operator(const std::string& name);
  // parser_calculus.cc
  Expr limit();
  Expr integral();
  // What stands behind \frac{d}{dx}, if that is what is here; else nothing is read.
  bool derivative(Expr& out);
  // The index of the token behind the bracket that closes the one at i.
  size_t behind_group(size_t i) const;
  Expr apply(std::string function);
  Expr function_argument();
  static Expr in_radians(Expr e);

  std::vector<Token> tokens_;
  size_t i_ = 0;
  int depth_ = 0;
  int bars_ = 0;          // open |
  int brackets_ = 0;      // open brackets of other kinds
  bool index_i_ = false;  // i is the index of a sum
};

}  // namespace merit::verify
