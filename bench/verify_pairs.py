"""Pairs of LaTeX answers of known truth: identities and near misses, by construction and not by any checker.

    python bench/verify_pairs.py [--count 3200] [--seed 8]      JSON lines {family, reference, response, equal}

Every family makes a reference, a second form of the same thing and a form of something else. That two forms are equal
follows from the identity they are built from; that the near miss differs, from a parameter that is changed.
"""
import argparse
import json
import random
from fractions import Fraction
from math import comb, factorial, gcd, isqrt


def frac(q):
    q = Fraction(q)
    sign = "-" if q < 0 else ""
    return str(q) if q.denominator == 1 else rf"{sign}\frac{{{abs(q.numerator)}}}{{{q.denominator}}}"


def squarefree(n):
    return all(n % (p * p) for p in range(2, isqrt(n) + 1))


def poly(coefficients, x="x"):
    """Highest power last; terms in falling order."""
    out = ""
    for power in range(len(coefficients) - 1, -1, -1):
        c = coefficients[power]
        if c == 0:
            continue
        sign = "-" if c < 0 else "+" if out else ""
        size = "" if abs(c) == 1 and power else str(abs(c))
        out += sign + size + ("" if power == 0 else x if power == 1 else f"{x}^{{{power}}}")
    return out or "0"


def times(a, b):
    out = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return out


def shift(x, a):
    return f"({x}+{a})" if a > 0 else f"({x}-{-a})" if a < 0 else x


def nonzero(r, low, high):
    return r.choice([k for k in range(low, high + 1) if k])


# Each gives (reference, equal, different).

def fraction_forms(r):
    a, b = r.randint(1, 99), r.randint(2, 60)
    k = r.randint(2, 9)
    q = Fraction(a, b)
    return frac(q), rf"\frac{{{a * k}}}{{{b * k}}}", rf"\frac{{{a * k + 1}}}{{{b * k}}}"


def decimals(r):
    a, places = r.randint(1, 9999), r.randint(1, 4)
    q = Fraction(a, 10**places)
    text = f"{a / 10**places:.{places}f}"
    return frac(q), text, text + "1"


def mixed(r):
    whole, b = r.randint(1, 20), r.randint(3, 20)
    a = r.choice([k for k in range(1, b) if gcd(k, b) == 1])
    return frac(whole + Fraction(a, b)), rf"{whole}\frac{{{a}}}{{{b}}}", rf"{whole + 1}\frac{{{a}}}{{{b}}}"


def large(r):
    n = r.randint(10_000, 9_999_999_999)
    return str(n), f"{n:,}".replace(",", "{,}"), f"{n + 10:,}".replace(",", "{,}")


def scientific(r):
    a, e = r.randint(11, 99), r.randint(3, 12)
    if a % 10 == 0:
        a += 1
    return str(a * 10 ** (e - 1)), rf"{a / 10:.1f} \times 10^{{{e}}}", rf"{a / 10:.1f} \times 10^{{{e + 1}}}"


def simple_root(r):
    a = r.randint(2, 15)
    b = r.choice([k for k in range(2, 40) if squarefree(k)])
    return rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b}}}", rf"\sqrt{{{a * a * b + 1}}}"


def rational_denominator(r):
    b = r.choice([k for k in range(2, 40) if squarefree(k)])
    a = r.randint(1, 9)
    root = isqrt(b)
    c = r.randint(root + 1, root + 6)  # c - sqrt(b) > 0
    den = c * c - b
    q = Fraction(a, den)
    equal = rf"{frac(q * c)}+{frac(q)}\sqrt{{{b}}}"
    return rf"\frac{{{a}}}{{{c}-\sqrt{{{b}}}}}", equal, rf"{frac(q * c)}-{frac(q)}\sqrt{{{b}}}"


