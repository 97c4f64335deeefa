// Answers made to break a checker: each ends within the limits of an item (50 ms, 64 MiB), in every thread, with the
// same verdict.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "merit/verify/answer.h"

namespace merit::verify {
namespace {

std::string repeat(std::string_view piece, size_t count) {
  std::string out;
  for (size_t k = 0; k < count; ++k) out += piece;
  return out;
}

std::vector<std::string> hostile() {
  std::vector<std::string> out = {"2^{25^{6}}",
                                  "7^{7^{7^{7}}}",
                                  "(10^{9})!",
                                  "((10^9)!)!",
                                  "9^{9^{9^{9^{9^{9}}}}}",
                                  "(1/3)^{99999999}",
                                  "1e-999999999",
                                  "(x+1)^{1000}",
                                  "(x+y+z+w+1)^{40}",
                                  "(x+1)^{1000000000}",
                                  "(\\sqrt2+\\sqrt3+\\sqrt5+\\sqrt7+\\sqrt{11}+\\sqrt{13})^{60}",
                                  "\\sqrt{2+\\sqrt{2+\\sqrt{2+\\sqrt{2+\\sqrt{2+\\sqrt2}}}}}",
                                  "\\sum_{k=1}^{1000000} \\frac{1}{k}",
                                  "\\sum_{k=1}^{2000} \\frac{1}{k}",
                                  "\\prod_{k=1}^{2000} (x+k)",
                                  "\\sum_{i=1}^{2000}\\sum_{j=1}^{2000} ij",
                                  "\\sum_{i=1}^{1000}\\sum_{j=1}^{1000}\\sum_{k=1}^{1000} x",
                                  "\\binom{1000000}{500000}",
                                  "\\binom{x}{500}",
                                  "\\sin(10^{1000})",
                                  "\\cos(7^{7^7})",
                                  "\\ln(10^{10^{10}})",
                                  "e^{e^{e^{e^{e}}}}",
                                  "\\Gamma(10^{12})",
                                  "\\tan(\\frac{\\pi}{2})",
                                  "\\cos\\frac{\\pi}{359}+\\cos\\frac{\\pi}{353}",
                                  "\\sqrt{10^{4000}+1}",
                                  "\\sqrt{18446744073709551557}",
                                  "\\ln 340282366920938463463374607431768211507",
                                  "\\sqrt[997]{2}+\\sqrt[991]{3}",
                                  "x^{1000000007}",
                                  "2^{0.0000001}",
                                  "\\frac{1}{\\frac{1}{\\frac{1}{0}}}",
                                  "|||||x|||||",
                                  "\\pm1\\pm2\\pm3\\pm4\\pm5\\pm6",
                                  "((((((((((",
                                  "}}}}}}}",
                                  "\\frac{}{}",
                                  "\\begin{pmatrix}",
                                  "\\begin{pmatrix}1&2\\\\",
                                  "\\left(\\left[\\left\\{",
                                  ",,,,",
                                  "=",
                                  "x==",
                                  "<<<<>>>>",
                                  "\\",
                                  "\\text{",
                                  "\\frac\\frac\\frac",
                                  "^^^^",
                                  "____",
                                  "\xe2\x88\x9a\xe2\x88\x9a\xe2\x88\x9a",
                                  "\xff\xfe\xfd",
                                  "\xf0\x9f\x92\xa9",
                                  "1\xe2\x80\x8b"
                                  "2",
                                  "\xef\xbc\x91\xef\xbc\x92",
                                  "\xd9\xa1\xd9\xa2",
                                  "\xe2\x80\xae"
                                  "12",
                                  std::string("1\0002", 3),
                                  "a_{a_{a_{a_{a}}}}",
                                  "\\lim_{x\\to0}",
                                  "\\int_0^1 x dx",
                                  "\\int_0^1 \\sin(\\frac{1}{x})\\,dx",
                                  "\\int_0^{10^{100}} \\sin(x^2)\\,dx",
                                  "\\int_0^1 e^{e^{e^{e^x}}}\\,dx",
                                  "\\int_0^1 \\frac{x^{50}}{(x+1)^{12}(x+2)}\\,dx",
                                  "\\int_0^1 (x+1)^{200}\\,dx",
                                  "\\int_0^1 \\int_0^1 \\int_0^1 e^{xyz}\\,dx\\,dy\\,dz",
                                  "\\int_0^1 \\sqrt{x-\\sqrt{x-\\sqrt{x}}}\\,dx",
                                  "\\int_{-1}^{1} \\frac{1}{x^{12}}\\,dx",
                                  "\\int_0^{\\infty} x^{12} e^{-x}\\sin^8 x\\,dx",
                                  "\\frac{d^8}{dx^8} \\tan(\\sin(\\tan(\\sin x)))",
                                  "\\frac{d}{dx} x^{x^{x^{x^{x}}}}",
                                  "\\lim_{x\\to 0} \\frac{\\sin(\\tan x)-\\tan(\\sin x)}{x^{30}}",
                                  "\\lim_{x\\to 0} (\\sin x)^{(\\tan x)^{\\sin x}}",
                                  "\\lim_{n\\to\\infty} \\frac{n!}{n^n}",
                                  "\\lim_{x\\to\\infty} \\frac{(x+1)^{1000}}{(x-1)^{1000}}",
                                  "\\lim_{x\\to 0} \\lim_{y\\to 0} \\lim_{z\\to 0} \\frac{xyz}{\\sin(xyz)}",
                                  "\\sum_{k=1}^{\\infty} k^8 (\\frac{999}{1000})^k",
                                  "\\sum_{k=1000}^{\\infty} \\frac{1}{k^{20}}",
                                  "\\sum_{k=1}^{\\infty} \\frac{1}{(k+1)(k+2)(k+3)(k+4)(k+5)(k+6)(k+7)(k+8)}",
                                  "\\sum_{k=1}^{\\infty} \\frac{1}{k(k+1000)}",
                                  "\\sum_{k=1}^{\\infty} \\sum_{j=1}^{\\infty} \\frac{1}{2^{k+j}}",
                                  "\\prod_{k=2}^{\\infty} \\frac{k^{12}}{k^{12}-1}",
                                  "\\prod_{k=900}^{\\infty} \\frac{k(k+3)}{(k+1)(k+2)}",
                                  "\\begin{cases} x & x > 0",
                                  "x \\in \\{y \\mid z\\}",
                                  "5!!!!!!!!!!",
                                  "5%%%%%%%%",
                                  "1/2/3/4/5/6/7/8"};
  const std::pair<const char*, const char*> around[] = {
      {"(", ")"},     {"{", "}"},      {"\\sqrt{", "}"}, {"\\frac{1}{1+", "}"},   {"-", ""},
      {"|", "|"},     {"\\sin(", ")"}, {"2^{", "}"},     {"\\left(", "\\right)"}, {"[", "]"},
      {"\\{", "\\}"}, {"e^{", "}"},    {"\\ln(1+", ")"}, {"(x+1)^{", "}"}};
  for (const auto& [open, close] : around) {
    for (const size_t depth : {20U, 60U, 2000U, 50000U})
      out.push_back(repeat(open, depth) + "x" + repeat(close, depth));
  }
  for (const char* piece : {"9",         "1,",         "x",        "x+",     "\\sqrt2+",
                            "(x+1)",     "\\frac12",   "1/",       "2^",     "\\pi",
                            "\\pm1",     "\\cup(1,2)", "x<",       "!",      "\\{",
                            "\\text{a}", "1&2\\\\",    "e^x",      "\\sin ", "\\binom{9}{3}",
                            "<<1=1>>",   "$1$",        "\\boxed{", "3 + ",   "0."}) {
    for (const size_t count : {60U, 1500U, 100000U}) out.push_back(repeat(piece, count) + "1");
  }
  std::string many = "\\{";
  for (int k = 0; k < 900; ++k) many += std::to_string(k * k) + ",";
  out.push_back(many + "7\\}");
  std::string roots = "\\{";
  for (int k = 2; k < 200; ++k) roots += "\\sqrt{" + std::to_string(k) + "},";
  out.push_back(roots + "7\\}");
  return out;
}

double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// The sanitizers make everything some ten times slower.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr double kSlower = 20;
#else
constexpr double kSlower = 1;
#endif
#else
constexpr double kSlower = 1;
#endif

// The least processor time of a few tries: a busy machine slows single ones.
template <typename Work>
double least_seconds(double limit, Work&& work) {
  double least = 0;
  for (int i = 0; i < 5 && (i == 0 || least >= limit); ++i) {
    const double start = thread_seconds();
    work();
    const double took = thread_seconds() - start;
    least = i == 0 ? took : std::min(least, took);
  }
  return least;
}

constexpr const char* kReferences[] = {"7", "x^2+1", "\\{1,\\sqrt2,3\\}"};

std::string verdict_of(const std::string& answer, const char* reference) {
  const Verdict v = verify_answer("\\boxed{" + answer + "}", reference, AnswerKind::kMath);
  return std::string(name_of(v.outcome)) + "/" + name_of(v.cause) + "/" + v.rule + "/" + v.reason;
}

TEST(MathHostile, EveryItemStaysWithinItsLimits) {
  for (const std::string& answer : hostile()) {
    for (const char* reference : kReferences) {
      Verdict verdict;
      const double limit = 0.05 * kSlower;
      EXPECT_LT(least_seconds(
                    limit, [&] { verdict = verify_answer("\\boxed{" + answer + "}", reference, AnswerKind::kMath); }),
                limit)
          << answer.substr(0, 60) << " (" << answer.size() << ") against " << reference;
      EXPECT_NE(verdict.outcome, Outcome::kCorrect) << answer.substr(0, 60) << " against " << reference;
    }
    const double limit = 0.15 * kSlower;
    const double took = least_seconds(limit, [&] {
      verify_answer("7", answer.substr(0, 100'000), AnswerKind::kMath);
      verify_answer(answer, "7", AnswerKind::kMath);
      // The same on both sides, where nothing is different at once.
      verify_answer("\\boxed{" + answer + "}", "\\boxed{" + answer + "}", AnswerKind::kMath);
    });
    EXPECT_LT(took, limit) << answer.substr(0, 60) << " (" << answer.size() << ")";
  }
}

TEST(MathHostile, MemoryIsBounded) {
  rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  for (const std::string& answer : hostile()) {
    for (const char* reference : kReferences) verdict_of(answer, reference);
  }
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 * 1024);
}

TEST(MathHostile, VerdictsDependOnNeitherThreadNorNeighbours) {
  const std::vector<std::string> answers = hostile();
  std::vector<std::string> expected;
  for (const std::string& answer : answers) expected.push_back(verdict_of(answer, "x^2+1"));
  std::vector<std::thread> threads;
  std::vector<size_t> differ(64, 0);
  for (size_t t = 0; t < differ.size(); ++t) {
    threads.emplace_back([&, t] {
      // Each thread starts elsewhere and checks a part, so that neighbours differ.
      for (size_t k = 0; k < answers.size() / 8; ++k) {
        const size_t at = (t * 7 + k * 5) % answers.size();
        if (verdict_of(answers[at], "x^2+1") != expected[at]) ++differ[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::count(differ.begin(), differ.end(), 0U), 64);
}

}  // namespace
}  // namespace merit::verify
