// merit train --tune lora and --tune full.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/hash.h"
#include "merit/core/interrupt.h"
#include "merit/core/progress.h"
#include "train.h"

namespace merit::app {
namespace {

namespace fs = std::filesystem;

// What trained parameters depend on. How often checkpoints are written is no part of it.
OrderedJson identity_of(const TrainCommand& options, const CLI::App& command, const reward::Model& model) {
  std::vector<std::string> inputs = {options.data.data};
  if (!options.eval.empty()) inputs.push_back(options.eval);
  OrderedJson identity = run_identity(command, inputs);
  for (const char* name : {"save-steps", "save-total-limit"}) identity["options"].erase(name);
  identity["options"]["token-budget"] = options.read.token_budget;  // decides how gradients are added up
  identity["options"]["limit"] = options.data.limit;
  identity["model"] = model.identity();
  identity["encoding"] = model.encoding_hash();
  return identity;
}

// Checkpoints in the folder go on, or are refused if they are another run's. A result without them is left alone.
void open_output(const OutputOptions& output) {
  const fs::path out(output.out);
  std::error_code error;
  if (output.overwrite) {
    for (const char* name : {"checkpoints", "metrics.jsonl", "train.json"}) fs::remove_all(out / name, error);
  } else if (fs::exists(out / "train.json", error) && !fs::exists(out / "checkpoints", error)) {
    fail(ErrorKind::kUsage, "{} holds a result already: give --overwrite or another folder", output.out);
  }
  fs::create_directories(out, error);
  if (error) fail(ErrorKind::kIo, "cannot make the folder {}: {}", output.out, error.message());
}

train::Examples examples_of(const reward::Model& model, GroupStream& stream, const train::ExampleOptions& options) {
  const std::vector<data::Group> groups = stream.take(SIZE_MAX);
  train::Examples examples = train::make_examples(model, groups, options);
  if (!examples.items.empty()) return examples;
  std::string reasons;
  for (const auto& [reason, count] : examples.left_out) reasons += fmt::format("; {}: {}", reason, count);
  fail(ErrorKind::kData, "nothing to train on in {} groups{}", groups.size(), reasons);
}

// Needs that no row of merit's files or no pass of the trainer gives yet.
void refuse(const std::string& name, const objective::Loss& loss) {
  if (loss.needs() & objective::kDivergence) {
    fail(ErrorKind::kUnsupported, "{} needs the divergence to another model at every token, which is not built yet",
         name);
  }
}

// What a run learns from and is judged on: one array, as the reference is of both.
struct Sets {
  std::vector<train::Example> all;
  size_t learned = 0;  // the first ones
  std::map<std::string, uint64_t> left_out;
  uint64_t truncated = 0;

