// What a step of training is made of: groups as token sequences, with what their labels say in an objective's terms.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "merit/data/group.h"
#include "merit/objective/objective.h"
#include "merit/reward/model.h"

namespace merit::train {

struct Sequence {
  std::vector<int32_t> ids;
  int32_t boundary = 0;          // index of the first completion token
  std::vector<int32_t> learned;  // positions of the completion tokens whose log-probs count, ascending
  std::vector<int32_t> read_at;  // positions whose hidden state the score head reads
  std::vector<double> targets;   // of each read position in turn, one an output of the head; NaN where there is none
  double label = 0;              // 1 desirable, 0 not
  bool mismatched = false;       // a prompt with another's completion (KTO's baseline)
};

// One group: the sequences its labels say something about. Never split over micro-batches.
struct Example {
  std::string id;
  std::vector<Sequence> sequences;
  std::vector<std::pair<int32_t, int32_t>> pairs;  // (chosen, rejected), every pair whose labels differ
  double margin = 0;                               // of the pairs: column `margin`
  std::vector<std::vector<int64_t>> lists;         // all labelled sequences, best first

  int64_t tokens() const;  // sequences' lengths, the prompt counted once
};

struct Examples {
  std::vector<Example> items;
  std::map<std::string, uint64_t> left_out;  // reason -> groups or candidates
  uint64_t truncated = 0;                    // sequences cut to the model's length
};

struct ExampleOptions {
  objective::Needs needs = 0;
  int64_t block = 1;                    // examples within which mismatched sequences are made
  std::vector<std::string> attributes;  // columns with a response's numbers, for objectives with value targets
  std::string step_separator = "\n";    // behind each step of a stepwise row; its last token is read
};

// A group without what the objective needs (two labels that differ, a label, a completion) is left out and counted.
// Objectives that learn from plain completions take the chosen ones: label above one half, or no label at all.
// Mismatched sequences, where they are needed, pair each prompt with the completion of the sequence before it within
// `block` examples, the first with the last (PEERS.md 1.4). Stepwise rows are laid out as TRL's PRMTrainer does:
// prompt, then each step and the separator, tokenised apart.
Examples make_examples(const reward::Model& model, std::span<const data::Group> groups, const ExampleOptions& options);

// The parts of a batch that no forward pass gives.
objective::Batch structure_of(std::span<const Example* const> examples, objective::Needs needs);

}  // namespace merit::train
