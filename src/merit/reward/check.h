// Everything that would go wrong with a model folder or file, found before it matters: what `merit model check` shows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "merit/reward/model.h"

namespace merit::reward {

enum class CheckLevel {
  kOk,
  kNote,     // works, and may surprise: a record that was derived, a text that does not come back as it was
  kFailure,  // scoring, sampling or training with it would fail or give wrong numbers
  kSkipped,  // rests on a check that failed
};

struct Check {
  std::string name;  // "weights", "tokenizer", "encoding record", ...
  CheckLevel level = CheckLevel::kOk;
  std::string finding;  // one line
  std::vector<std::pair<std::string, std::string>> details;
};

// In the order a model comes to life: files, config, tokenizer, round trip of text, encoding record, conversation,
// BOS, ends, score head, memory, weights, one pass. Loads the weights in options.dtype and runs a short conversation.
// Never throws for what is wrong with the model: that is a finding.
std::vector<Check> check_model(const std::filesystem::path& path, const ModelOptions& options);

}  // namespace merit::reward
