// tool: DEPS stats search
// Statistics of numbers given as JSON lines on standard input, one answer a line: for comparison with other programs.
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/json.h"
#include "merit/search/estimate.h"
#include "merit/stats/bootstrap.h"
#include "merit/stats/calibration.h"
#include "merit/stats/correlation.h"
#include "merit/stats/interval.h"
#include "merit/stats/ranking.h"
#include "merit/stats/tests.h"

namespace {

using merit::Json;
using Numbers = std::vector<double>;

Json shown(const std::optional<merit::stats::Estimate>& e) {
  if (!e) return nullptr;
  return {{"value", e->value}, {"low", e->interval.low}, {"high", e->interval.high}, {"method", e->interval.method}};
}

Json shown(const std::optional<merit::stats::TestResult>& r) {
  if (!r) return nullptr;
  return {{"p", r->p_value}, {"greater", r->p_greater}, {"statistic", r->statistic}, {"method", r->method}};
}

Json answer(const Json& q) {
  using namespace merit::stats;
  std::string what = merit::get_string(q, "what", "question");
  auto numbers = [&](const char* key) { return q.at(key).get<Numbers>(); };
  auto flags = [&](const char* key) { return q.at(key).get<std::vector<bool>>(); };
  if (what == "wilson") return shown(wilson_interval(q.at("right").get<double>(), q.at("n").get<size_t>()));
  if (what == "mean") return shown(mean_interval(numbers("x")));
  if (what == "bootstrap_mean") {
    return shown(bootstrap_mean(numbers("x"), {.resamples = 20000, .low = q.at("low"), .high = q.at("high")}));
  }
  if (what == "pearson") return shown(pearson(numbers("x"), numbers("y")));
  if (what == "spearman") return shown(spearman(numbers("x"), numbers("y")));
  if (what == "kendall") return shown(kendall(numbers("x"), numbers("y")));
  if (what == "auc") return shown(auc(numbers("x"), flags("right")));
  if (what == "binomial") {
    return shown(binomial_test(q.at("k").get<uint64_t>(), q.at("n").get<uint64_t>(), q.at("p").get<double>()));
  }
  if (what == "sign_flip") return shown(sign_flip_test(numbers("x")));
  if (what == "choice") return shown(random_choice_test(numbers("x"), q.at("right").get<uint64_t>()));
  if (what == "calibration") {
    auto c = calibration(numbers("x"), flags("right"), q.at("bins").get<size_t>(), {.resamples = 100});
    return {{"ece", c->ece.value}, {"brier", c->brier.value}};
  }
  if (what == "best_of_k") return merit::search::best_of_k(numbers("x"), numbers("y"));
  merit::fail(merit::ErrorKind::kUsage, "question: unknown statistic {}", merit::quote(what));
}

}  // namespace

int main() {
  std::string line;
  try {
    while (std::getline(std::cin, line))
      std::puts(merit::dump_json(answer(merit::parse_json(line, "question"))).c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stats_tool: %s\n", error.what());
    return 1;
  }
}
