#include "merit/objective/dpo_losses.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/square.h>

#include <cmath>

namespace merit::objective {
namespace {

at::Tensor logit(const DpoPairs& pairs, const DpoParameters& p) {
  return p.beta * (pairs.chosen_score - pairs.rejected_score);
}

at::Tensor per_token_difference(const DpoPairs& pairs) {
  return pairs.chosen_score / pairs.chosen_length - pairs.rejected_score / pairs.rejected_length;
}

at::Tensor smoothed(const at::Tensor& z, double epsilon) {
  return -(1 - epsilon) * at::log_sigmoid(z) - epsilon * at::log_sigmoid(-z);
}

at::Tensor sigmoid_loss(const DpoPairs& pairs, const DpoParameters& p) { return -at::log_sigmoid(logit(pairs, p)); }

at::Tensor hinge(const DpoPairs& pairs, const DpoParameters& p) { return at::relu(1 - logit(pairs, p)); }

at::Tensor ipo(const DpoPairs& pairs, const DpoParameters& p) {
  return at::square(per_token_difference(pairs) - 1 / (2 * p.beta));
}

at::Tensor exo_pair(const DpoPairs& pairs, const DpoParameters& p) {
  const at::Tensor z = logit(pairs, p);
  return at::sigmoid(z) * (at::log_sigmoid(z) - std::log1p(-p.epsilon)) +
         at::sigmoid(-z) * (at::log_sigmoid(-z) - std::log(p.epsilon));
}

at::Tensor nca_pair(const DpoPairs& pairs, const DpoParameters& p) {
  const at::Tensor chosen = p.beta * pairs.chosen_ratio, rejected = p.beta * pairs.rejected_ratio;
  return -at::log_sigmoid(chosen) - 0.5 * at::log_sigmoid(-chosen) - 0.5 * at::log_sigmoid(-rejected);
}

at::Tensor robust(const DpoPairs& pairs, const DpoParameters& p) {
  const at::Tensor z = logit(pairs, p);
  return (-(1 - p.epsilon) * at::log_sigmoid(z) + p.epsilon * at::log_sigmoid(-z)) / (1 - 2 * p.epsilon);
}

at::Tensor bco_pair(const DpoPairs& pairs, const DpoParameters& p) {
  return -at::log_sigmoid(p.beta * pairs.chosen_ratio) - at::log_sigmoid(-p.beta * pairs.rejected_ratio);
}

at::Tensor sppo_hard(const DpoPairs& pairs, const DpoParameters& p) {
  return at::square(pairs.chosen_ratio - 0.5 / p.beta) + at::square(pairs.rejected_ratio + 0.5 / p.beta);
}

// The k-th smallest of `better` against the k-th smallest of `worse`; a loss stands at the pair that `better` is from.
at::Tensor transport(const at::Tensor& better, const at::Tensor& worse, const DpoParameters& p) {
  const at::Tensor order = at::argsort(better, /*stable=*/true), worse_order = at::argsort(worse, /*stable=*/true);
  const at::Tensor difference = at::index_select(better, 0, order) - at::index_select(worse, 0, worse_order);
  return at::index_select(smoothed(p.beta * difference, p.epsilon), 0, at::argsort(order));
}

at::Tensor aot(const DpoPairs& pairs, const DpoParameters& p) {
  return transport(pairs.policy_ratio, pairs.reference_ratio, p);
}

at::Tensor aot_unpaired(const DpoPairs& pairs, const DpoParameters& p) {
  return transport(pairs.chosen_ratio, pairs.rejected_ratio, p);
}

at::Tensor apo_zero(const DpoPairs& pairs, const DpoParameters& p) {
  return 1 - at::sigmoid(p.beta * pairs.chosen_ratio) + at::sigmoid(p.beta * pairs.rejected_ratio);
}

at::Tensor apo_down(const DpoPairs& pairs, const DpoParameters& p) {
  return at::sigmoid(p.beta * pairs.chosen_ratio) + 1 -
         at::sigmoid(p.beta * (pairs.chosen_ratio - pairs.rejected_ratio));
}

at::Tensor discopop(const DpoPairs& pairs, const DpoParameters& p) {
  const at::Tensor z = logit(pairs, p), mixing = at::sigmoid(z / p.tau);
  return (1 - mixing) * -at::log_sigmoid(z) + mixing * at::exp(-z);
}

at::Tensor sigmoid_norm(const DpoPairs& pairs, const DpoParameters& p) {
  return -at::log_sigmoid(p.beta * per_token_difference(pairs));
}

constexpr DpoLoss kLosses[] = {
    {"sigmoid", "-logsigmoid(beta d)", sigmoid_loss, true, false, false},
    {"hinge", "max(0, 1 - beta d)", hinge, true, false, false},
    {"ipo", "(s_c/|c| - s_r/|r| - 1/(2 beta))^2", ipo, true, false, false},
    {"exo_pair", "sigmoid(beta d) [logsigmoid(beta d) - ln(1-e)] + sigmoid(-beta d) [logsigmoid(-beta d) - ln e]",
     exo_pair, true, true, false},
    {"nca_pair", "-logsigmoid(beta D_c) - logsigmoid(-beta D_c)/2 - logsigmoid(-beta D_r)/2", nca_pair, false, false,
     false},
    {"robust", "[-(1-e) logsigmoid(beta d) + e logsigmoid(-beta d)] / (1-2e)", robust, true, true, false},
    {"bco_pair", "-logsigmoid(beta D_c) - logsigmoid(-beta D_r)", bco_pair, false, false, false},
    {"sppo_hard", "(D_c - 1/(2 beta))^2 + (D_r + 1/(2 beta))^2", sppo_hard, false, false, false},
    {"aot",
     "z = beta (sort(ln pi_c - ln pi_r) - sort(the same of the reference)); -(1-e) logsigmoid(z) - e "
     "logsigmoid(-z)",
     aot, false, true, true},
    {"aot_unpaired", "z = beta (sort(D_c) - sort(D_r)); -(1-e) logsigmoid(z) - e logsigmoid(-z)", aot_unpaired, false,
     true, true},
    {"apo_zero", "1 - sigmoid(beta D_c) + sigmoid(beta D_r)", apo_zero, false, false, false},
    {"apo_down", "sigmoid(beta D_c) + 1 - sigmoid(beta (D_c - D_r))", apo_down, false, false, false},
    {"discopop", "m = sigmoid(beta d / tau); (1-m) (-logsigmoid(beta d)) + m exp(-beta d)", discopop, true, false,
     false},
    {"sft", "-ln p, mean over the chosen completions' tokens", nullptr, true, false, false},
    {"sigmoid_norm", "-logsigmoid(beta (s_c/|c| - s_r/|r|))", sigmoid_norm, true, false, false},
};

}  // namespace

std::span<const DpoLoss> dpo_losses() { return kLosses; }

}  // namespace merit::objective
