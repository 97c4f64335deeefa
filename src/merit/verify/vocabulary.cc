#include "merit/verify/vocabulary.h"

#include <algorithm>
#include <array>

namespace merit::verify {
namespace {

struct Named {
  std::string_view from;
  std::string_view to;
};

constexpr std::array kFunctions = std::to_array<Named>({
    {"sin", "sin"},       {"cos", "cos"},       {"tan", "tan"},     {"cot", "cot"},     {"sec", "sec"},
    {"csc", "csc"},       {"arcsin", "asin"},   {"arccos", "acos"}, {"arctan", "atan"}, {"asin", "asin"},
    {"acos", "acos"},     {"atan", "atan"},     {"tg", "tan"},      {"ctg", "cot"},     {"arctg", "atan"},
    {"sinh", "sinh"},     {"cosh", "cosh"},     {"tanh", "tanh"},   {"ln", "ln"},       {"log", "log"},
    {"lg", "lg"},         {"exp", "exp"},       {"sqrt", "sqrt"},   {"abs", "abs"},     {"floor", "floor"},
    {"ceil", "ceil"},     {"Gamma", "gamma"},   {"max", "max"},     {"min", "min"},     {"gcd", "gcd"},
    {"lcm", "lcm"},       {"sgn", "sign"},      {"sign", "sign"},   {"Re", "re"},       {"Im", "im"},
    {"arg", "arg"},       {"det", "det"},       {"binom", "binom"}, {"cbrt", "cbrt"},   {"arcsinh", "asinh"},
    {"arccosh", "acosh"}, {"arctanh", "atanh"}, {"asinh", "asinh"}, {"acosh", "acosh"}, {"atanh", "atanh"},
    {"zeta", "zeta"},     {"erf", "erf"},       {"arcsec", "asec"}, {"arccot", "acot"}, {"arccsc", "acsc"},
    {"csch", "csch"},     {"sech", "sech"},     {"coth", "coth"},
});
constexpr std::array kSymbols = std::to_array<std::string_view>(
    {"alpha", "beta",   "gamma",  "delta", "epsilon", "varepsilon", "zeta",     "eta",   "theta",  "vartheta",
     "iota",  "kappa",  "lambda", "mu",    "nu",      "xi",         "rho",      "sigma", "tau",    "upsilon",
     "phi",   "varphi", "chi",    "psi",   "omega",   "Gamma",      "Delta",    "Theta", "Lambda", "Xi",
     "Sigma", "Phi",    "Psi",    "Omega", "ell",     "hbar",       "varsigma", "Pi",    "Upsilon"});
constexpr std::array kRelations = std::to_array<Named>({
    {"le", "l"},    {"leq", "l"},         {"leqslant", "l"}, {"leqq", "l"},   {"ge", "g"},
    {"geq", "g"},   {"geqslant", "g"},    {"geqq", "g"},     {"ne", "!"},     {"neq", "!"},
    {"lt", "<"},    {"gt", ">"},          {"in", "e"},       {"approx", "~"}, {"equiv", "="},
    {"simeq", "~"}, {"thickapprox", "~"}, {"to", ":"},       {"mapsto", ":"}, {"cong", "~"},
});
constexpr std::array kDecorations = std::to_array<std::string_view>(
    {"vec", "hat", "bar", "overline", "overrightarrow", "widehat", "tilde", "underline", "overleftrightarrow", "dot",
     "ddot", "widetilde", "angle", "triangle", "measuredangle", "overset", "mathring", "mathscr", "mathfrak"});
constexpr std::array kScales = std::to_array<std::pair<std::string_view, int64_t>>({{"hundred", 100},
                                                                                    {"thousand", 1'000},
                                                                                    {"million", 1'000'000},
                                                                                    {"billion", 1'000'000'000},
                                                                                    {"trillion", 1'000'000'000'000}});

constexpr std::array kEnds = std::to_array<std::string_view>(
    {"}",        "\\",        "rangle", "rfloor", "rceil",  "rvert",      "rVert",   "cup",    "cap",
     "setminus", "backslash", "times",  "cdot",   "ast",    "div",        "pm",      "mp",     "mid",
     "end",      "bmod",      "pmod",   "circ",   "degree", "not",        "ldots",   "cdots",  "dots",
     "choose",   "{",         "|",      "mod",    "prime",  "Rightarrow", "implies", "rbrace", "lbrace"});

template <typename Table>
std::string_view lookup(const Table& table, std::string_view name) {
  for (const Named& entry : table) {
    if (entry.from == name) return entry.to;
  }
  return {};
}
template <typename Table>
bool among(const Table& table, std::string_view name) {
  return std::find(table.begin(), table.end(), name) != table.end();
}

}  // namespace

std::string_view function_named(std::string_view name) { return lookup(kFunctions, name); }
std::string_view relation_named(std::string_view command) { return lookup(kRelations, command); }
bool is_symbol_command(std::string_view command) { return among(kSymbols, command); }
bool is_decoration(std::string_view command) { return among(kDecorations, command); }
bool ends_factor(std::string_view command) { return among(kEnds, command); }

std::optional<int64_t> number_named(std::string_view word) {
  constexpr std::array kNumbers = std::to_array<std::string_view>(
      {"zero",     "one",     "two",     "three",     "four",     "five",     "six",
       "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
       "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"});
  const auto found = std::find(kNumbers.begin(), kNumbers.end(), word);
  if (found == kNumbers.end()) return std::nullopt;
  return found - kNumbers.begin();
}

std::optional<int64_t> scale_named(std::string_view word) {
  for (const auto& [name, factor] : kScales) {
    if (name == word) return factor;
  }
  return std::nullopt;
}

}  // namespace merit::verify
