#include "merit/train/examples.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "merit/core/error.h"

namespace merit::train {
namespace {

using objective::Needs;

at::Tensor tensor_of(const std::vector<double>& values) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<double>());
  return out;
}

class Maker {
 public:
  Maker(const reward::Model& model, Needs needs, Examples& out) : model_(model), needs_(needs), out_(out) {}

  void add(const data::Group& group) {
    Example example;
    example.id = group.id;
    std::vector<double> labels;
    for (const data::Candidate& candidate : group.candidates) {
      if (!wants(candidate)) continue;
      auto encoded = model_.encode(group, candidate);
      if (!encoded.ok()) {
        ++out_.left_out[encoded.error().what()];
        continue;
      }
      Sequence sequence = sequence_of(encoded.value());
      if (sequence.learned.empty()) {
        ++out_.left_out["no token of its own to learn from"];
        continue;
      }
      out_.truncated += encoded.value().truncated;
      labels.push_back(candidate.label.value_or(std::numeric_limits<double>::quiet_NaN()));
      sequence.label = labels.back() > 0.5 ? 1 : 0;
      example.sequences.push_back(std::move(sequence));
    }
    relate(labels, example);
    const auto margin = group.columns.find("margin");
    if (margin != group.columns.end() && margin->is_number()) example.margin = margin->get<double>();
    const bool missing = ((needs_ & objective::kPairs) && example.pairs.empty()) ||
                         ((needs_ & objective::kLists) && example.lists.empty()) || example.sequences.empty();
    if (!missing) {
      out_.items.push_back(std::move(example));
    } else {
      ++out_.left_out[needs_ & (objective::kPairs | objective::kLists) ? "no two usable candidates whose labels differ"
                                                                       : "no usable candidate"];
    }
  }

 private:
  bool compares() const { return needs_ & (objective::kPairs | objective::kLists | objective::kLabels); }

  bool wants(const data::Candidate& candidate) const {
    if (compares()) return candidate.label.has_value();
    return !candidate.label || *candidate.label > 0.5;
  }

  Sequence sequence_of(const text::Encoded& encoded) const {
    Sequence sequence;
    sequence.ids.assign(encoded.ids.begin(), encoded.ids.end());
    sequence.boundary = encoded.boundary;
    for (size_t t = std::max(encoded.boundary, 1); t < encoded.ids.size(); ++t) {
      if (encoded.mask[t]) sequence.learned.push_back(static_cast<int32_t>(t));
    }
    if (needs_ & objective::kValues) {
      sequence.read_at = {static_cast<int32_t>(encoded.ids.size()) - 1};
      sequence.targets = {std::numeric_limits<double>::quiet_NaN()};
    }
    return sequence;
  }

  void relate(const std::vector<double>& labels, Example& example) const {
    const auto count = static_cast<int32_t>(labels.size());
    if (needs_ & objective::kPairs) {
      for (int32_t c = 0; c < count; ++c) {
        for (int32_t r = 0; r < count; ++r) {
          if (labels[static_cast<size_t>(c)] > labels[static_cast<size_t>(r)]) example.pairs.emplace_back(c, r);
        }
      }
    }
    if (needs_ & objective::kLists && count > 1) {
      std::vector<int64_t> order;
      for (int32_t i = 0; i < count; ++i) order.push_back(i);
      const auto better = [&](int64_t a, int64_t b) {
        return labels[static_cast<size_t>(a)] > labels[static_cast<size_t>(b)];
      };
      std::stable_sort(order.begin(), order.end(), better);
      bool strict = true;  // a list with equal ranks says nothing of their order
      for (int32_t i = 1; i < count; ++i) {
        strict = strict && better(order[static_cast<size_t>(i) - 1], order[static_cast<size_t>(i)]);
      }
      if (strict) example.lists.push_back(std::move(order));
    }
  }

  const reward::Model& model_;
  Needs needs_;
  Examples& out_;
};

