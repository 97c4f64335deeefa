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

// What trained parameters depend on. Where and how often things are written, and how much is logged, is no part of it.
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
void check_output(const OutputOptions& output) {
  const fs::path out(output.out);
  if (output.overwrite) {
    for (const char* name : {"checkpoints", "metrics.jsonl", "train.json"}) fs::remove_all(out / name);
    return;
  }
  if (fs::exists(out / "train.json") && !fs::exists(out / "checkpoints")) {
    fail(ErrorKind::kUsage, "{} holds a result already: give --overwrite or another folder", output.out);
  }
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

}  // namespace

int train_policy(const TrainCommand& options, const CLI::App& command) {
  const auto loss = objective::find_objective(options.objective).make(options.objective_settings());
  refuse(options.objective, *loss);
  if (options.objective == "attribute_regression" && options.attributes.empty()) {
    fail(ErrorKind::kUsage, "attribute_regression needs --attributes: the columns with a response's numbers");
  }
  check_output(options.output);
  const fs::path out(options.output.out);
  const reward::Model model(options.model.model, options.model.resolve());

  const train::ExampleOptions wanted = {.needs = loss->needs(),
                                        .block = options.train.batch_size,
                                        .attributes = options.attributes,
                                        .step_separator = options.step_separator};
  GroupStream stream(options.data);
  const train::Examples examples = examples_of(model, stream, wanted);
  train::Examples held_out;
  if (!options.eval.empty()) {
    DataOptions data = options.data;
    data.data = options.eval;
    data.limit = 0;
    GroupStream other(data);
    held_out = examples_of(model, other, wanted);
  }

  std::vector<train::Example> all = examples.items;
  all.insert(all.end(), held_out.items.begin(), held_out.items.end());
  const std::span<const train::Example> learned(all.data(), examples.items.size());
  const std::span<const train::Example> held(all.data() + examples.items.size(), held_out.items.size());

  const auto began = std::chrono::steady_clock::now();
  std::optional<train::Reference> reference;
  if (loss->needs() & objective::kRefLogps) {
    Progress progress("reference log-probs", all.size(), "groups");
    std::optional<reward::Model> other;
    if (!options.reference.empty()) other.emplace(options.reference, options.model.resolve());
    reference.emplace(other ? *other : model, !other, all, out / "reference", options.read,
                      [&](size_t done) { progress.add(done); });
    progress.finish();
  }

  const double reference_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();

  train::PolicyOptions how;
  how.tune = options.tune == "full" ? train::Tune::kFull : train::Tune::kLora;
  how.lora = options.lora;
  how.lora.seed = options.train.seed;
  how.dtype = model.dtype();
  how.stored = options.stored;
  const auto outputs = static_cast<int64_t>(std::max<size_t>(1, options.attributes.size()));
  how.outputs = loss->needs() & objective::kValues ? outputs : 0;
  how.seed = options.train.seed;
  train::Policy policy(model, how);

  train::TrainOptions train = options.train;
  train.token_budget = options.read.token_budget;
  Progress progress("train", 0, "steps");
  const train::TrainReport report = train::train(
      policy, *loss, learned, held, reference ? &*reference : nullptr, train, identity_of(options, command, model), out,
      {.on_steps = [&](int64_t steps) { progress.add(static_cast<uint64_t>(steps)); }, .should_stop = interrupted});
  progress.finish();
  if (report.stopped) {
    fail(ErrorKind::kInterrupted,
         "interrupted after step {} of {}: the checkpoint is in {}; the same command continues", report.steps,
         report.total_steps, (out / "checkpoints").string());
  }
  policy.save(out);
  fs::remove_all(out / "reference");

  OrderedJson summary = start_summary(command, &stream);
  summary["model"] = {{"path", model.path()}, {"identity", model.identity()}};
  OrderedJson result = {{"objective", options.objective},
                        {"examples", learned.size()},
                        {"truncated", examples.truncated},
                        {"left_out", OrderedJson::object()},
                        {"trainable", policy.trainable()},
                        {"steps", report.steps},
                        {"last", report.last},
                        {"evaluation", report.evaluation}};
  for (const auto& [reason, count] : examples.left_out) result["left_out"][reason] = count;
  summary["result"] = result;
  summary["seconds"] = {{"reference", reference_seconds}, {"train", report.seconds}};
  summary["tokens"] = report.tokens;
  write_file_atomic(out / "train.json", dump_json(summary) + "\n");

  report::Table table({{"trained"}, {"value", report::Align::kRight}});
  table.add_row({"groups", report::format_count(learned.size())});
  for (const auto& [reason, count] : examples.left_out)
    table.add_row({"left out: " + reason, report::format_count(count)});
  if (examples.truncated > 0) table.add_row({"truncated texts", report::format_count(examples.truncated)});
  table.add_row({"values that learned", report::format_count(static_cast<uint64_t>(policy.trainable()))});
  table.add_row({"steps", report::format_count(static_cast<uint64_t>(report.steps))});
  table.add_rule();
  for (const auto& line : {report.last, report.evaluation}) {
    for (const auto& [name, value] : line.items()) {
      if (name == "step" || name == "epoch" || !value.is_number()) continue;
      table.add_row({name, value.is_number_integer() ? report::format_count(value.get<uint64_t>())
                                                     : report::format_number(value.get<double>())});
    }
  }
  print_result(options.output, summary, {table}, fmt::format("result in {}", options.output.out));
  return kDone;
}

}  // namespace merit::app
