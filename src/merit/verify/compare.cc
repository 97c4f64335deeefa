#include "merit/verify/compare.h"

#include <algorithm>
#include <vector>

#include "merit/core/strings.h"
#include "merit/verify/ball.h"
#include "merit/verify/linear.h"
#include "merit/verify/normal_form.h"
#include "merit/verify/parser.h"
#include "merit/verify/piecewise.h"
#include "merit/verify/real_set.h"
#include "merit/verify/relation.h"
#include "merit/verify/stated.h"
#include "merit/verify/units.h"
#include "merit/verify/vocabulary.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxPairs = 2500;

Decision equal_by(const char* rule) { return {Answer::kEqual, rule, "equal"}; }
Decision different(const char* rule, std::string reason) { return {Answer::kDifferent, rule, std::move(reason)}; }
Decision unknown(std::string reason) { return {Answer::kUnknown, "", std::move(reason)}; }

bool is_value(const Expr& e) {
  return e.op < Op::kTuple && (e.op == Op::kQuantity || e.op == Op::kPercent || is_scalar(e));
}

class Comparer {
 public:
  Comparer(const VerifyOptions& options, Budget& budget) : options_(options), budget_(budget) {}

  Decision top(const Expr& reference, const Expr& answer) {
    std::string name_a, name_b;
    const Expr a = without_names(reference, name_a);
    const Expr b = without_names(answer, name_b);
    const bool relations_both = reference.op == Op::kRelation && answer.op == Op::kRelation;
    if (!name_a.empty() && !name_b.empty() && name_a != name_b) {
      // Two things are named: as equations they may still be one.
      if (relations_both && symbols_of(binary(Op::kAdd, reference, answer)).size() > 1) {
        return compare_relations(reference, answer, budget_);
      }
      return different("names", "different things are named");
    }
    if (name_a.empty() && name_b.empty()) return pair(a, b);
    if (name_a.empty() != name_b.empty() && relations_both) return equations(reference, answer);
    Decision out = pair(a, b);
    if (name_a.empty() != name_b.empty() && out.equal()) out.rule = "reading: named value";
    return out;
  }

 private:
  Decision pair(const Expr& first, const Expr& second) {
    budget_.spend(10);
    const bool sums = first.op < Op::kTuple && contains(first, Op::kMatrix);
    const bool other_sums = second.op < Op::kTuple && contains(second, Op::kMatrix);
    if (sums || other_sums) return read_pair(with_matrices(first), with_matrices(second));
    return read_pair(first, second);
  }

  Decision read_pair(const Expr& a, const Expr& b) {
    if (const auto system = system_of(a)) return read_pair(*system, b);
    if (const auto system = system_of(b)) return read_pair(a, *system);
    if (is_piecewise(a) || is_piecewise(b)) return compare_piecewise(a, b, budget_);
    if (is_value(a) && is_value(b)) return values(a, b);
    if (a.op == Op::kText || b.op == Op::kText) return texts(a, b);
    if (a.op == Op::kRelation || b.op == Op::kRelation || is_relation_list(a) || is_relation_list(b))
      return relations(a, b);
    if (a.op == Op::kMatrix && b.op == Op::kMatrix) return in_order(a, b, "matrices");
    if (const auto vector = vector_of(a); vector && b.op == Op::kTuple) return read_as("reading: vector", *vector, b);
    if (const auto vector = vector_of(b); vector && a.op == Op::kTuple) return read_as("reading: vector", a, *vector);
    if (a.op == Op::kRatio && b.op == Op::kRatio) return ratios(a, b);
    if (a.op == Op::kRatio && a.kids.size() == 2 && is_value(b))
      return read_as("reading: ratio as a quotient", quotient_of(a), b);
    if (b.op == Op::kRatio && b.kids.size() == 2 && is_value(a))
      return read_as("reading: ratio as a quotient", a, quotient_of(b));
    if (a.op == Op::kTime && b.op == Op::kTime) {
      if (a.name == b.name) return a.number == b.number ? equal_by("times") : different("times", "different times");
      return a.number == b.number ? equal_by("reading: time of day") : different("times", "different times");
    }
    if (a.op == Op::kTuple && b.op == Op::kTuple) return in_order(a, b, "tuples");
    std::vector<Expr> x, y;
    if (elements(a, x) && elements(b, y)) return without_order(x, y);
    if (loose() && b.op == Op::kTuple && elements(a, x)) return without_order(x, b.kids);
    return sets(a, b);
  }

