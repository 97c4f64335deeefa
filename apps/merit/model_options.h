// The options of every command that runs a language model.
#pragma once

#include <string>

#include "command.h"
#include "merit/reward/model.h"

namespace merit::app {

struct ModelOptions {
  std::string model;
  std::string dtype = "auto";
  int64_t max_length = 0;

  void bind(CLI::App& app, bool required);
  reward::ModelOptions resolve() const;
};

// What a run would cost, for --dry-run: unique tokens, memory, and time from this machine's measured matrix products.
struct CostEstimate {
  int64_t tokens_asked = 0;
  int64_t tokens_computed = 0;
  double weight_bytes = 0;
  double seconds = 0;
};
CostEstimate estimate_cost(const reward::Model& model, int64_t tokens_asked, int64_t tokens_computed);
OrderedJson to_json(const CostEstimate& cost);
report::Table to_table(const CostEstimate& cost);

// Rows in a file, for the time left: its lines if it is a regular JSONL file, at most `limit` (0: all); 0 if unknown.
uint64_t expected_rows(const DataOptions& options);

}  // namespace merit::app
