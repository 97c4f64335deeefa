#include "merit/objective/check_batch.h"

#include <string>

#include "merit/core/error.h"

namespace merit::objective {
namespace {

// `begin` runs from 0 to `end` in steps of `least` or more.
void check_bounds(const std::vector<int64_t>& begin, int64_t end, int64_t least, const char* what) {
  if (begin.empty() || begin.front() != 0 || begin.back() != end) {
    fail(ErrorKind::kData, "batch: {} must run from 0 to {}, the number of rows", what, end);
  }
  for (size_t s = 0; s + 1 < begin.size(); ++s) {
    if (begin[s + 1] - begin[s] < least) {
      fail(ErrorKind::kData, "batch: sequence {}: {} gives {} rows, expected {} or more", s, what,
           begin[s + 1] - begin[s], least);
    }
  }
}

void check_vector(const at::Tensor& tensor, int64_t size, const char* what) {
  if (!tensor.defined()) fail(ErrorKind::kData, "batch: {} is missing, and the objective needs it", what);
  if (tensor.dim() != 1 || tensor.size(0) != size) {
    fail(ErrorKind::kData, "batch: {}: expected [{}], got {} values in {} dimensions", what, size, tensor.numel(),
         tensor.dim());
  }
}

void check_indices(const std::vector<int64_t>& indices, int64_t sequences, const char* what) {
  for (const int64_t s : indices) {
    if (s < 0 || s >= sequences) {
      fail(ErrorKind::kData, "batch: {}: sequence {} of {}", what, s, sequences);
    }
  }
}

void check_tokens(const Batch& batch, Needs needs) {
  constexpr Needs kPerToken = kLogps | kRefLogps | kSumsq | kDivergence;
  if ((needs & kPerToken) == 0) return;
  const int64_t tokens = batch.token_begin.empty() ? 0 : batch.token_begin.back();
  check_bounds(batch.token_begin, tokens, 1, "token_begin");
  if (needs & kLogps) check_vector(batch.logps, tokens, "logps");
  if (needs & kRefLogps) check_vector(batch.ref_logps, tokens, "ref_logps");
  if (needs & kSumsq) check_vector(batch.sumsq, tokens, "sumsq");
  if (needs & kDivergence) check_vector(batch.divergence, tokens, "divergence");
}

void check_values(const Batch& batch, Needs needs) {
  if ((needs & kValues) == 0) return;
  if (!batch.values.defined() || batch.values.dim() != 2) {
    fail(ErrorKind::kData, "batch: values is missing or not [R, K], and the objective needs it");
  }
  const int64_t rows = batch.values.size(0), width = batch.values.size(1);
  check_bounds(batch.value_begin, rows, 0, "value_begin");
  if ((needs & kValueTargets) == 0) return;
  const at::Tensor& targets = batch.value_targets;
  if (!targets.defined() || targets.dim() != 2 || targets.size(0) != rows ||
      (targets.size(1) != width && targets.size(1) != 1)) {
    fail(ErrorKind::kData, "batch: value_targets: expected [{}, {}] or [{}, 1]", rows, width, rows);
  }
}

}  // namespace

void check_batch(const Batch& batch, Needs needs) {
  const int64_t sequences = batch.sequences();
  check_tokens(batch, needs);
  check_values(batch, needs);
  if (needs & kPromptLogps) {
    const int64_t tokens = batch.prompt_begin.empty() ? 0 : batch.prompt_begin.back();
    check_bounds(batch.prompt_begin, tokens, 0, "prompt_begin");
    if (static_cast<int64_t>(batch.prompt_begin.size()) != sequences + 1) {
      fail(ErrorKind::kData, "batch: prompt_begin: expected {} entries, got {}", sequences + 1,
           batch.prompt_begin.size());
    }
    check_vector(batch.prompt_logps, tokens, "prompt_logps");
  }
  if (needs & kPairs) {
    if (batch.chosen.size() != batch.rejected.size()) {
      fail(ErrorKind::kData, "batch: {} chosen and {} rejected sequences, expected as many", batch.chosen.size(),
           batch.rejected.size());
    }
    check_indices(batch.chosen, sequences, "chosen");
    check_indices(batch.rejected, sequences, "rejected");
    if (batch.margin.defined()) check_vector(batch.margin, static_cast<int64_t>(batch.chosen.size()), "margin");
  }
  if (needs & kLabels) {
    check_vector(batch.label, sequences, "label");
    check_indices(batch.mismatched, sequences, "mismatched");
  }
  if (needs & kLists) {
    for (const auto& list : batch.lists) check_indices(list, sequences, "lists");
  }
}

}  // namespace merit::objective
