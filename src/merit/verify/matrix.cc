// Sums, products and determinants of matrices, written out.
#include "merit/verify/linear.h"

namespace merit::verify {
namespace {

Expr matrix_sum(const Expr& a, const Expr& b) {
  Expr out = a;
  if (a.kids.size() != b.kids.size()) throw Undecided{"a sum of matrices of different size"};
  for (size_t i = 0; i < a.kids.size(); ++i) {
    if (a.kids[i].kids.size() != b.kids[i].kids.size()) throw Undecided{"a sum of matrices of different size"};
    for (size_t j = 0; j < a.kids[i].kids.size(); ++j) {
      out.kids[i].kids[j] = binary(Op::kAdd, a.kids[i].kids[j], b.kids[i].kids[j]);
    }
  }
  return out;
}
Expr matrix_product(const Expr& a, const Expr& b) {
  if (a.op != Op::kMatrix || b.op != Op::kMatrix) {
    Expr out = a.op == Op::kMatrix ? a : b;
    for (Expr& row : out.kids) {
      for (Expr& entry : row.kids) entry = binary(Op::kMul, a.op == Op::kMatrix ? b : a, std::move(entry));
    }
    return out;
  }
  if (a.kids.size() * b.kids.size() > 64) throw Undecided{"a product of large matrices"};
  Expr out = a;
  for (Expr& row : out.kids) {
    if (row.kids.size() != b.kids.size()) throw Undecided{"a product of matrices of different size"};
    std::vector<Expr> entries;
    for (size_t j = 0; j < b.kids[0].kids.size(); ++j) {
      Expr sum;
      sum.op = Op::kAdd;
      for (size_t k = 0; k < row.kids.size(); ++k) {
        if (b.kids[k].kids.size() != b.kids[0].kids.size()) throw Undecided{"a matrix with rows of different size"};
        sum.kids.push_back(binary(Op::kMul, row.kids[k], b.kids[k].kids[j]));
      }
      entries.push_back(std::move(sum));
    }
    row.kids = std::move(entries);
  }
  return out;
}
// By the first row.
Expr determinant(const Expr& m) {
  const size_t n = m.kids.size();
  if (n > 4) throw Undecided{"a determinant of a large matrix"};
  for (const Expr& row : m.kids) {
    if (row.kids.size() != n) throw Undecided{"a determinant of a matrix that is not square"};
  }
  if (n == 1) return m.kids[0].kids[0];
  Expr sum;
  sum.op = Op::kAdd;
  for (size_t j = 0; j < n; ++j) {
    Expr minor = m;
    minor.kids.erase(minor.kids.begin());
    for (Expr& row : minor.kids) row.kids.erase(row.kids.begin() + static_cast<std::ptrdiff_t>(j));
    Expr part = binary(Op::kMul, m.kids[0].kids[j], determinant(minor));
    sum.kids.push_back(j % 2 == 0 ? std::move(part) : unary(Op::kNeg, std::move(part)));
  }
  return sum;
}

}  // namespace

Expr with_matrices(const Expr& e) {
  if (e.op >= Op::kTuple || !contains(e, Op::kMatrix)) return e;
  if (e.op == Op::kCall && e.name == "det" && e.kids.size() == 1) {
    const Expr m = with_matrices(e.kids[0]);
    return m.op == Op::kMatrix ? determinant(m) : call("det", {m});
  }
  if (e.op != Op::kAdd && e.op != Op::kMul && e.op != Op::kNeg) {
    Expr out = e;
    for (Expr& kid : out.kids) kid = with_matrices(kid);
    return out;
  }
  Expr out = with_matrices(e.kids[0]);
  if (e.op == Op::kNeg) return matrix_product(number_expr(-1), out);
  for (size_t k = 1; k < e.kids.size(); ++k) {
    const Expr next = with_matrices(e.kids[k]);
    if (e.op == Op::kAdd && (out.op != Op::kMatrix || next.op != Op::kMatrix))
      throw Undecided{"a sum of a matrix and a number"};
    const bool matrices = out.op == Op::kMatrix || next.op == Op::kMatrix;
    out = e.op == Op::kAdd ? matrix_sum(out, next) : matrices ? matrix_product(out, next) : binary(Op::kMul, out, next);
  }
  return out;
}

}  // namespace merit::verify