  static Expr quotient_of(const Expr& ratio) { return binary(Op::kDiv, ratio.kids[0], ratio.kids[1]); }
  Decision read_as(const char* rule, const Expr& a, const Expr& b) {
    Decision out = pair(a, b);
    if (out.equal()) out.rule = rule;
    return out;
  }

  bool loose() const { return options_.profile == Profile::kMathVerify; }

  // ---- Values

  struct Measured {
    const Expr* value;
    std::string unit;
    bool percent = false;
  };
  static Measured measured(const Expr& e) {
    if (e.op == Op::kQuantity) {
      Measured m = measured(e.kids[0]);
      m.unit = e.name;
      return m;
    }
    if (e.op == Op::kPercent) return {&e.kids[0], "", true};
    if (e.op == Op::kNeg && (e.kids[0].op == Op::kQuantity || e.kids[0].op == Op::kPercent)) {
      return {nullptr, e.kids[0].op == Op::kQuantity ? e.kids[0].name : "", e.kids[0].op == Op::kPercent};
    }
    return {&e, "", false};
  }
  // -90 degrees is parsed as the negative of a quantity.
  static Expr pull_sign(const Expr& e) {
    if (e.op == Op::kNeg && (e.kids[0].op == Op::kQuantity || e.kids[0].op == Op::kPercent)) {
      Expr inner = e.kids[0];
      inner.kids[0] = unary(Op::kNeg, std::move(inner.kids[0]));
      return inner;
    }
    return e;
  }

  Decision values(const Expr& first, const Expr& second) {
    const Expr a = pull_sign(first), b = pull_sign(second);
    Measured x = measured(a), y = measured(b);
    auto unit_a = x.unit.empty() ? std::nullopt : find_unit(x.unit);
    auto unit_b = y.unit.empty() ? std::nullopt : find_unit(y.unit);
    const auto kelvins_a = kelvins(x), kelvins_b = kelvins(y);
    if (kelvins_a && kelvins_b && !options_.ignore_units && !loose()) return numbers(*kelvins_a, *kelvins_b);
    // "5m" against "5 \\text{m}": there the letter is a unit.
    if (unit_a && !unit_b) unit_b = take_letter_unit(y);
    if (unit_b && !unit_a) unit_a = take_letter_unit(x);
    if (unit_a && unit_b && !options_.ignore_units && !loose()) return quantities(*x.value, *unit_a, *y.value, *unit_b);
    const bool units = unit_a.has_value() != unit_b.has_value();
    if (units && (unit_a ? x.unit : y.unit) == "deg" && is_angle(unit_a ? *y.value : *x.value)) {
      const Unit radian = *find_unit("rad");
      return unit_a ? quantities(*x.value, *unit_a, over_pi(*y.value), radian)
                    : quantities(over_pi(*x.value), radian, *y.value, *unit_b);
    }
    if (const auto residues = classes(*x.value, *y.value)) return *residues;
    Decision out = x.percent || y.percent ? percents(a, b, x, y) : numbers(*x.value, *y.value);
    // 3 dozen is 36.
    if (!out.equal() && units && (unit_a ? *unit_a : *unit_b).dimension == Unit{}.dimension) {
      const Expr factor = number_expr((unit_a ? *unit_a : *unit_b).factor);
      const Expr more = binary(Op::kMul, unit_a ? *x.value : *y.value, factor);
      if (numbers(more, unit_a ? *y.value : *x.value).equal()) return equal_by("units");
    }
    if (out.equal() && units) out.rule = "reading: unit left out";
    if (!out.equal() && !unit_a && !unit_b) {
      // "5m" against 5: a letter that is a unit's sign.
      if (const Expr* bare = without_letter_unit(*y.value); bare != nullptr && symbols_of(*x.value).empty()) {
        if (numbers(*x.value, *bare).equal()) return equal_by("reading: unit left out");
      }
      if (const Expr* bare = without_letter_unit(*x.value); bare != nullptr && symbols_of(*y.value).empty()) {
        if (numbers(*bare, *y.value).equal()) return equal_by("reading: unit left out");
      }
    }
    return out;
  }