  std::span<const train::Example> to_learn() const { return {all.data(), learned}; }
  std::span<const train::Example> held_out() const { return {all.data() + learned, all.size() - learned}; }
  int64_t tokens() const {
    int64_t total = 0;
    for (const train::Example& example : to_learn()) total += example.tokens();
    return total;
  }
};

Sets sets_of(const TrainCommand& options, const reward::Model& model, GroupStream& stream, objective::Needs needs) {
  const train::ExampleOptions wanted = {.needs = needs,
                                        .block = options.train.batch_size,
                                        .attributes = options.attributes,
                                        .step_separator = options.step_separator};
  train::Examples examples = examples_of(model, stream, wanted);
  Sets sets{std::move(examples.items), 0, std::move(examples.left_out), examples.truncated};
  sets.learned = sets.all.size();
  if (options.eval.empty()) return sets;
  DataOptions data = options.data;
  data.data = options.eval;
  data.limit = 0;
  GroupStream other(data);
  for (train::Example& example : examples_of(model, other, wanted).items) sets.all.push_back(std::move(example));
  return sets;
}

bool is_full(const TrainCommand& options) { return options.tune == "full"; }

train::PolicyOptions policy_options(const TrainCommand& options, const reward::Model& model, objective::Needs needs) {
  train::PolicyOptions how;
  how.tune = is_full(options) ? train::Tune::kFull : train::Tune::kLora;
  how.lora = options.lora;
  how.lora.seed = options.train.seed;
  how.dtype = model.dtype();
  how.stored = options.stored;
  const auto outputs = static_cast<int64_t>(std::max<size_t>(1, options.attributes.size()));
  how.outputs = needs & objective::kValues ? outputs : 0;
  how.seed = options.train.seed;
  return how;
}

train::Reference reference_of(const TrainCommand& options, const reward::Model& model, const Sets& sets) {
  Progress progress("reference log-probs", sets.all.size(), "groups");
  std::optional<reward::Model> other;
  if (!options.reference.empty()) other.emplace(options.reference, options.model.resolve());
  return {other ? *other : model,
          !other,
          sets.all,
          fs::path(options.output.out) / "reference",
          options.read,
          [&](size_t done) { progress.add(done); }};
}

int dry_run(const TrainCommand& options, const CLI::App& command, const reward::Model& model, const Sets& sets,
            const objective::Loss& loss, const GroupStream& stream) {
  const int64_t steps = train::planned_steps(options.train, sets.learned);
  const auto rounds = static_cast<double>(steps * options.train.batch_size) / static_cast<double>(sets.learned);
  const auto learned = static_cast<int64_t>(rounds * static_cast<double>(sets.tokens()));
  const int64_t again = loss.coupling() == objective::Coupling::kBatch ? 1 : 0;
  const int64_t passes = (is_full(options) ? 3 : 2) + again;
  const int64_t reference = loss.needs() & objective::kRefLogps ? sets.tokens() : 0;
  const CostEstimate cost = estimate_cost(model, learned, passes * learned + reference);
  OrderedJson summary = start_summary(command, &stream);
  summary["estimate"] = to_json(cost);
  summary["estimate"]["steps"] = steps;
  print_result(options.output, summary, {to_table(cost)},
               fmt::format("{} steps over {} groups. A backward pass counts as {}.", steps, sets.learned,
                           is_full(options) ? "two passes" : "one pass"));
  return kDone;
}

OrderedJson result_of(const TrainCommand& options, const Sets& sets, const train::Policy& policy,
                      const train::TrainReport& report) {
  OrderedJson result = {{"objective", options.objective},
                        {"examples", sets.learned},
                        {"truncated", sets.truncated},
                        {"left_out", OrderedJson::object()},
                        {"trainable", policy.trainable()},
                        {"steps", report.steps},
                        {"last", report.last},
                        {"evaluation", report.evaluation}};
  for (const auto& [reason, count] : sets.left_out) result["left_out"][reason] = count;
  return result;
}

report::Table table_of(const OrderedJson& result) {
  report::Table table({{"trained"}, {"value", report::Align::kRight}});
  const auto add = [&](const std::string& name, const OrderedJson& value) {
    table.add_row({name, report::format_count(value.get<uint64_t>())});
  };
  add("groups", result["examples"]);
  for (const auto& [reason, count] : result["left_out"].items()) add("left out: " + reason, count);
  if (result["truncated"] != 0) add("truncated texts", result["truncated"]);
  add("values that learned", result["trainable"]);
  add("steps", result["steps"]);
  table.add_rule();
  for (const char* part : {"last", "evaluation"}) {
    for (const auto& [name, value] : result[part].items()) {
      if (name == "step" || name == "epoch" || !value.is_number()) continue;
      if (value.is_number_integer()) {
        add(name, value);
      } else {
        const auto number = value.get<double>();
        table.add_row({name, name == "learning_rate" ? fmt::format("{:.3g}", number) : report::format_number(number)});
      }
    }
  }
  return table;
}

}  // namespace

int train_policy(const TrainCommand& options, const CLI::App& command) {
  const auto loss = objective::find_objective(options.objective).make(options.objective_settings());
  refuse(options.objective, *loss);
  if (options.objective == "attribute_regression" && options.attributes.empty()) {
    fail(ErrorKind::kUsage, "attribute_regression needs --attributes: the columns with a response's numbers");
  }
  const reward::Model model(options.model.model, options.model.resolve());
  GroupStream stream(options.data);
  if (!options.dry_run) open_output(options.output);
  const Sets sets = sets_of(options, model, stream, loss->needs());
  if (options.dry_run) return dry_run(options, command, model, sets, *loss, stream);

  const fs::path out(options.output.out);
  const auto began = std::chrono::steady_clock::now();
  std::optional<train::Reference> reference;
  if (loss->needs() & objective::kRefLogps) reference.emplace(reference_of(options, model, sets));
  const double reference_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();

  train::Policy policy(model, policy_options(options, model, loss->needs()));
  train::TrainOptions how = options.train;
  how.token_budget = options.read.token_budget;
  std::optional<Progress> progress;
  train::TrainHooks hooks;
  hooks.on_begin = [&](int64_t done, int64_t total) {
    progress.emplace("train", static_cast<uint64_t>(total - done), "steps");
  };
  hooks.on_steps = [&](int64_t steps) { progress->add(static_cast<uint64_t>(steps)); };
  hooks.should_stop = interrupted;
  const train::TrainReport report =
      train::train(policy, *loss, sets.to_learn(), sets.held_out(), reference ? &*reference : nullptr, how,
                   identity_of(options, command, model), out, hooks);
  progress->finish();
  if (report.stopped) {
    fail(ErrorKind::kInterrupted,
         "interrupted after step {} of {}: the checkpoint is in {}; the same command continues", report.steps,
         report.total_steps, (out / "checkpoints").string());
  }
  policy.save(out);
  fs::remove_all(out / "reference");

  OrderedJson summary = start_summary(command, &stream);
  summary["model"] = {{"path", model.path()}, {"identity", model.identity()}};
  summary["result"] = result_of(options, sets, policy, report);
  summary["seconds"] = {{"reference", reference_seconds}, {"train", report.seconds}};
  summary["tokens"] = report.tokens;
  write_file_atomic(out / "train.json", dump_json(summary) + "\n");
  print_result(options.output, summary, {table_of(summary["result"])}, fmt::format("result in {}", options.output.out));
  return kDone;
}

}  // namespace merit::app
