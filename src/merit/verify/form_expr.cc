// Forms written as expressions again.
#include "merit/verify/normal_form.h"

namespace merit::verify {
namespace {

Expr constant(Op op) {
  Expr e;
  e.op = op;
  return e;
}

}  // namespace

Expr Forms::to_expr(const Form& f) const {
  return f.bottom.is_one() ? to_expr(f.top) : binary(Op::kDiv, to_expr(f.top), to_expr(f.bottom));
}

Expr Forms::to_expr(const Poly& p) const {
  const auto base = [&](const Atom& a) -> Expr {
    switch (a.kind) {
      case Atom::Kind::kPi:
        return constant(Op::kPi);
      case Atom::Kind::kPrime:
        return number_expr(a.number);
      case Atom::Kind::kSymbol:
        return symbol_expr(a.name);
      case Atom::Kind::kLn:
        return merit::verify::call("ln", {to_expr(a.base[0])});
      case Atom::Kind::kRadical:
        return to_expr(a.base[0]);
      case Atom::Kind::kAbs:
        return merit::verify::call("abs", {to_expr(a.base[0])});
      case Atom::Kind::kOpaque: {
        std::vector<Expr> arguments;
        for (size_t k = 0; k + 1 < a.base.size(); k += 2) arguments.push_back(to_expr(Form{a.base[k], a.base[k + 1]}));
        return merit::verify::call(a.name, std::move(arguments));
      }
      default:
        throw Undecided{"a part without an expression"};
    }
  };
  Expr sum = number_expr(0);
  for (const Term& term : p.terms) {
    budget_.spend(8);
    Expr product = number_expr(term.coefficient);
    for (const Factor& f : term.monomial) {
      const Atom& a = atoms_[f.atom];
      const Expr exponent = number_expr(Exact(f.top, f.bottom));
      Expr factor;
      if (a.kind == Atom::Kind::kUnity) {
        factor = constant(Op::kImaginary);
        if (exponent.number != Exact(1, 2)) {
          Expr angle = binary(Op::kMul, factor, constant(Op::kPi));
          factor = binary(Op::kPow, constant(Op::kEuler), binary(Op::kMul, std::move(angle), exponent));
        }
      } else if (a.kind == Atom::Kind::kExp) {
        factor = binary(Op::kPow, constant(Op::kEuler), binary(Op::kMul, exponent, to_expr(a.base[0])));
      } else {
        factor = exponent.number.is_one() ? base(a) : binary(Op::kPow, base(a), exponent);
      }
      product = product == number_expr(1) ? std::move(factor) : binary(Op::kMul, std::move(product), std::move(factor));
    }
    sum = sum == number_expr(0) ? std::move(product) : binary(Op::kAdd, std::move(sum), std::move(product));
  }
  return sum;
}

}  // namespace merit::verify