  // Residue classes: 8 and 3 are one modulo 5; the modulus may be left out.
  std::optional<Decision> classes(const Expr& a, const Expr& b) {
    const auto is_class = [](const Expr& e) { return e.op == Op::kCall && e.name == "class"; };
    if (!is_class(a) && !is_class(b)) return std::nullopt;
    if (!is_class(a) || !is_class(b)) {
      Decision out = numbers(is_class(a) ? a.kids[0] : a, is_class(b) ? b.kids[0] : b);
      if (out.equal()) out.rule = "reading: modulus left out";
      return out;
    }
    if (!numbers(a.kids[1], b.kids[1]).equal()) return different("residues", "different moduli");
    const auto x = exact_value(a.kids[0], budget_), y = exact_value(b.kids[0], budget_),
               m = exact_value(a.kids[1], budget_);
    if (!x || !y || !m || m->is_zero()) return unknown("residues that are not compared");
    return ((*x - *y) / *m).is_integer() ? equal_by("residues") : different("residues", "different");
  }

  // Degrees of temperature have zeros of their own.
  static std::optional<Expr> kelvins(const Measured& m) {
    const bool celsius = m.unit == "degC" || m.unit == "degrees Celsius" || m.unit == "Celsius";
    const bool fahrenheit = m.unit == "degF" || m.unit == "degrees Fahrenheit" || m.unit == "Fahrenheit";
    if (celsius) return binary(Op::kAdd, *m.value, number_expr(Exact(27315, 100)));
    if (fahrenheit) {
      return binary(Op::kMul, binary(Op::kAdd, *m.value, number_expr(Exact(45967, 100))), number_expr(Exact(5, 9)));
    }
    if (m.unit == "K" || m.unit == "kelvin") return *m.value;
    return std::nullopt;
  }

  // Written in radians: a multiple of pi, or what a function gives.
  static bool is_angle(const Expr& e) { return contains(e, Op::kPi) || contains(e, Op::kCall); }

  static Expr over_pi(const Expr& e) {
    Expr pi;
    pi.op = Op::kPi;
    return binary(Op::kDiv, e, std::move(pi));
  }

  static const Expr* without_letter_unit(const Expr& e) {
    if (e.op != Op::kMul || e.kids.size() != 2 || e.kids[0].op != Op::kNumber) return nullptr;
    const Expr& unit = e.kids[1].op == Op::kPow ? e.kids[1].kids[0] : e.kids[1];
    return unit.op == Op::kSymbol && unit.name.size() == 1 && is_unit_word(unit.name) ? &e.kids[0] : nullptr;
  }

  static std::optional<Unit> take_letter_unit(Measured& m) {
    const Expr* bare = without_letter_unit(*m.value);
    if (bare == nullptr) return std::nullopt;
    const Expr& unit = m.value->kids[1];
    std::string name = unit.op == Op::kPow ? unit.kids[0].name + "^" + unit.kids[1].number.to_string() : unit.name;
    m.value = bare;
    return find_unit(name);
  }

  Decision quantities(const Expr& a, const Unit& ua, const Expr& b, const Unit& ub) {
    if (ua.dimension != ub.dimension) return different("units", "units of different things");
    if (ua.factor == ub.factor) return numbers(a, b);
    return numbers(binary(Op::kMul, a, number_expr(ua.factor)), binary(Op::kMul, b, number_expr(ub.factor)));
  }

  Decision percents(const Expr& a, const Expr& b, const Measured& x, const Measured& y) {
    if (x.percent && y.percent) return numbers(*x.value, *y.value);
    const Expr& pa = x.percent ? a : *x.value;
    const Expr& pb = y.percent ? b : *y.value;
    Decision out = numbers(pa, pb);
    if (!out.equal() && (options_.ignore_percent || loose()) && numbers(*x.value, *y.value).equal()) {
      return equal_by("reading: percent sign ignored");
    }
    return out;
  }

  Decision numbers(const Expr& a, const Expr& b) {
    if (a.op == Op::kBased || b.op == Op::kBased) {
      if (a.op == b.op) return a.number == b.number ? equal_by("exact") : different("exact", "different");
      const Expr& based = a.op == Op::kBased ? a : b;
      const Expr& plain = a.op == Op::kBased ? b : a;
      if (plain.op == Op::kNumber && plain.number.to_string() == based.name.substr(0, based.name.find('_'))) {
        return equal_by("reading: base left out");
      }
    }
    Decision out = compare_scalars(a, b, budget_);
    if (out.equal() || (options_.relative_tolerance == 0 && !loose())) return out;
    return tolerance(a, b, out);
  }

