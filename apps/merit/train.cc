#include "train.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/progress.h"
#include "merit/core/strings.h"
#include "merit/nn/head.h"
#include "merit/train/features.h"

namespace merit::app {
namespace {

void bind_objective(CLI::App& app, TrainCommand& options) {
  app.add_option("--objective", options.objective,
                 "The loss; `list` shows them, `explain` with the loss as DATA says what it does")
      ->capture_default_str();
  std::map<std::string, std::string> users;  // field -> the objectives that have it
  for (const objective::Objective& one : objective::objectives()) {
    for (const objective::Field& field : one.fields) {
      std::string& names = users[field.name];
      names += (names.empty() ? "" : ", ") + one.name;
    }
  }
  for (const auto& [name, names] : users) {
    std::string flag = name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    app.add_option_function<std::string>(
           "--" + flag, [&options, name = name](const std::string& value) { options.settings[name] = value; },
           "Of " + names)
        ->group("Options of objectives (`--objective list`)");
  }
}

void bind_head(CLI::App& app, TrainCommand& options) {
  app.add_option("--l2", options.l2, "Weight of the penalty; -1: chosen by cross-validation")
      ->capture_default_str()
      ->group("--tune head");
  app.add_option("--folds", options.fit.folds, "Folds of the cross-validation; groups stay whole")
      ->check(CLI::Range(2, 100))
      ->capture_default_str()
      ->group("--tune head");
}

void bind_trainer(CLI::App& app, TrainCommand& options) {
  const char* group = "--tune lora and --tune full";
  train::TrainOptions& t = options.train;
  const auto number = [&](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->capture_default_str()->group(group);
  };
  number("--batch-size", t.batch_size, "Groups a step")->check(CLI::PositiveNumber);
  number("--num-train-epochs", t.epochs, "Times through the data")->check(CLI::PositiveNumber);
  number("--max-steps", t.max_steps, "Steps, in place of epochs; -1: epochs count");
  number("--learning-rate", t.schedule.learning_rate, "The highest rate")->check(CLI::NonNegativeNumber);
  number("--lr-scheduler-type", t.schedule.kind, "How the rate falls")
      ->check(CLI::IsMember({"linear", "constant", "cosine", "warmup_stable_decay"}));
  number("--warmup-steps", t.schedule.warmup_steps, "Steps of linear rise")->check(CLI::NonNegativeNumber);
  number("--warmup-ratio", t.warmup_ratio, "The same as a share of all steps")->check(CLI::Range(0.0, 1.0));
  number("--weight-decay", t.adamw.weight_decay, "Of matrices")->check(CLI::NonNegativeNumber);
  number("--adam-beta1", t.adamw.beta1, "Of the first moment")->check(CLI::Range(0.0, 1.0));
  number("--adam-beta2", t.adamw.beta2, "Of the second moment")->check(CLI::Range(0.0, 1.0));
  number("--adam-epsilon", t.adamw.eps, "Added to the denominator")->check(CLI::PositiveNumber);
  number("--max-grad-norm", t.max_grad_norm, "Longer gradients are scaled to this; 0: never")
      ->check(CLI::NonNegativeNumber);
  number("--logging-steps", t.logging_steps, "Steps a line of metrics.jsonl")->check(CLI::PositiveNumber);
  number("--save-steps", t.save_steps, "Steps between checkpoints; 0: at the end")->check(CLI::NonNegativeNumber);
  number("--save-total-limit", t.save_total_limit, "Checkpoints kept")->check(CLI::PositiveNumber);
  number("--eval", options.eval, "Held-out groups, for eval_loss");
  number("--eval-steps", t.eval_steps, "Steps between evaluations; 0: at the end")->check(CLI::NonNegativeNumber);
  number("--early-stopping-patience", t.patience, "Evaluations without a better loss; 0: never stop early")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--load-best-model-at-end", t.load_best, "End with the parameters of the best evaluation")->group(group);
  number("--lora-r", options.lora.rank, "Rank of the adapter")->check(CLI::PositiveNumber);
  number("--lora-alpha", options.lora.alpha, "Its scale times the rank")->check(CLI::PositiveNumber);
  number("--lora-target-modules", options.lora.targets, "q_proj v_proj ..; none: every matrix of the layers");
  app.add_flag("--use-rslora", options.lora.rank_stabilised, "Scale by alpha / sqrt(rank)")->group(group);
  app.add_flag("--use-dora", options.lora.dora, "Learn the norm of each row too")->group(group);
  app.add_flag("--stored-base", options.stored, "LoRA on the base as its file has it: less memory, a little slower")
      ->group(group);
  number("--attributes", options.attributes, "Columns with a response's numbers, for attribute_regression");
  app.add_option("--step-separator", options.step_separator, "Behind each step, for step_labels; a line break")
      ->group(group);
  number("--reference", options.reference, "The reference model; none: this one before training");
}

void bind(CLI::App& app, TrainCommand& options) {
  options.data.bind(app);
  options.model.bind(app, true);
  options.output.bind_folder(app, "the head, the adapter or the model");
  // `--objective list` and `explain` need none of the three.
  for (const char* name : {"--data", "--model", "--out"}) app.get_option(name)->required(false);
  bind_objective(app, options);
  app.add_option("--tune", options.tune, "What learns: a head on the frozen model, an adapter, or the whole model")
      ->check(CLI::IsMember({"head", "lora", "full"}));
  app.add_option("--seed", options.train.seed, "Of the order, of new parameters and of folds")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--token-budget", options.read.token_budget,
                 "Tokens computed in one pass; changes speed, memory and, but for --tune head, last bits")
      ->check(CLI::Range(int64_t{16}, int64_t{1} << 24))
      ->capture_default_str();
  app.add_flag("--dry-run", options.dry_run, "Say what --tune lora or full would cost, and train nothing");
  bind_head(app, options);
  bind_trainer(app, options);
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

std::string defaults_text(const objective::Objective& objective) {
  std::string text;
  for (const objective::Field& field : objective.fields) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", field.name, field.default_text);
  }
  return text;
}

int list_objectives(const OutputOptions& output) {
  report::Table table({{"objective"}, {"needs"}, {"coupling"}, {"paper"}});
  OrderedJson json = OrderedJson::array();
  for (const objective::Objective& one : objective::objectives()) {
    const auto loss = one.make(Json::object());
    const auto needs = objective::need_names(loss->needs());
    const std::string coupling(objective::coupling_name(loss->coupling()));
    table.add_row({one.name, fmt::format("{}", fmt::join(needs, " ")), coupling, one.paper});
    json.push_back({{"name", one.name},
                    {"needs", needs},
                    {"coupling", coupling},
                    {"defaults", defaults_text(one)},
                    {"paper", one.paper}});
  }
  print_result(output, {{"schema", "merit.objectives/1"}, {"objectives", json}}, {table},
               "merit train --objective explain NAME shows the formula, the options and what they do.");
  return kDone;
}

int explain_objective(const OutputOptions& output, const std::string& name, const Json& settings) {
  const objective::Objective& one = objective::find_objective(name);
  const objective::Explanation about = objective::explain(one, settings);
  const char* moved = about.variable == objective::Explanation::Variable::kLogLikelihood ? "log-likelihood, nats"
                      : about.variable == objective::Explanation::Variable::kReward      ? "reward"
                                                                                         : "divergence, nats";
  using report::Align;
  report::Table fields({{"option"}, {"default"}, {"range"}, {"what"}});
  for (const objective::Field& field : one.fields) {
    fields.add_row({field.name, field.default_text, field.range, field.help});
  }
  report::Table table({{"chosen moved", Align::kRight},
                       {"rejected moved", Align::kRight},
                       {"loss", Align::kRight},
                       {"d loss / d chosen", Align::kRight},
                       {"d loss / d rejected", Align::kRight}});
  OrderedJson points = OrderedJson::array();
  for (const objective::ExplainPoint& point : about.points) {
    const auto number = [](double value) { return report::format_number(value); };
    table.add_row({number(point.chosen), number(point.rejected), number(point.loss), number(point.to_chosen),
                   point.to_rejected ? number(*point.to_rejected) : "none"});
    points.push_back({{"chosen", point.chosen},
                      {"rejected", point.rejected},
                      {"loss", point.loss},
                      {"to_chosen", point.to_chosen},
                      {"to_rejected", point.to_rejected ? OrderedJson(*point.to_rejected) : OrderedJson()}});
  }
  if (!output.json) fmt::print("{}\n{}\n\n", one.formula, one.paper);
  std::vector<report::Table> tables;
  if (!one.fields.empty()) tables.push_back(fields);
  if (!about.points.empty()) tables.push_back(table);
  print_result(output,
               {{"schema", "merit.objective/1"},
                {"name", name},
                {"formula", one.formula},
                {"paper", one.paper},
                {"moved", moved},
                {"points", points}},
               tables, fmt::format("Moved: {}. A derivative below 0 means that training raises it.", moved));
  return kDone;
}

int run(const TrainCommand& options, const CLI::App& command) {
  if (options.objective == "list") return list_objectives(options.output);
  if (options.objective == "explain") {
    if (options.data.data.empty()) {
      fail(ErrorKind::kUsage, "name the objective: merit train --objective explain dpo");
    }
    return explain_objective(options.output, options.data.data, options.objective_settings());
  }
  for (const auto& [flag, value] : std::map<std::string, std::string>{
           {"DATA", options.data.data}, {"--model", options.model.model}, {"--out", options.output.out}}) {
    if (value.empty() && !(options.dry_run && flag == "--out")) fail(ErrorKind::kUsage, "{} is required", flag);
  }
  objective::find_objective(options.objective).make(options.objective_settings());  // refuses what does not fit
  const bool reward = options.objective == "bradley_terry";
  const std::string tune = !options.tune.empty() ? options.tune : reward ? "head" : "lora";
  if (tune == "head" && !reward) {
    fail(ErrorKind::kUsage, "--tune head fits bradley_terry alone; {} needs --tune lora or full", options.objective);
  }
  if (tune == "head" && options.dry_run) {
    fail(ErrorKind::kUsage,
         "--dry-run is of --tune lora and full; `merit score --dry-run` has the cost of a head's pass");
  }
  return tune == "head" ? fit_head(options, command) : train_policy(options, command);
}

}  // namespace

Json TrainCommand::objective_settings() const {
  Json json = Json::object();
  for (const auto& [name, value] : settings) json[name] = value;
  return json;
}

int fit_head(const TrainCommand& options, const CLI::App& command) {
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
  fit.seed = options.train.seed;
  const auto setting = [&](const char* name, double usual) {
    const auto found = options.settings.find(name);
    return found == options.settings.end() ? usual : std::stod(found->second);
  };
  fit.objective.label_smoothing = setting("label_smoothing", fit.objective.label_smoothing);
  fit.objective.center_rewards_coefficient =
      setting("center_rewards_coefficient", fit.objective.center_rewards_coefficient);
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

void add_train(CLI::App& app, Action& action) {
  add_command<TrainCommand>(app, action, "train", "Train a head, an adapter or a model on labelled responses", bind,
                            run);
}

}  // namespace merit::app