def nested_root(r):
    a, b = r.sample([k for k in range(2, 30) if squarefree(k)], 2)
    return rf"\sqrt{{{a}}}+\sqrt{{{b}}}", rf"\sqrt{{{a + b}+2\sqrt{{{a * b}}}}}", rf"\sqrt{{{a + b}+\sqrt{{{a * b}}}}}"


def cube_root(r):
    a, b = r.randint(2, 6), r.choice([2, 3, 5, 6, 7, 10, 11])
    return rf"{a}\sqrt[3]{{{b}}}", rf"\sqrt[3]{{{a**3 * b}}}", rf"\sqrt[3]{{{a**2 * b}}}"


def expansion(r):
    roots = [nonzero(r, -9, 9) for _ in range(r.randint(2, 3))]
    p = [1]
    for a in roots:
        p = times(p, [a, 1])
    wrong = list(p)
    wrong[r.randrange(len(p))] += r.choice([-1, 1])
    return "".join(shift("x", a) for a in roots), poly(p), poly(wrong)


def two_variables(r):
    a, b = nonzero(r, -6, 6), nonzero(r, -6, 6)
    c = 2 * a * b
    middle = f"{c:+d}xy"
    equal = f"{a * a}x^2{middle}+{b * b}y^2"
    return f"({a}x{b:+d}y)^2", equal, f"{a * a}x^2+{b * b}y^2"


def partial_fractions(r):
    a, b = r.sample(range(-9, 10), 2)
    while a == 0 or b == 0:
        a, b = r.sample(range(-9, 10), 2)
    p, q = nonzero(r, -5, 5), nonzero(r, -5, 5)
    top = [p * b + q * a, p + q]
    reference = rf"\frac{{{p}}}{{x{a:+d}}}+\frac{{{q}}}{{x{b:+d}}}"
    bottom = f"(x{a:+d})(x{b:+d})"
    return reference, rf"\frac{{{poly(top)}}}{{{bottom}}}", rf"\frac{{{poly([top[0] + 1, top[1]])}}}{{{bottom}}}"


