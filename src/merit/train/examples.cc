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
  Maker(const reward::Model& model, const ExampleOptions& options, Examples& out)
      : model_(model), options_(options), needs_(options.needs), out_(out) {}

  void add(const data::Group& group) {
    Example example;
    example.id = group.id;
    std::vector<double> labels;
    for (const data::Candidate& candidate : group.candidates) {
      if (!wants(candidate)) continue;
      auto encoded = targets_are_steps() ? encode_steps(group, candidate) : model_.encode(group, candidate);
      if (!encoded.ok()) {
        ++out_.left_out[encoded.error().what()];
        continue;
      }
      Sequence sequence = sequence_of(encoded.value());
      if (needs_ & objective::kValueTargets && !targets_are_steps()) add_attributes(group, candidate, sequence);
      if (sequence.learned.empty()) {
        ++out_.left_out["no token of its own to learn from"];
        continue;
      }
      const bool labelled = std::any_of(sequence.targets.begin(), sequence.targets.end(),
                                        [](double target) { return !std::isnan(target); });
      if (needs_ & objective::kValueTargets && !labelled) {
        ++out_.left_out[targets_are_steps() ? "no labelled step" : "no number in the columns of --attributes"];
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
    if (targets_are_steps()) {
      sequence.read_at = step_ends_;
      sequence.targets = step_targets_;
    } else if (needs_ & objective::kValues) {
      sequence.read_at = {static_cast<int32_t>(encoded.ids.size()) - 1};
    }
    return sequence;
  }

  // Value targets are labels of steps unless columns of attributes are named.
  bool targets_are_steps() const { return needs_ & objective::kValueTargets && options_.attributes.empty(); }

  void add_attributes(const data::Group& group, const data::Candidate& candidate, Sequence& sequence) const {
    for (const std::string& name : options_.attributes) {
      const auto own = candidate.columns.find(name), shared = group.columns.find(name);
      const OrderedJson* value = own != candidate.columns.end()  ? &*own
                                 : shared != group.columns.end() ? &*shared
                                                                 : nullptr;
      if (value != nullptr && !value->is_number() && !value->is_null()) {
        fail(ErrorKind::kData, "{}: {}: expected a number, got {}", group.where, name, quote(value->dump()));
      }
      sequence.targets.push_back(value != nullptr && value->is_number() ? value->get<double>()
                                                                        : std::numeric_limits<double>::quiet_NaN());
    }
  }

  // Sets where each step ends and its label.
  Result<text::Encoded> encode_steps(const data::Group& group, const data::Candidate& candidate) {
    const auto steps = candidate.columns.find("steps"), labels = candidate.columns.find("labels");
    if (steps == candidate.columns.end() || labels == candidate.columns.end()) {
      return Error(ErrorKind::kData, "not a stepwise row (prompt, completions, labels)");
    }
    auto encoded = model_.encode_prompt(group);
    if (!encoded.ok()) return encoded;
    text::Encoded out = encoded.value();
    step_ends_.clear();
    step_targets_.clear();
    const text::Tokenizer& tokenizer = model_.encoder().tokenizer();
    const auto append = [&](const std::string& text) {
      text::EncodeOptions plain;
      plain.add_special_tokens = false;
      const text::ByteRange whole{0, text.size()};
      plain.plain = {&whole, 1};
      for (const text::TokenId id : tokenizer.encode(text, plain)) out.ids.push_back(id);
    };
    for (size_t i = 0; i < steps->size(); ++i) {
      append((*steps)[i].get<std::string>());
      append(options_.step_separator);
      if (static_cast<int64_t>(out.ids.size()) > model_.max_length()) {
        out.truncated = true;
        out.ids.resize(static_cast<size_t>(model_.max_length()));
        break;
      }
      step_ends_.push_back(static_cast<int32_t>(out.ids.size()) - 1);
      const OrderedJson& label = (*labels)[i];
      step_targets_.push_back(label.is_boolean() ? (label.get<bool>() ? 1 : 0) : label.get<double>());
    }
    if (step_ends_.empty()) return Error(ErrorKind::kLimit, "no step fits in the model's length");
    out.mask.resize(out.ids.size(), true);
    return out;
  }

  void relate(const std::vector<double>& labels, Example& example) {
    const auto count = static_cast<int32_t>(labels.size());
    if (needs_ & objective::kPairs) {
      for (int32_t c = 0; c < count; ++c) {
        for (int32_t r = 0; r < count; ++r) {
          if (!(labels[static_cast<size_t>(c)] > labels[static_cast<size_t>(r)])) continue;
          if (example.sequences[static_cast<size_t>(c)].ids == example.sequences[static_cast<size_t>(r)].ids) {
            ++out_.left_out["a pair whose answers are the same tokens, or are cut to the same"];
          } else {
            example.pairs.emplace_back(c, r);
          }
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
  const ExampleOptions& options_;
  Needs needs_;
  Examples& out_;
  std::vector<int32_t> step_ends_;
  std::vector<double> step_targets_;
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

Examples make_examples(const reward::Model& model, std::span<const data::Group> groups, const ExampleOptions& options) {
  Examples out;
  Maker maker(model, options, out);
  for (const data::Group& group : groups) maker.add(group);
  if (options.needs & objective::kMismatched) {
    const auto block = static_cast<size_t>(options.block);
    const std::span<Example> all(out.items);
    for (size_t begin = 0; begin < all.size(); begin += block) {
      add_mismatches(all.subspan(begin, std::min(block, all.size() - begin)), model.max_length());
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
  if (needs & objective::kValueTargets) {
    const int64_t rows = batch.value_begin.back();
    batch.value_targets = tensor_of(targets).view({rows, rows > 0 ? static_cast<int64_t>(targets.size()) / rows : 1});
  }
  return batch;
}

}  // namespace merit::train