// The prompt of one sequence with the completion of another, cut to `most` tokens.
Sequence mismatch(const Sequence& prompt, const Sequence& completion, int64_t most) {
  Sequence out;
  out.mismatched = true;
  out.boundary = prompt.boundary;
  out.ids.assign(prompt.ids.begin(), prompt.ids.begin() + prompt.boundary);
  out.ids.insert(out.ids.end(), completion.ids.begin() + completion.boundary, completion.ids.end());
  if (static_cast<int64_t>(out.ids.size()) > most) out.ids.resize(static_cast<size_t>(most));
  for (const int32_t t : completion.learned) {
    const int32_t at = t - completion.boundary + prompt.boundary;
    if (at > 0 && at < static_cast<int32_t>(out.ids.size())) out.learned.push_back(at);
  }
  return out;
}

void add_mismatches(std::span<Example> block, int64_t most) {
  std::vector<std::pair<Example*, size_t>> rows;
  for (Example& example : block) {
    for (size_t s = 0; s < example.sequences.size(); ++s) rows.emplace_back(&example, s);
  }
  if (rows.size() < 2) return;
  std::vector<Sequence> made;
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto& [before, at] = rows[(r + rows.size() - 1) % rows.size()];
    made.push_back(mismatch(rows[r].first->sequences[rows[r].second], before->sequences[at], most));
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    if (!made[r].learned.empty()) rows[r].first->sequences.push_back(std::move(made[r]));
  }
}

}  // namespace

int64_t Example::tokens() const {
  int64_t total = sequences.empty() ? 0 : sequences.front().boundary;
  for (const Sequence& sequence : sequences) total += static_cast<int64_t>(sequence.ids.size()) - sequence.boundary;
  return total;
}

Examples make_examples(const reward::Model& model, std::span<const data::Group> groups, Needs needs, int64_t block) {
  Examples out;
  Maker maker(model, needs, out);
  for (const data::Group& group : groups) maker.add(group);
  if (needs & objective::kMismatched) {
    const std::span<Example> all(out.items);
    for (size_t begin = 0; begin < all.size(); begin += static_cast<size_t>(block)) {
      add_mismatches(all.subspan(begin, std::min(static_cast<size_t>(block), all.size() - begin)), model.max_length());
    }
  }
  return out;
}

objective::Batch structure_of(std::span<const Example* const> examples, Needs needs) {
  objective::Batch batch;
  batch.token_begin = {0};
  batch.prompt_begin = {0};
  batch.value_begin = {0};
  std::vector<double> labels, margins, targets;
  int64_t first = 0;  // sequence of the example
  for (const Example* example : examples) {
    for (const Sequence& sequence : example->sequences) {
      batch.token_begin.push_back(batch.token_begin.back() + static_cast<int64_t>(sequence.learned.size()));
      batch.prompt_begin.push_back(batch.prompt_begin.back() + std::max(0, sequence.boundary - 1));
      batch.value_begin.push_back(batch.value_begin.back() + static_cast<int64_t>(sequence.read_at.size()));
      if (sequence.mismatched) batch.mismatched.push_back(static_cast<int64_t>(batch.token_begin.size()) - 2);
      labels.push_back(sequence.label);
      targets.insert(targets.end(), sequence.targets.begin(), sequence.targets.end());
    }
    for (const auto& [chosen, rejected] : example->pairs) {
      batch.chosen.push_back(first + chosen);
      batch.rejected.push_back(first + rejected);
      margins.push_back(example->margin);
    }
    for (std::vector<int64_t> list : example->lists) {
      for (int64_t& sequence : list) sequence += first;
      batch.lists.push_back(std::move(list));
    }
    first += static_cast<int64_t>(example->sequences.size());
  }
  if (needs & objective::kPairs) batch.margin = tensor_of(margins);
  if (needs & objective::kLabels) batch.label = tensor_of(labels);
  if (needs & objective::kValueTargets) batch.value_targets = tensor_of(targets).unsqueeze(1);
  return batch;
}

}  // namespace merit::train
