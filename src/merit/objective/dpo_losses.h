// The losses of a pair that Direct Preference Optimisation and its successors share a trainer for, under TRL's names
// (PEERS.md 1.3), as one table.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

namespace merit::objective {

// Everything a loss may read of P pairs, all [P] float64.
struct DpoPairs {
  at::Tensor chosen_ratio, rejected_ratio;    // D = sum over completion tokens of (ln pi - ln pi_ref)
  at::Tensor chosen_score, rejected_score;    // s = f(D), f of the divergence
  at::Tensor chosen_length, rejected_length;  // completion tokens
  at::Tensor policy_ratio, reference_ratio;   // ln pi(chosen) - ln pi(rejected), and the same of the reference
};

struct DpoParameters {
  double beta = 0.1;
  double epsilon = 0;  // label smoothing
  double tau = 0.05;   // of discopop
};

struct DpoLoss {
  const char* name;
  const char* formula;
  at::Tensor (*per_pair)(const DpoPairs&, const DpoParameters&);  // [P]; null for sft, which reads tokens
  bool takes_divergence;                                          // reads scores, so another f means something
  bool smooths;                                                   // reads epsilon
  bool sorts;                                                     // depends on the whole batch
};

std::span<const DpoLoss> dpo_losses();

}  // namespace merit::objective