ANGLES = {(1, 6): (r"\frac{1}{2}", r"\frac{\sqrt{3}}{2}"), (1, 4): (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
          (1, 3): (r"\frac{\sqrt{3}}{2}", r"\frac12"), (1, 12): (r"\frac{\sqrt{6}-\sqrt{2}}{4}", r"\frac{\sqrt{6}+\sqrt{2}}{4}"),
          (5, 12): (r"\frac{\sqrt{6}+\sqrt{2}}{4}", r"\frac{\sqrt{6}-\sqrt{2}}{4}"),
          (2, 3): (r"\frac{\sqrt{3}}{2}", r"-\frac{1}{2}"), (5, 6): (r"\frac{1}{2}", r"-\frac{\sqrt{3}}{2}")}


def exact_angle(r):
    (p, q), (s, c) = r.choice(list(ANGLES.items()))
    k = r.randint(0, 3)  # whole turns
    angle = rf"\frac{{{p + 2 * k * q}\pi}}{{{q}}}"
    if r.random() < 0.5:
        return s, rf"\sin\left({angle}\right)", rf"-\sin\left({angle}\right)"
    return c, rf"\cos\left({angle}\right)", rf"-\cos\left({angle}\right)"


def angle_sum(r):
    a, b = r.randint(2, 7), r.randint(1, 6)
    f, g = r.choice([("+", "+"), ("-", "-")])
    reference = rf"\sin({a}x{f}{b}y)"
    equal = rf"\sin({a}x)\cos({b}y){g}\cos({a}x)\sin({b}y)"
    wrong = rf"\sin({a}x)\cos({b}y){'-' if g == '+' else '+'}\cos({a}x)\sin({b}y)"
    return reference, equal, wrong


def double_angle(r):
    a = r.randint(1, 9)
    x = "x" if a == 1 else f"{a}x"
    reference = rf"\cos({2 * a}x)"
    equal = r.choice([rf"2\cos^2({x})-1", rf"1-2\sin^2({x})", rf"\cos^2({x})-\sin^2({x})"])
    return reference, equal, rf"2\sin^2({x})-1"


def pythagoras(r):
    a, b = r.randint(1, 9), r.choice(["x", "t", "y"])
    forms = [rf"{a}\tan^2({b})+{a}", rf"\frac{{{a}}}{{\cos^2({b})}}"]
    return rf"{a}\sec^2({b})", r.choice(forms), rf"{a}\tan^2({b})-{a}"


def logarithm(r):
    a, n = r.choice([2, 3, 5, 6, 7, 10]), r.randint(2, 6)
    return rf"{n}\ln {a}", rf"\ln {a**n}", rf"\ln {a**n + 1}"


def log_sum(r):
    a, b = r.randint(2, 30), r.randint(2, 30)
    return rf"\ln {a}+\ln {b}", rf"\ln {a * b}", rf"\ln {a + b if a + b != a * b else a + b + 1}"


def log_base(r):
    b, m, n = r.choice([2, 3, 5]), r.randint(2, 5), r.randint(2, 4)
    q = Fraction(m, n)
    return frac(q), rf"\log_{{{b**n}}} {b**m}", rf"\log_{{{b**n}}} {b ** (m + 1)}"


def exponents(r):
    b, a = r.choice([2, 3, 5, 7]), r.randint(1, 4)
    return rf"{b}^{{x+{a}}}", rf"{b**a} \cdot {b}^x", rf"{b * a + (b**a == b * a)} \cdot {b}^x"


def power_law(r):
    q, s = r.randint(2, 5), r.randint(1, 5)
    p = r.choice([k for k in range(1, 8) if gcd(k, q) == 1])  # the fourth root of x^4 is |x|
    e = Fraction(p, q)
    return rf"x^{{{frac(e + s)}}}", rf"x^{{{s}}}\sqrt[{q}]{{x^{{{p}}}}}", rf"x^{{{s}}}\sqrt[{q}]{{x^{{{p + 1}}}}}"


def complex_product(r):
    a, b, c, d = (nonzero(r, -9, 9) for _ in range(4))
    re, im = a * c - b * d, a * d + b * c
    if im == 0:
        im, d = im + a, d + 1
        re = a * c - b * d
    return f"({a}{b:+d}i)({c}{d:+d}i)", f"{re}{im:+d}i", f"{re}{-im:+d}i"


def complex_quotient(r):
    a, b = nonzero(r, -9, 9), nonzero(r, -9, 9)
    n = a * a + b * b
    return rf"\frac{{1}}{{{a}{b:+d}i}}", rf"\frac{{{a}{-b:+d}i}}{{{n}}}", rf"\frac{{{a}{b:+d}i}}{{{n}}}"


def finite_set(r):
    items = r.sample(range(-30, 31), r.randint(3, 6))
    other = list(items)
    other[0] += 70
    shuffled = r.sample(items, len(items))
    return [r"\{" + ", ".join(map(str, x)) + r"\}" for x in (items, shuffled, other)]


def point(r):
    items = [Fraction(nonzero(r, -20, 20), r.randint(1, 6)) for _ in range(r.randint(2, 4))]
    other = list(items)
    other[r.randrange(len(other))] += 1
    def doubled(q):
        return rf"\frac{{{2 * q.numerator}}}{{{2 * q.denominator}}}"
    return tuple("(" + ", ".join(f(q) for q in x) + ")" for x, f in ((items, frac), (items, doubled), (other, frac)))


def interval(r):
    a = r.randint(-20, 20)
    b = a + r.randint(1, 20)
    left, right = r.choice("(["), r.choice(")]")
    if (left, right) == ("(", ")"):
        left = "["
    flipped = "(" if left == "[" else "["
    return f"{left}{a},{b}{right}", rf"\left{left}{2 * a}/2, \frac{{{3 * b}}}{{3}}\right{right}", f"{flipped}{a},{b}{right}"


def union(r):
    a = r.randint(-20, 0)
    b = a + r.randint(1, 10)
    pieces = [rf"(-\infty,{a})", rf"({b},\infty)"]
    wrong = [rf"(-\infty,{a}]", rf"({b},\infty)"]
    return pieces[0] + r"\cup" + pieces[1], pieces[1] + r"\cup" + pieces[0], wrong[0] + r"\cup" + wrong[1]


def plus_minus(r):
    a, b = r.randint(1, 20), r.choice([k for k in range(2, 30) if squarefree(k)])
    reference = rf"\{{{a}+\sqrt{{{b}}}, {a}-\sqrt{{{b}}}\}}"
    return reference, rf"{a}\pm\sqrt{{{b}}}", rf"{a}\pm\sqrt{{{b + 1}}}"


def line(r):
    a, b, c = nonzero(r, -9, 9), nonzero(r, -9, 9), nonzero(r, -9, 9)
    k = nonzero(r, 2, 5)
    reference = f"{a}x{b:+d}y={c}"
    solved = rf"y={frac(Fraction(-a, b))}x+{frac(Fraction(c, b))}" if Fraction(c, b) > 0 else \
        rf"y={frac(Fraction(-a, b))}x-{frac(-Fraction(c, b))}"
    equal = r.choice([f"{k * a}x{k * b:+d}y={k * c}", solved])
    return reference, equal, f"{a}x{b:+d}y={c + 1}"


def inequality(r):
    a, b = nonzero(r, -9, 9), nonzero(r, -20, 20)
    bound = frac(Fraction(b, a))
    sign = "<" if a > 0 else ">"
    return f"x{sign}{bound}", f"{a}x<{b}", f"{a}x>{b}"


def matrix(r):
    m = [[nonzero(r, -9, 9) for _ in range(2)] for _ in range(2)]
    wrong = [list(row) for row in m]
    wrong[r.randrange(2)][r.randrange(2)] += 10
    def show(rows, kind, f):
        return rf"\begin{{{kind}}}" + r" \\ ".join(" & ".join(map(f, row)) for row in rows) + rf"\end{{{kind}}}"
    return show(m, "pmatrix", str), show(m, "bmatrix", lambda v: rf"\frac{{{2 * v}}}{{2}}"), show(wrong, "pmatrix", str)


def counting(r):
    n = r.randint(4, 18)
    k = r.randint(2, n - 2)
    if r.random() < 0.5:
        return str(comb(n, k)), rf"\binom{{{n}}}{{{k}}}", rf"\binom{{{n + 1}}}{{{k}}}"
    n = min(n, 12)
    return str(factorial(n)), f"{n}!", f"{n + 1}!"


def finite_sum(r):
    n = r.randint(3, 30)
    return str(n * (n + 1) // 2), rf"\sum_{{k=1}}^{{{n}}} k", rf"\sum_{{k=1}}^{{{n + 1}}} k"


def pi_multiple(r):
    q = Fraction(r.randint(1, 40), r.randint(1, 12))
    k = r.randint(2, 6)
    top, bottom = q.numerator * k, q.denominator * k
    return frac(q) + r"\pi", rf"\frac{{{top}\pi}}{{{bottom}}}", rf"\frac{{{top + 1}\pi}}{{{bottom}}}"


def distance(r):
    a, b = r.randint(1, 12), r.randint(1, 9)
    return f"|{a}x-{b}|", f"|{b}-{a}x|", f"|{a}x+{b}|"


def hyperbolic(r):
    a = r.randint(1, 6)
    return rf"\frac{{e^{{{a}x}}+e^{{-{a}x}}}}{{2}}", rf"\cosh({a}x)", rf"\sinh({a}x)"


def named(r):
    a, x = r.randint(-50, 50), r.choice("xynkt")
    return f"{x}={a}", str(a), str(a + 1)


def derivative(r):
    a, n, k = r.randint(1, 9), r.randint(2, 7), r.randint(1, 5)
    kind = r.randrange(3)
    if kind == 0:
        return rf"{a * n}x^{{{n - 1}}}", rf"\frac{{d}}{{dx}} {a}x^{{{n}}}", rf"\frac{{d}}{{dx}} {a}x^{{{n + 1}}}"
    if kind == 1:
        return rf"{k}\cos({k}x)", rf"\frac{{d}}{{dx}} \sin({k}x)", rf"\frac{{d}}{{dx}} \cos({k}x)"
    return rf"({k}x+1)e^{{{k}x}}", rf"\frac{{d}}{{dx}} (xe^{{{k}x}})", rf"\frac{{d}}{{dx}} (xe^{{{k + 1}x}})"


def polynomial_integral(r):
    a, b = sorted(r.sample(range(-4, 7), 2))
    p = [r.randint(-6, 6) for _ in range(3)] + [r.randint(1, 6)]
    value = sum(Fraction(c, k + 1) * (Fraction(b) ** (k + 1) - Fraction(a) ** (k + 1)) for k, c in enumerate(p))
    return frac(value), rf"\int_{{{a}}}^{{{b}}} ({poly(p)}) \, dx", rf"\int_{{{a}}}^{{{b}}} ({poly([p[0] + 1, *p[1:]])}) \, dx"


def elementary_integral(r):
    k = r.randint(1, 6)
    kind = r.randrange(5)
    if kind == 0:
        return frac(Fraction(2, k)), rf"\int_0^{{\pi/{k}}} \sin({k}x) \, dx", rf"\int_0^{{\pi/{k}}} \sin({k + 1}x) \, dx"
    if kind == 1:
        return rf"\frac{{e^{{{k}}}-1}}{{{k}}}", rf"\int_0^1 e^{{{k}x}} \, dx", rf"\int_0^1 e^{{{k + 1}x}} \, dx"
    if kind == 2:
        return rf"\ln {k + 1}", rf"\int_1^{{{k + 1}}} \frac{{dx}}{{x}}", rf"\int_1^{{{k + 2}}} \frac{{dx}}{{x}}"
    if kind == 3:
        return rf"\frac{{\pi}}{{{4 * k}}}", rf"\int_0^{{{k}}} \frac{{1}}{{x^2+{k * k}}} \, dx", rf"\int_0^{{{k}}} \frac{{1}}{{x^2+{k * k + 1}}} \, dx"
    return rf"\frac{{{k * k}\pi}}{{4}}", rf"\int_0^{{{k}}} \sqrt{{{k * k}-x^2}} \, dx", rf"\int_0^{{{k}}} \sqrt{{{k * k}+x^2}} \, dx"


def limit_at_a_point(r):
    a, b = r.randint(1, 9), r.randint(1, 9)
    kind = r.randrange(3)
    if kind == 0:
        return frac(Fraction(a, b)), rf"\lim_{{x \to 0}} \frac{{\sin {a}x}}{{{b}x}}", rf"\lim_{{x \to 0}} \frac{{\sin {a + 1}x}}{{{b}x}}"
    if kind == 1:
        return str(2 * a), rf"\lim_{{x \to {a}}} \frac{{x^2-{a * a}}}{{x-{a}}}", rf"\lim_{{x \to {a}}} \frac{{x^2-{a * a}}}{{x+{a}}}"
    return frac(Fraction(a * a, 2)), rf"\lim_{{x \to 0}} \frac{{1-\cos {a}x}}{{x^2}}", rf"\lim_{{x \to 0}} \frac{{1-\cos {a + 1}x}}{{x^2}}"


def limit_at_infinity(r):
    a, b, c, d = (r.randint(1, 9) for _ in range(4))
    kind = r.randrange(3)
    if kind == 0:
        return frac(Fraction(a, b)), rf"\lim_{{n \to \infty}} \frac{{{a}n^2+{c}}}{{{b}n^2-{d}n}}", rf"\lim_{{n \to \infty}} \frac{{{a + 1}n^2+{c}}}{{{b}n^2-{d}n}}"
    if kind == 1:
        return rf"e^{{{a}}}", rf"\lim_{{n \to \infty}} \left(1+\frac{{{a}}}{{n}}\right)^n", rf"\lim_{{n \to \infty}} \left(1+\frac{{{a}}}{{n}}\right)^{{2n}}"
    return frac(Fraction(a, 2)), rf"\lim_{{x \to \infty}} (\sqrt{{x^2+{a}x}}-x)", rf"\lim_{{x \to \infty}} (\sqrt{{x^2+{a + 1}x}}-x)"


def infinite_sum(r):
    a, b = r.randint(1, 9), r.randint(2, 12)
    kind = r.randrange(5)
    if kind == 0:
        return frac(Fraction(a * b, b - 1)), rf"\sum_{{k=0}}^{{\infty}} \frac{{{a}}}{{{b}^k}}", rf"\sum_{{k=1}}^{{\infty}} \frac{{{a}}}{{{b}^k}}"
    if kind == 1:
        return frac(Fraction(b, (b - 1) ** 2)), rf"\sum_{{k=1}}^{{\infty}} \frac{{k}}{{{b}^k}}", rf"\sum_{{k=1}}^{{\infty}} \frac{{k+1}}{{{b}^k}}"
    if kind == 2:
        return frac(Fraction(1, a)), rf"\sum_{{n={a}}}^{{\infty}} \frac{{1}}{{n(n+1)}}", rf"\sum_{{n={a + 1}}}^{{\infty}} \frac{{1}}{{n(n+1)}}"
    if kind == 3:
        return rf"\frac{{{a}\pi^2}}{{6}}", rf"\sum_{{k=1}}^{{\infty}} \frac{{{a}}}{{k^2}}", rf"\sum_{{k=1}}^{{\infty}} \frac{{{a}}}{{k^4}}"
    return rf"e^{{{a}}}", rf"\sum_{{k=0}}^{{\infty}} \frac{{{a}^k}}{{k!}}", rf"\sum_{{k=1}}^{{\infty}} \frac{{{a}^k}}{{k!}}"


def piecewise(r):
    a, b, c = r.randint(1, 9), nonzero(r, -9, 9), r.randint(-5, 5)
    def cases(first, second, *order):
        rows = [rf"{first} & x \ge {c}", rf"{second} & x < {c}"]
        return r"\begin{cases}" + r" \\ ".join(rows[k] for k in order) + r"\end{cases}"
    square = f"x^2{2 * a:+d}x{a * a:+d}"
    return cases(f"(x+{a})^2", f"x{b:+d}", 0, 1), cases(square, f"{b}+x", 1, 0), cases(square, f"x{b + 1:+d}", 0, 1)


FAMILIES = [fraction_forms, decimals, mixed, large, scientific, simple_root, rational_denominator, nested_root, cube_root,
            expansion, two_variables, partial_fractions, exact_angle, angle_sum, double_angle, pythagoras, logarithm, log_sum,
            log_base, exponents, power_law, complex_product, complex_quotient, finite_set, point, interval, union, plus_minus,
            line, inequality, matrix, counting, finite_sum, pi_multiple, distance, hyperbolic, named, derivative,
            polynomial_integral, elementary_integral, limit_at_a_point, limit_at_infinity, infinite_sum, piecewise]


def pairs(count, seed):
    r = random.Random(seed)
    rows = []
    while len(rows) < count:
        for family in FAMILIES:
            reference, equal, different = family(r)
            for answer, truth in ((equal, True), (different, False)):
                rows.append({"family": family.__name__, "reference": f"${reference}$",
                             "response": rf"Therefore, the answer is $\boxed{{{answer}}}$.", "equal": truth})
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3200)
    parser.add_argument("--seed", type=int, default=8)
    options = parser.parse_args()
    for row in pairs(options.count, options.seed):
        print(json.dumps(row))