  // |a - b| <= tolerance |a|, for constants; a is the reference.
  Decision tolerance(const Expr& a, const Expr& b, Decision out) {
    if (!symbols_of(a).empty() || !symbols_of(b).empty()) return out;
    Ball x, y, bound;
    if (evaluate(a, {}, false, 256, budget_, x) != Defined::kYes ||
        evaluate(b, {}, false, 256, budget_, y) != Defined::kYes) {
      return out;
    }
    if (!x.is_real() || !y.is_real()) return out;
    const Expr limit = loose() ? number_expr(Exact(1, 2'000'000)) : parse_math(format_tolerance()).expr;
    evaluate(limit, {}, false, 256, budget_, bound);
    if (!loose()) {
      arb_t size;
      arb_init(size);
      arb_abs(size, x.real());
      arb_mul(bound.real(), bound.real(), size, 256);
      arb_clear(size);
    }
    arb_sub(x.real(), x.real(), y.real(), 256);
    arb_abs(x.real(), x.real());
    arb_sub(x.real(), x.real(), bound.real(), 256);
    // Exactly on the bound is inside: exact arithmetic decides where balls cannot.
    if (arb_is_nonpositive(x.real())) return equal_by("tolerance");
    if (arb_contains_zero(x.real()) && exactly_on_bound(a, b, limit)) return equal_by("tolerance");
    return out;
  }
  std::string format_tolerance() const;
  bool exactly_on_bound(const Expr& a, const Expr& b, const Expr& limit) {
    const auto x = exact_value(a, budget_), y = exact_value(b, budget_);
    return x && y && (*x - *y).abs() <= limit.number * x->abs();
  }

  // ---- Structures

  Decision in_order(const Expr& a, const Expr& b, const char* rule) {
    if (a.kids.size() != b.kids.size()) return different(rule, "of different size");
    Decision out = equal_by(rule);
    for (size_t k = 0; k < a.kids.size(); ++k) {
      Decision one = pair(a.kids[k], b.kids[k]);
      if (one.different()) return different(rule, "part " + std::to_string(k + 1) + " differs");
      if (!one.equal()) out = std::move(one);
    }
    return out;
  }

  Decision without_order(const std::vector<Expr>& a, const std::vector<Expr>& b) {
    if (a.size() * b.size() > kMaxPairs) return exact_sets(a, b);
    Decision out = equal_by("sets");
    std::vector<bool> met(b.size(), false), maybe(b.size(), false);
    for (const Expr& x : a) {
      bool found = false, possible = false;
      for (size_t k = 0; k < b.size(); ++k) {
        const Decision one = top(x, b[k]);
        found |= one.equal();
        if (one.equal()) met[k] = true;
        if (one.answer == Answer::kUnknown) {
          possible = maybe[k] = true;
          out = one;
        }
      }
      if (!found && !possible) return different("sets", "an element is missing");
      if (found) continue;
      out.answer = Answer::kUnknown;
    }
    for (size_t k = 0; k < b.size(); ++k) {
      if (!met[k] && !maybe[k]) return different("sets", "an element too many");
      if (!met[k]) out.answer = Answer::kUnknown;
    }
    const bool whole = std::all_of(met.begin(), met.end(), [](bool m) { return m; });
    if (whole && out.answer != Answer::kEqual && every_met(a, b)) return equal_by("sets");
    return out;
  }
  // An undecided pair does no harm where each element has another that it equals.
  bool every_met(const std::vector<Expr>& a, const std::vector<Expr>& b) {
    return std::all_of(a.begin(), a.end(), [&](const Expr& x) {
      return std::any_of(b.begin(), b.end(), [&](const Expr& y) { return top(x, y).equal(); });
    });
  }

  Decision exact_sets(const std::vector<Expr>& a, const std::vector<Expr>& b) {
    std::vector<Exact> x, y;
    for (const auto& [from, to] : {std::pair(&a, &x), std::pair(&b, &y)}) {
      for (const Expr& e : *from) {
        const auto value = exact_value(e, budget_);
        if (!value) return unknown("a set of too many elements");
        to->push_back(*value);
      }
      std::sort(to->begin(), to->end());
      to->erase(std::unique(to->begin(), to->end()), to->end());
    }
    return x == y ? equal_by("sets") : different("sets", "the sets differ");
  }

