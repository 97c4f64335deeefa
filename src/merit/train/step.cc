#include "merit/train/step.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "merit/core/error.h"

namespace merit::train {
namespace {

using objective::Batch;
using objective::Item;
using objective::Metric;

// The tensors of a batch that come from the model.
std::vector<at::Tensor Batch::*> model_parts() {
  return {&Batch::logps, &Batch::prompt_logps, &Batch::values, &Batch::divergence, &Batch::sumsq};
}

// The examples a loss that is not finite belongs to, a few of them.
std::string culprits(const objective::Term& term, const Batch& batch, std::span<const Example* const> examples) {
  std::vector<const Example*> owner;  // of each sequence
  for (const Example* example : examples) owner.insert(owner.end(), example->sequences.size(), example);
  const auto sequence_of = [&](int64_t i) -> int64_t {
    switch (term.item) {
      case Item::kPair:
        return batch.chosen.at(static_cast<size_t>(i));
      case Item::kList:
        return batch.lists.at(static_cast<size_t>(i)).front();
      case Item::kSequence:
        return i;
      case Item::kRow:
        return std::upper_bound(batch.value_begin.begin(), batch.value_begin.end(), i) - batch.value_begin.begin() - 1;
    }
    return 0;
  };
  std::string names;
  int found = 0;
  const at::Tensor losses = term.losses.detach().to(at::kDouble).contiguous();
  for (int64_t i = 0; i < losses.numel() && found < 3; ++i) {
    if (std::isfinite(losses.const_data_ptr<double>()[i])) continue;
    const auto sequence = static_cast<size_t>(sequence_of(i));
    if (sequence >= owner.size()) continue;
    names += (found++ > 0 ? ", " : "") + quote(owner[sequence]->id);
  }
  return names;
}

}  // namespace

void MetricSums::add(const Metric& metric) {
  auto [at, fresh] = sums_.try_emplace(metric.name, metric);
  if (fresh) return;
  Metric& sum = at->second;
  switch (metric.merge) {
    case Metric::Merge::kMean:
      sum.sum += metric.sum;
      sum.count += metric.count;
      break;
    case Metric::Merge::kMin:
      sum.sum = std::min(sum.sum, metric.sum);
      break;
    case Metric::Merge::kMax:
      sum.sum = std::max(sum.sum, metric.sum);
      break;
  }
}

void MetricSums::add(const std::vector<Metric>& metrics) {
  for (const Metric& metric : metrics) add(metric);
}

void MetricSums::add(const MetricSums& other) {
  for (const auto& [name, metric] : other.sums_) add(metric);
}

OrderedJson MetricSums::to_json() const {
  OrderedJson json = OrderedJson::object();
  for (const auto& [name, metric] : sums_) json[name] = {metric.sum, metric.count, static_cast<int>(metric.merge)};
  return json;
}

MetricSums MetricSums::from_json(const OrderedJson& json) {
  MetricSums sums;
  for (const auto& [name, value] : json.items()) {
    sums.add(Metric{name, value.at(0).get<double>(), value.at(1).get<double>(),
                    static_cast<Metric::Merge>(value.at(2).get<int>())});
  }
  return sums;
}

void MetricSums::write(OrderedJson& line, const std::string& prefix) const {
  for (const auto& [name, metric] : sums_) {
    if (metric.merge == Metric::Merge::kMean && metric.count == 0) continue;
    line[prefix + name] = metric.merge == Metric::Merge::kMean ? metric.sum / metric.count : metric.sum;
  }
}

std::vector<Stepper::Micro> Stepper::split(std::span<const Example* const> examples) const {
  std::vector<Micro> parts;
  int64_t tokens = 0;
  for (const Example* example : examples) {
    const int64_t more = example->tokens();
    if (parts.empty() || tokens + more > token_budget_) {
      parts.emplace_back();
      tokens = 0;
    }
    parts.back().push_back(example);
    tokens += more;
  }
  return parts;
}

at::Tensor Stepper::reference_of(const Batch& batch, std::span<const Example* const> examples, bool at_start) const {
  if (!(loss_.needs() & objective::kRefLogps)) return {};
  MERIT_CHECK(reference_ != nullptr);
  return at_start && reference_->own() ? batch.logps.detach().clone() : reference_->logps(examples);
}

Batch Stepper::run(std::span<const Example* const> part) const {
  const bool large = part.size() == 1 && part.front()->tokens() > token_budget_;
  return policy_.forward(part, loss_.needs(), /*recompute=*/large);
}

Batch Stepper::forward(std::span<const Example* const> examples, bool at_start) const {
  Batch batch = run(examples);
  batch.ref_logps = reference_of(batch, examples, at_start);
  return batch;
}

std::vector<double> Stepper::totals(std::span<const Micro> parts) const {
  std::vector<double> totals;
  for (const Micro& part : parts) {
    const std::vector<at::Tensor> weights = loss_.weights(structure_of(part, loss_.needs()));
    totals.resize(weights.size());
    for (size_t t = 0; t < weights.size(); ++t) totals[t] += weights[t].sum().item<double>();
  }
  return totals;
}

at::Tensor Stepper::value(const objective::Result& result, const std::vector<double>& totals,
                          std::span<const Example* const> examples) const {
  at::Tensor sum;
  for (size_t t = 0; t < result.terms.size(); ++t) {
    if (totals[t] == 0) continue;
    const at::Tensor term = (result.terms[t].losses * result.terms[t].weight).sum() / totals[t];
    if (!std::isfinite(term.item<double>())) {
      fail(ErrorKind::kNumeric, "the loss is not finite in items {}; a lower learning rate or float32 may help",
           culprits(result.terms[t], structure_of(examples, loss_.needs()), examples));
    }
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

StepResult Stepper::part_by_part(std::span<const Micro> parts, bool learn, bool at_start) const {
  const std::vector<double> all = totals(parts);
  StepResult step;
  for (const Micro& part : parts) {
    const objective::Result result = loss_(forward(part, at_start));
    const at::Tensor loss = value(result, all, part);
    step.metrics.add(result.metrics);
    for (const Example* example : part) step.tokens += example->tokens();
    if (!loss.defined()) continue;
    step.loss += loss.item<double>();
    if (learn) loss.backward();
  }
  return step;
}

StepResult Stepper::learn(std::span<const Example* const> examples, bool at_start) {
  const std::vector<Micro> parts = split(examples);
  return loss_.coupling() == objective::Coupling::kBatch ? coupled(parts, examples, true, at_start)
                                                         : part_by_part(parts, true, at_start);
}

StepResult Stepper::evaluate(std::span<const Example* const> examples) const {
  const at::NoGradGuard no_grad;
  const std::vector<Micro> parts = split(examples);
  return loss_.coupling() == objective::Coupling::kBatch ? coupled(parts, examples, false, false)
                                                         : part_by_part(parts, false, false);
}

Batch Stepper::gather(std::span<const Micro> parts, std::span<const Example* const> examples, bool at_start) const {
  const at::NoGradGuard no_grad;
  Batch whole = structure_of(examples, loss_.needs());
  std::vector<std::vector<at::Tensor>> pieces(model_parts().size());
  for (const Micro& part : parts) {
    const Batch batch = run(part);
    for (size_t i = 0; i < pieces.size(); ++i) {
      const at::Tensor& piece = batch.*model_parts()[i];
      if (piece.defined()) pieces[i].push_back(piece.detach());
    }
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!pieces[i].empty()) whole.*model_parts()[i] = at::cat(pieces[i]);
  }
  whole.ref_logps = reference_of(whole, examples, at_start);
  return whole;
}

StepResult Stepper::coupled(std::span<const Micro> parts, std::span<const Example* const> examples, bool learn,
                            bool at_start) const {
  Batch whole = gather(parts, examples, at_start);
  const auto differentiable = {&Batch::logps, &Batch::prompt_logps, &Batch::values, &Batch::divergence};
  if (learn) {
    for (at::Tensor Batch::*part : differentiable) {
      if ((whole.*part).defined()) (whole.*part).set_requires_grad(true);
    }
    loss_.update(whole);
  }
  const objective::Result result = loss_(whole);
  std::vector<double> all;
  for (const objective::Term& term : result.terms) all.push_back(term.weight.sum().item<double>());
  const at::Tensor loss = value(result, all, examples);
  StepResult step;
  step.metrics.add(result.metrics);
  if (!loss.defined()) return step;
  step.loss = loss.item<double>();
  if (!learn) return step;
  loss.backward();
  std::vector<int64_t> done(differentiable.size(), 0);
  for (const Micro& part : parts) {
    const Batch batch = run(part);
    std::vector<at::Tensor> outputs, grads;
    size_t i = 0;
    for (at::Tensor Batch::*member : differentiable) {
      const at::Tensor& out = batch.*member;
      const size_t at = i++;
      if (!out.defined()) continue;
      const at::Tensor grad = (whole.*member).grad();
      if (grad.defined() && out.requires_grad()) {
        outputs.push_back(out);
        grads.push_back(grad.slice(0, done[at], done[at] + out.size(0)).to(out.scalar_type()));
      }
      done[at] += out.size(0);
    }
    if (!outputs.empty()) torch::autograd::backward(outputs, grads);
    for (const Example* example : part) step.tokens += example->tokens();
  }
  return step;
}

}  // namespace merit::train
