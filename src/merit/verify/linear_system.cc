#include <algorithm>
#include <map>
#include <string>

#include "merit/verify/linear.h"
#include "merit/verify/normal_form.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxEquations = 16;

// Coefficients of the unknowns in their order, then the constant.
using Row = std::vector<Exact>;

std::optional<Row> row_of(const Expr& equation, const std::vector<std::string>& unknowns, Budget& budget) {
  if (equation.op != Op::kRelation || equation.name != "=") return std::nullopt;
  Forms forms(budget);
  const Form f = forms.from(binary(Op::kAdd, equation.kids[0], unary(Op::kNeg, equation.kids[1])));
  if (!f.bottom.is_one()) return std::nullopt;
  Row row(unknowns.size() + 1, Exact(0));
  for (const Term& term : f.top.terms) {
    size_t at = unknowns.size();
    if (term.monomial.size() > 1) return std::nullopt;
    if (term.monomial.size() == 1) {
      const Factor& factor = term.monomial[0];
      const Atom& a = forms.atom(factor.atom);
      if (a.kind != Atom::Kind::kSymbol || factor.top != 1 || factor.bottom != 1) return std::nullopt;
      at = static_cast<size_t>(std::find(unknowns.begin(), unknowns.end(), a.name) - unknowns.begin());
    }
    row[at] = term.coefficient;
  }
  return row;
}

// The reduced echelon form, which systems with the same solutions share; {0 = 1} for one without solutions.
std::vector<Row> reduced(std::vector<Row> rows, Budget& budget) {
  const size_t width = rows[0].size();
  size_t done = 0;
  for (size_t col = 0; col < width && done < rows.size(); ++col) {
    size_t pivot = done;
    while (pivot < rows.size() && rows[pivot][col].is_zero()) ++pivot;
    if (pivot == rows.size()) continue;
    std::swap(rows[pivot], rows[done]);
    const Exact lead = rows[done][col];
    for (Exact& c : rows[done]) c = c / lead;
    for (size_t r = 0; r < rows.size(); ++r) {
      if (r == done || rows[r][col].is_zero()) continue;
      const Exact factor = rows[r][col];
      for (size_t k = 0; k < width; ++k) {
        budget.spend(rows[r][k].words() + 4);
        rows[r][k] += -(factor * rows[done][k]);
      }
    }
    if (col + 1 == width) return {rows[done]};
    ++done;
  }
  rows.resize(done);
  return rows;
}

}  // namespace

std::optional<bool> same_solutions(const std::vector<Expr>& a, const std::vector<Expr>& b, Budget& budget) {
  if (a.empty() || b.empty() || a.size() > kMaxEquations || b.size() > kMaxEquations) return std::nullopt;
  Expr all;
  all.op = Op::kList;
  all.kids = a;
  all.kids.insert(all.kids.end(), b.begin(), b.end());
  const std::vector<std::string> unknowns = symbols_of(all);
  std::vector<Row> x, y;
  for (const auto& [equations, rows] : {std::pair(&a, &x), std::pair(&b, &y)}) {
    for (const Expr& equation : *equations) {
      auto row = row_of(equation, unknowns, budget);
      if (!row) return std::nullopt;
      rows->push_back(std::move(*row));
    }
  }
  return reduced(std::move(x), budget) == reduced(std::move(y), budget);
}

}  // namespace merit::verify