  Decision sets(const Expr& a, const Expr& b) {
    if (is_value(a) || is_value(b) || (a.op == Op::kMatrix) != (b.op == Op::kMatrix) ||
        (a.op == Op::kRatio) != (b.op == Op::kRatio)) {
      return different("kinds", "different kinds of answer");
    }
    const auto x = real_set(a, budget_);
    const auto y = x ? real_set(b, budget_) : std::nullopt;
    if (x && y) return RealSet::compare(*x, *y, budget_);
    if (a.op == Op::kInterval && b.op == Op::kInterval) {
      return a.flags == b.flags ? in_order(a, b, "intervals") : different("intervals", "open and closed ends");
    }
    if (a == b) return equal_by("same form");
    if (a.op != b.op && (a.op == Op::kTuple || b.op == Op::kTuple))
      return different("kinds", "different kinds of answer");
    if (a.op == b.op && (a.op == Op::kUnion || a.op == Op::kIntersection)) {
      const Decision out = without_order(a.kids, b.kids);
      return out.equal() ? out : unknown("sets that are not read");
    }
    if (a.op == Op::kNamedSet && b.op == Op::kNamedSet) {
      return a.name == b.name ? equal_by("sets") : different("sets", "the sets differ");
    }
    return unknown("kinds of answer that are not compared");
  }

  Decision ratios(const Expr& a, const Expr& b) {
    if (a.kids.size() != b.kids.size()) return different("ratios", "of different length");
    for (size_t k = 1; k < a.kids.size(); ++k) {
      if (!(a.kids[0].number * b.kids[k].number == b.kids[0].number * a.kids[k].number))
        return different("ratios", "different");
    }
    return equal_by("ratios");
  }

  static std::string spelled(const Expr& e) {
    if (e.op == Op::kSymbol && e.name.size() == 1) return to_lower_ascii(e.name);
    if (e.op == Op::kEuler) return "e";
    if (e.op == Op::kImaginary) return "i";
    std::string out;
    for (const Expr& kid : e.kids) {
      const std::string one = e.op == Op::kMul ? spelled(kid) : "";
      if (one.empty()) return {};
      out += one;
    }
    return out;
  }
  static bool says_nothing(const Expr& e, const std::string& words) {
    if (e.op == Op::kSet && e.kids.empty()) return true;
    return words == "no solution" || words == "no solutions" || words == "none" || words == "empty set" ||
           words == "no real solution" || words == "no real solutions";
  }

  static bool says_everything(const Expr& e, const std::string& words) {
    if (e.op == Op::kNamedSet && e.name == "R") return true;
    const auto infinite = [](const Expr& k) { return contains(k, Op::kInfinity); };
    if (e.op == Op::kInterval) return std::all_of(e.kids.begin(), e.kids.end(), infinite);
    return words == "all real numbers" || words == "all reals" || words == "all real number";
  }

  Decision texts(const Expr& a, const Expr& b) {
    const auto words = [](const Expr& e) {
      return e.op == Op::kText                           ? e.name
             : e.op == Op::kSymbol && e.name.size() == 1 ? normal_words(e.name)
                                                         : std::string();
    };
    std::string x = words(a), y = words(b);
    // "yes" was read as y e s; an empty set may be said in words.
    if (x.empty()) x = spelled(a);
    if (y.empty()) y = spelled(b);
    const auto number = [&](const Expr& e, const std::string& word) {
      const auto n = e.op == Op::kText ? number_named(word) : std::nullopt;
      return n ? std::optional(number_expr(*n)) : std::nullopt;
    };
    if (const auto n = number(a, x); n && is_value(b) && !number(b, y)) return read_as("reading: number word", *n, b);
    if (const auto n = number(b, y); n && is_value(a) && !number(a, x)) return read_as("reading: number word", a, *n);
    if (says_everything(a, x) && says_everything(b, y)) return equal_by("reading: all real numbers");
    if (says_nothing(a, x) && says_nothing(b, y)) return equal_by("reading: no solution");
    if (x.empty() || y.empty()) return different("kinds", "words against mathematics");
    return x == y ? equal_by("text") : different("text", "different words");
  }

  // ---- Relations

