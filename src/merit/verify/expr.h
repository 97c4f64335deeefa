// A mathematical answer as a tree. Internal to the checker.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "merit/verify/exact.h"

namespace merit::verify {

enum class Op : uint8_t {
  // Scalars
  kNumber,  // number
  kBased,   // number written in another base; name: its digits and the base, "204_5"
  kSymbol,  // name
  kPi,
  kEuler,
  kImaginary,
  kInfinity,
  kAdd,  // any number of terms
  kMul,  // any number of factors
  kNeg,
  kDiv,        // a / b
  kPow,        // a ^ b
  kRoot,       // the real root of a of index b
  kCall,       // name: a function of vocabulary.cc, "f:f" an unknown one, or one of the operators below
  kPlusMinus,  // of one operand; name "+-" or "-+"
  kPercent,    // a / 100, written with a percent sign
  kQuantity,   // a number of a unit; name: the unit as written
  // Structures
  kTuple,     // (a, b, ...)
  kInterval,  // flags: kOpenLeft, kOpenRight
  kSet,       // {a, b, ...}; none: the empty set
  kBuilder,   // {a | condition}
  kNamedSet,  // name: R, Z, Q, N, C
  kUnion,
  kIntersection,
  kDifference,
  kMatrix,    // rows, each a kTuple
  kList,      // a, b, ... without brackets; flags: kOr, kAnd
  kRelation,  // kids: sides; name: one sign for each gap, of = ! < > l (at most) g (at least) e (element) ~ (about)
  kRatio,     // a : b
  kTime,      // name: minutes of the day
  kText,      // name: words, normalised
};

constexpr uint8_t kOpenLeft = 1;
constexpr uint8_t kOpenRight = 2;
constexpr uint8_t kOr = 1;
constexpr uint8_t kAnd = 2;

struct Expr {
  Op op = Op::kNumber;
  uint8_t flags = 0;
  std::string name;
  Exact number;
  std::vector<Expr> kids;

  bool operator==(const Expr& other) const = default;
};

Expr number_expr(Exact value);
Expr symbol_expr(std::string name);
Expr unary(Op op, Expr a, std::string name = {});
Expr binary(Op op, Expr a, Expr b, std::string name = {});
Expr call(std::string name, std::vector<Expr> arguments);

// Operators: sum and prod of (index, from, to, term), int of (variable, from, to, integrand), lim of (variable, where,
// term, side: -1, 0 or 1), deriv of (variable, term, order). All but deriv bind their variable.
bool is_binder(const Expr& e);

// A scalar holds no structure, words or ± anywhere.
bool is_scalar(const Expr& e);
bool contains(const Expr& e, Op op);
// The names of free symbols, sorted, each once.
std::vector<std::string> symbols_of(const Expr& e);
// Every free occurrence of the symbol replaced.
Expr substitute(const Expr& e, const std::string& symbol, const Expr& by);

}  // namespace merit::verify
