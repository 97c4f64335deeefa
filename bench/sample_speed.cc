// bench: DEPS nn text core
// Decoded tokens a second by the number of rows that advance together: sample_speed MODEL
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "merit/nn/sample.h"
#include "merit/nn/transformer.h"
#include "merit/text/tokenizer.h"

namespace {

using namespace merit;
using Clock = std::chrono::steady_clock;

// Three runs: the median and the range. The first run's samples must come again in the others.
void measure(const nn::Transformer& model, const text::Tokenizer& tokenizer, int64_t rows) {
  const std::vector<nn::SampleRequest> requests = {{tokenizer.encode("The history of the city begins"), rows, 1}};
  nn::SamplingParams params;
  params.max_new_tokens = 48;
  std::vector<double> rates;
  std::vector<nn::Sample> first;
  for (int run = 0; run < 3; ++run) {
    const auto start = Clock::now();
    nn::SampleReport report;
    std::vector<nn::Sample> samples;
    report = nn::sample(model, tokenizer, requests, params, {.max_live = rows},
                        [&](size_t, Result<std::vector<nn::Sample>> done) { samples = std::move(done).value(); });
    rates.push_back(static_cast<double>(report.new_tokens) /
                    std::chrono::duration<double>(Clock::now() - start).count());
    if (run == 0) first = samples;
    for (size_t i = 0; i < samples.size(); ++i) {
      if (samples[i].ids != first[i].ids) std::printf("row %zu: run %d drew other tokens than run 0\n", i, run);
    }
  }
  std::sort(rates.begin(), rates.end());
  std::printf("sample, %3ld rows, float32: %.0f tokens/s (%.0f to %.0f)\n", static_cast<long>(rows), rates[1], rates[0],
              rates[2]);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "sample_speed MODEL\n");
    return 2;
  }
  const auto model = nn::Transformer::load(argv[1]);
  const text::Tokenizer tokenizer = text::load_tokenizer(argv[1]);
  for (const int64_t rows : {16, 64, 128}) measure(*model, tokenizer, rows);
  return 0;
}