  Decision relations(const Expr& a, const Expr& b) {
    const bool both = (a.op == Op::kRelation || is_relation_list(a)) && (b.op == Op::kRelation || is_relation_list(b));
    std::string name_a, name_b;
    const auto x = solved(a, name_a);
    const auto y = solved(b, name_b);
    if (both && x && y && name_a == name_b) return RealSet::compare(*x, *y, budget_);
    if (both && a.op == Op::kRelation && b.op == Op::kRelation) return compare_relations(a, b, budget_);
    if (both && is_relation_list(a) && is_relation_list(b)) return systems(a, b);
    if (both) return systems(a, b);
    if (const auto values = named_values(a); values && b.op == Op::kTuple) return named_tuple(*values, b);
    if (const auto values = named_values(b); values && a.op == Op::kTuple) return named_tuple(*values, a);
    // x_1 = 2, x_2 = 3 against 2, 3
    if (std::vector<Expr> items; named_values(a) && elements(b, items)) return named_set(*named_values(a), items);
    if (std::vector<Expr> items; named_values(b) && elements(a, items)) return named_set(items, *named_values(b));
    // A relation against a set: only what the reference asks for.
    const bool reference_is_relation = a.op == Op::kRelation || is_relation_list(a);
    const auto& solutions = reference_is_relation ? x : y;
    const auto written = solutions ? real_set(reference_is_relation ? b : a, budget_) : std::nullopt;
    if (!solutions || !written) return different("kinds", "a relation against something else");
    if (!reference_is_relation && !options_.relation_for_set) {
      return different("relation for a set", "a relation where the reference is a set");
    }
    Decision out = RealSet::compare(reference_is_relation ? *solutions : *written,
                                    reference_is_relation ? *written : *solutions, budget_);
    if (out.equal()) out.rule = "reading: set for a relation";
    return out;
  }
  // Equations that hold together: linear ones by what solves them.
  Decision systems(const Expr& a, const Expr& b) {
    const auto equations_of = [](const Expr& e) { return e.op == Op::kRelation ? std::vector<Expr>{e} : e.kids; };
    const std::vector<Expr> x = equations_of(a), y = equations_of(b);
    const bool either = ((a.flags | b.flags) & kOr) != 0;
    if (!either) {
      if (const auto same = same_solutions(x, y, budget_))
        return *same ? equal_by("linear systems") : different("linear systems", "other solutions");
    }
    Decision out = without_order(x, y);
    const bool values = named_values(a) && named_values(b);
    return out.equal() || values ? out : unknown("systems that are not known to be the same");
  }

  Decision named_set(const std::vector<Expr>& a, const std::vector<Expr>& b) {
    Decision out = without_order(a, b);
    if (out.equal()) out.rule = "reading: named values as a set";
    return out;
  }
  Decision named_tuple(const std::vector<Expr>& values, const Expr& tuple) {
    Expr other = tuple;
    other.kids = values;
    Decision out = in_order(tuple, other, "tuples");
    if (out.equal()) out.rule = "reading: named values as a tuple";
    return out;
  }

  // "x^2 = 4" against "x = +-2": by what solves them, or as equations.
  Decision equations(const Expr& a, const Expr& b) {
    std::string name_a, name_b;
    const auto x = solved(a, name_a), y = solved(b, name_b);
    if (x && y && name_a == name_b) return RealSet::compare(*x, *y, budget_);
    return compare_relations(a, b, budget_);
  }

  std::optional<RealSet> solved(const Expr& e, std::string& name) {
    std::vector<Expr> values;
    if (e.op == Op::kRelation && e.name == "=" && e.kids[0].op == Op::kSymbol && elements(e.kids[1], values)) {
      name = e.kids[0].name;
      RealSet out = RealSet::none();
      for (const Expr& value : values) {
        if (!is_scalar(value) || !symbols_of(value).empty()) return std::nullopt;
        out = RealSet::unite(out, RealSet::point(value), budget_);
      }
      return out;
    }
    if (e.op != Op::kRelation && !is_relation_list(e)) return std::nullopt;
    try {
      return solution_set(e, name, budget_);
    } catch (const Undecided&) {
      name.clear();
      return std::nullopt;
    }
  }

  const VerifyOptions& options_;
  Budget& budget_;
};

std::string Comparer::format_tolerance() const { return format_double(options_.relative_tolerance); }

}  // namespace

Decision compare_answers(const Expr& reference, const Expr& answer, const VerifyOptions& options, Budget& budget) {
  try {
    return Comparer(options, budget).top(reference, answer);
  } catch (const Undecided& why) {
    return unknown(why.reason);
  }
}

}  // namespace merit::verify
