#include "model_options.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "merit/core/file.h"

namespace merit::app {
namespace {

// FLOP a second of a product like the model's, best of a few tries: a tenth of a second of work.
double measured_flops(const reward::Model& model) {
  const int64_t rows = 512, in = model.config().hidden_size, out = 2 * model.config().ffn_size;
  const at::Tensor x = at::ones({rows, in}, model.dtype());
  const at::Tensor weight = at::ones({out, in}, model.dtype());
  double best = 0;
  for (int i = 0; i < 4; ++i) {
    const auto start = std::chrono::steady_clock::now();
    at::linear(x, weight);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, 2.0 * static_cast<double>(rows * in * out) / seconds);
  }
  return best;
}

}  // namespace

void ModelOptions::bind(CLI::App& app, bool required) {
  auto* option = app.add_option("--model", model, "A Hugging Face folder or a GGUF file");
  if (required) option->required();
  app.add_option("--dtype", dtype,
                 "float32, bfloat16 or float64; auto: bfloat16 where the processor multiplies it, else float32")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float64"}))
      ->capture_default_str();
  app.add_option("--max-length", max_length, "Tokens a sequence at most; 0: what the model takes")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

reward::ModelOptions ModelOptions::resolve() const {
  return {.dtype = reward::parse_dtype(dtype), .max_length = max_length};
}

CostEstimate estimate_cost(const reward::Model& model, int64_t tokens_asked, int64_t tokens_computed) {
  const nn::ModelConfig& config = model.config();
  CostEstimate cost{.tokens_asked = tokens_asked, .tokens_computed = tokens_computed};
  const auto embedding = static_cast<double>(config.vocab_size * config.hidden_size);
  const auto body = static_cast<double>(config.non_embedding_parameters());
  cost.weight_bytes =
      (body + embedding * (config.tie_embeddings ? 1 : 2)) * static_cast<double>(c10::elementSize(model.dtype()));
  cost.seconds = 2.0 * body * static_cast<double>(tokens_computed) / measured_flops(model);
  return cost;
}

OrderedJson to_json(const CostEstimate& cost) {
  return {{"tokens_asked", cost.tokens_asked},
          {"tokens_computed", cost.tokens_computed},
          {"weight_bytes", cost.weight_bytes},
          {"seconds_at_least", cost.seconds}};
}

report::Table to_table(const CostEstimate& cost) {
  report::Table table({{"estimate"}, {"value", report::Align::kRight}});
  table.add_row({"tokens asked", report::format_count(static_cast<uint64_t>(cost.tokens_asked))});
  table.add_row({"unique tokens to compute", report::format_count(static_cast<uint64_t>(cost.tokens_computed))});
  table.add_row({"weights in memory", fmt::format("{:.0f} MB", cost.weight_bytes / 1e6)});
  table.add_row({"time at this machine's matrix-product rate", fmt::format("at least {:.1f} s", cost.seconds)});
  return table;
}

uint64_t expected_rows(const DataOptions& options) {
  std::error_code ignored;
  const std::filesystem::path path = options.data;
  if (path.extension() != ".jsonl" || !std::filesystem::is_regular_file(path, ignored)) return options.limit;
  const MappedFile file(path);
  auto rows = static_cast<uint64_t>(std::ranges::count(file.text(), '\n'));
  if (!file.text().empty() && file.text().back() != '\n') ++rows;
  return options.limit > 0 ? std::min(rows, options.limit) : rows;
}

}  // namespace merit::app
