// merit train: fits a score head on a frozen model to labelled responses.
#include <fmt/format.h>

#include <filesystem>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/progress.h"
#include "merit/core/strings.h"
#include "merit/nn/head.h"
#include "merit/train/features.h"
#include "merit/train/fit_head.h"
#include "model_options.h"

namespace merit::app {
namespace {

struct Options {
  DataOptions data;
  ModelOptions model;
  std::string objective = "bradley_terry";
  train::FitOptions fit;
  double l2 = -1;
  nn::ReadOptions read;
  OutputOptions output;
};

void bind(CLI::App& app, Options& options) {
  options.data.bind(app);
  options.model.bind(app, true);
  app.add_option("--objective", options.objective, "The loss")
      ->check(CLI::IsMember({"bradley_terry"}))
      ->capture_default_str();
  app.add_option("--label-smoothing", options.fit.objective.label_smoothing, "Chance that a label is wrong")
      ->check(CLI::Range(0.0, 0.499))
      ->capture_default_str();
  app.add_option("--center-rewards-coefficient", options.fit.objective.center_rewards_coefficient,
                 "Weight of the squared sum of a pair's rewards")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--l2", options.l2, "Weight of the penalty; -1: chosen by cross-validation")->capture_default_str();
  app.add_option("--folds", options.fit.folds, "Folds of the cross-validation; groups stay whole")
      ->check(CLI::Range(2, 100))
      ->capture_default_str();
  app.add_option("--seed", options.fit.seed, "Of the deal into folds")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--token-budget", options.read.token_budget,
                 "Tokens computed in one pass; changes speed and memory only")
      ->check(CLI::Range(int64_t{16}, int64_t{1} << 24))
      ->capture_default_str();
  options.output.bind_folder(app, "the head");
}

// A head folder is written at the end, whole; one that is there is replaced only on request.
void check_output(const OutputOptions& output) {
  namespace fs = std::filesystem;
  if (fs::exists(fs::path(output.out) / "merit_head.json") && !output.overwrite) {
    fail(ErrorKind::kUsage, "{} holds a head already: give --overwrite or another folder", output.out);
  }
}

OrderedJson to_json(const train::FittedHead& fitted, size_t pairs, const train::Features& features,
                    const nn::ReadStats& stats) {
  OrderedJson out = {{"pairs", pairs},
                     {"texts", features.states.size(0)},
                     {"truncated", features.truncated},
                     {"left_out", OrderedJson::object()},
                     {"tokens", {{"asked", stats.tokens_asked}, {"computed", stats.tokens_computed}}},
                     {"l2", fitted.l2},
                     {"loss", fitted.loss},
                     {"train_accuracy", fitted.accuracy}};
  for (const auto& [reason, count] : features.left_out) out["left_out"][reason] = count;
  if (fitted.cv_accuracy) {
    out["cv_accuracy"] = {{"value", fitted.cv_accuracy->value},
                          {"low", fitted.cv_accuracy->interval.low},
                          {"high", fitted.cv_accuracy->interval.high},
                          {"groups", fitted.cv_accuracy->n}};
  }
  return out;
}

int run(const Options& options, const CLI::App& command) {
  check_output(options.output);
  const reward::Model model(options.model.model, options.model.resolve());
  GroupStream stream(options.data);
  const std::vector<data::Group> groups = stream.take(SIZE_MAX);

  nn::ReadStats stats;
  Progress progress("read features", groups.size(), "groups");
  const std::filesystem::path cache = std::filesystem::path(options.output.out) / "features";
  const train::Features features = train::read_features(model, groups, {.read = options.read, .cache = cache}, &stats,
                                                        [&](size_t done) { progress.add(done); });
  progress.finish();
  const auto pairs = train::pairs_of(groups, features.index_of);
  if (pairs.empty()) {
    std::string reasons;
    for (const auto& [reason, count] : features.left_out) reasons += fmt::format("; {} left out: {}", count, reason);
    fail(ErrorKind::kData,
         "nothing to train on: no group has two usable candidates with different labels ({} groups, {} texts{})",
         groups.size(), features.states.size(0), reasons);
  }
  train::FitOptions fit = options.fit;
  if (options.l2 >= 0) fit.l2 = options.l2;
  const train::FittedHead fitted = train::fit_head(features.states, pairs, fit);
  nn::HeadRecord record{.base_identity = model.identity(), .encoding_hash = model.encoding_hash()};
  nn::save_head(options.output.out, nn::ScalarHead(fitted.weight.to(at::kFloat), {}, record));

  std::filesystem::remove_all(cache);

  OrderedJson summary = start_summary(command, &stream);
  summary["model"] = {{"path", model.path()}, {"identity", model.identity()}};
  summary["result"] = to_json(fitted, pairs.size(), features, stats);
  write_file_atomic(std::filesystem::path(options.output.out) / "train.json", dump_json(summary) + "\n");

  report::Table table({{"trained"}, {"value", report::Align::kRight}});
  table.add_row({"groups read", report::format_count(groups.size())});
  table.add_row({"texts", report::format_count(static_cast<uint64_t>(features.states.size(0)))});
  table.add_row({"pairs", report::format_count(pairs.size())});
  for (const auto& [reason, count] : features.left_out) {
    table.add_row({"left out: " + reason, report::format_count(count)});
  }
  if (features.truncated > 0) table.add_row({"truncated texts", report::format_count(features.truncated)});
  table.add_rule();
  table.add_row({"accuracy on unseen groups (cross-validated)", report::format_estimate(fitted.cv_accuracy)});
  table.add_row({"accuracy on the pairs fitted", report::format_number(fitted.accuracy)});
  table.add_row({"loss on the pairs fitted", report::format_number(fitted.loss)});
  table.add_row({"l2 penalty", format_double(fitted.l2)});
  print_result(options.output, summary, {table}, fmt::format("head in {}", options.output.out));
  return kDone;
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "train", "Fit a score head to labelled responses", bind, run);
}

}  // namespace merit::app
