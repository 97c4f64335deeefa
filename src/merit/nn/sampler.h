// One row of logits to one token.
//
// The distribution: temperature, then top-k, then top-p, then min-p, each on what the one before left, as transformers
// orders them (vLLM applies min-p before the other two; the two agree unless top-p and min-p are used together):
//   z' = z / temperature, p = softmax(z')
//   top_k   keeps the k most likely; all that equal the k-th stay
//   top_p   keeps the smallest set of most likely tokens whose mass is at least top_p of what top-k left (nucleus
//           sampling, Holtzman et al. 2020); among equals the lower id comes first
//   min_p   keeps tokens at least min_p times as likely as the most likely one (Nguyen et al. 2024)
// At least one token always stays. The draw is the inverse CDF over the kept tokens in the order of their ids.
// temperature 0 is greedy: the most likely token, the lowest id among equals, whatever the filters say.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace merit::nn {

struct SamplingParams {
  double temperature = 1.0;  // >= 0
  int64_t top_k = 0;         // 0: off
  double top_p = 1.0;        // (0, 1]; 1: off
  double min_p = 0.0;        // [0, 1]; 0: off
  int64_t max_new_tokens = 256;
  std::vector<int32_t> stop_ids;  // a sequence ends with the first of these it draws; that token is kept
  std::vector<std::string> stop;  // the text ends before the first of these strings
  uint64_t seed = 0;
};

// Error(kUsage) naming the option, the range and the value.
void validate(const SamplingParams& params);

struct Draw {
  int32_t id = 0;
  float logp = 0;           // under the model: temperature 1, no filter
  float sampling_logp = 0;  // under the distribution the token was drawn from; 0 if greedy
};

// Keeps scratch space between rows: one per thread.
class Sampler {
 public:
  explicit Sampler(const SamplingParams& params);

  // uniform in [0, 1). Error(kNumeric) for logits with a NaN or +infinity, or all -infinity.
  // A few passes over the row, and a sort of only those tokens that can pass top-k and top-p.
  Draw draw(std::span<const float> logits, double uniform);
  Draw draw(std::span<const double> logits, double uniform);

 private:
  struct Candidate {
    double distance;  // max - z
    double mass;      // exp(-distance / temperature)
    int32_t id;
  };
  template <typename T>
  Draw draw_row(std::span<const T> logits, double uniform);
  template <typename T>
  void collect(std::span<const T> logits, T max);
  void keep_top_k();
  void keep_top_p();

  SamplingParams params_;
  std::vector<Candidate> candidates_;  // by rising id, except while top-p looks at them
  std::vector<double> block_mass_;
  double total_ = 0;  // mass of the tokens that top-p takes its share of
};

// The Philox stream of sequence `index` of the group `stream`.
uint64_t sequence_stream(uint64_t stream, uint64_t index);

}  // namespace merit::nn
