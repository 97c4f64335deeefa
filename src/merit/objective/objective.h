// What a training objective is: a pure function of the tensors of a batch to un-reduced losses, their weights and
// metrics. It never sees a model, a file or a config (DESIGN.md, idea 3). The table of objectives is objectives.h.
//
// The loss of an optimiser step is the sum over terms of  sum_i losses[i] weight[i] / W,  with W the sum of the term's
// weights over the whole step (all micro-batches, all processes), so how a step is split changes nothing. Weights
// depend on the batch's structure only, and weights() gives them before any forward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace merit::objective {

// What an objective reads of a batch, as bits. kValues goes with value_begin, kLabels with mismatched.
using Needs = uint32_t;
inline constexpr Needs kLogps = 1u << 0;
inline constexpr Needs kRefLogps = 1u << 1;
inline constexpr Needs kPromptLogps = 1u << 2;
inline constexpr Needs kSumsq = 1u << 3;
inline constexpr Needs kDivergence = 1u << 4;
inline constexpr Needs kValues = 1u << 5;
inline constexpr Needs kValueTargets = 1u << 6;
inline constexpr Needs kPairs = 1u << 7;
inline constexpr Needs kLabels = 1u << 8;
inline constexpr Needs kMismatched = 1u << 9;
inline constexpr Needs kLists = 1u << 10;

// Which items' losses depend on each other: none; those of one group (never split over micro-batches); all of the
// step, so the trainer computes every log-prob first, calls the objective once and replays its gradient.
enum class Coupling { kNone, kGroup, kBatch };

// The divergence per position that `Batch::divergence` must hold, between the policy and the other model (the
// reference, or a teacher), both at temperature 1.
struct Divergence {
  enum class Kind {
    kForwardKl,   // KL(other || policy)
    kGeneralJsd,  // beta KL(other || m) + (1 - beta) KL(policy || m), m = beta other + (1 - beta) policy;
                  // the limits 0 and 1 are KL(other || policy) and KL(policy || other)
  };
  Kind kind = Kind::kForwardKl;
  double beta = 0.5;  // of kGeneralJsd
  bool teacher = false;
};

// A set of sequences s = 0 .. S-1, flattened. Tensors share one device; floating dtypes may differ, and all arithmetic
// is float64. What an objective does not need may be left undefined or empty.
struct Batch {
  // The completion tokens of s lie at [token_begin[s], token_begin[s + 1]) of every [T] tensor; none is empty.
  std::vector<int64_t> token_begin;  // [S + 1]
  at::Tensor logps;                  // [T] ln p of each completion token under the policy; may require grad
  at::Tensor ref_logps;              // [T] under the reference
  at::Tensor sumsq;                  // [T] sum over the vocabulary of p^2 under the policy
  at::Tensor divergence;             // [T] as Loss::divergence() says; may require grad

  // The tokens before the completion, without the first of the text, which nothing predicts; may be empty.
  std::vector<int64_t> prompt_begin;  // [S + 1]
  at::Tensor prompt_logps;            // [Tp] under the policy; may require grad

  // Score-head outputs at the read positions: one row a sequence for sequence rewards, one a step for process rewards.
  std::vector<int64_t> value_begin;  // [S + 1]
  at::Tensor values;                 // [R, K]; may require grad
  at::Tensor value_targets;          // [R, K], or [R, 1] for classes; NaN where there is no label

  std::vector<int64_t> chosen, rejected;    // [P] sequences of each pair
  at::Tensor margin;                        // [P], or undefined: zeros
  at::Tensor label;                         // [S] 1 desirable, 0 undesirable; not read at mismatched sequences
  std::vector<int64_t> mismatched;          // sequences that pair a prompt with another's completion (KTO's baseline)
  std::vector<std::vector<int64_t>> lists;  // sequences of each list, best first

  int64_t sequences() const;  // S
};

// What the i-th loss of a term belongs to, to name it in a message: pair i, sequence i, row i of values, list i.
enum class Item { kPair, kSequence, kRow, kList };

struct Term {
  Item item = Item::kPair;
  at::Tensor losses;  // [items] float64, differentiable; 0 where the weight is 0
  at::Tensor weight;  // [items] float64, no grad, as Loss::weights() gives it
};

// A quantity under TRL's name; the trainer adds sums and counts over micro-batches and processes and reports
// sum / count, or the smallest or largest `sum`.
struct Metric {
  enum class Merge { kMean, kMin, kMax };
  std::string name;
  double sum = 0;
  double count = 0;
  Merge merge = Merge::kMean;
};

struct Result {
  std::vector<Term> terms;
  std::vector<Metric> metrics;
};

// The loss if `result` is the whole step: [] float64. A term of no weight counts 0.
at::Tensor total(const Result& result);

// One objective with its options. Immutable and thread-safe but for update() and load().
class Loss {
 public:
  virtual ~Loss() = default;

  virtual Needs needs() const = 0;
  virtual Coupling coupling() const { return Coupling::kNone; }
  virtual std::optional<Divergence> divergence() const { return std::nullopt; }

  // Error(kData) if the batch lacks what needs() asks for, has an empty completion, or its shapes or indices do not
  // fit, naming the part; a batch without items gives empty terms.
  Result operator()(const Batch& batch) const;

  // The weights of each term: [items] float64. Reads no log-prob and no value.
  virtual std::vector<at::Tensor> weights(const Batch& batch) const = 0;

  // State. update() is called once a training step with the whole step's batch, before operator().
  using State = std::map<std::string, at::Tensor>;
  virtual void update(const Batch&) {}
  virtual State save() const { return {}; }
  // Error(kData) for a name or shape that save() does not give.
  virtual void load(const State& state);

 protected:
  // Terms without weights, in the order of weights().
  virtual Result compute(const Batch& batch) const = 0;
};

}  // namespace merit::objective
