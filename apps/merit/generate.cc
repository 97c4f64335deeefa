// merit generate: samples responses to prompts.
#include <fmt/format.h>

#include "merit/core/error.h"
#include "merit/core/hash.h"
#include "merit/core/interrupt.h"
#include "merit/core/progress.h"
#include "merit/nn/sample.h"
#include "merit/nn/transformer.h"
#include "model_options.h"

namespace merit::app {
namespace {

// Prompts that are read ahead and sampled together: enough for full batches, bounded in memory.
constexpr size_t kWindow = 4096;

struct Options {
  DataOptions data;
  ModelOptions model;
  nn::SamplingParams sampling{.temperature = 1.0, .max_new_tokens = 256};
  nn::SampleOptions sample;
  int64_t n = 1;
  bool dry_run = false;
  OutputOptions output;
};

void bind(CLI::App& app, Options& options) {
  options.data.bind(app);
  options.model.bind(app, true);
  app.add_option("-n,--num-generations", options.n, "Responses to each prompt")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--temperature", options.sampling.temperature, "0 is greedy")->capture_default_str();
  app.add_option("--top-k", options.sampling.top_k, "Keep the k most likely tokens; 0: all")->capture_default_str();
  app.add_option("--top-p", options.sampling.top_p, "Keep the most likely tokens of this mass")->capture_default_str();
  app.add_option("--min-p", options.sampling.min_p, "Keep tokens at least this share as likely as the likeliest")
      ->capture_default_str();
  app.add_option("--max-new-tokens", options.sampling.max_new_tokens, "Tokens of a response at most")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--stop", options.sampling.stop, "End the response before this text; may be given again");
  app.add_option("--seed", options.sampling.seed, "Another seed, other responses")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--max-live", options.sample.max_live,
                 "Sequences that grow together; changes speed and memory only. 0: what fits in 1 GiB")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.add_flag("--dry-run", options.dry_run, "Say what the prompts cost, and sample nothing");
  options.output.bind(app, "prompts with their responses");
}

struct Tally {
  uint64_t prompts = 0, responses = 0, stopped = 0, tokens = 0;

  void add(const OrderedJson& row) {
    ++prompts;
    responses += row.at("responses").size();
    for (const OrderedJson& reason : row.at("finish_reasons")) stopped += reason == "stop";
    for (const OrderedJson& count : row.at("token_counts")) tokens += count.get<uint64_t>();
  }
};

OrderedJson sampled_row(const data::Group& group, const std::vector<nn::Sample>& samples) {
  OrderedJson row = row_of(group);
  for (const char* name : {"responses", "finish_reasons", "token_counts", "logps"}) row[name] = OrderedJson::array();
  for (const nn::Sample& sample : samples) {
    double logp = 0;
    for (const float token_logp : sample.logps) logp += static_cast<double>(token_logp);
    row["responses"].push_back(sample.text);
    row["finish_reasons"].push_back(sample.finish == nn::Finish::kStop ? "stop" : "length");
    row["token_counts"].push_back(sample.ids.size());
    row["logps"].push_back(logp);
  }
  return row;
}

// The prompts of the groups as requests. A prompt that cannot be encoded is left out and counted if bad rows are to be
// skipped, else ends the run.
struct Batch {
  std::vector<data::Group> groups;
  std::vector<nn::SampleRequest> requests;
};

class Prompts {
 public:
  Prompts(const Options& options, const reward::Model& model) : options_(options), model_(model) {}

  void add(data::Group group, Batch& batch) {
    if (!group.candidates.empty()) {
      fail(ErrorKind::kData, "{}: expected a row with a prompt only, got one with responses too", group.where);
    }
    auto encoded = model_.encode_prompt(group);
    if (!encoded.ok()) return bad(group, encoded.error().what());
    const auto length = static_cast<int64_t>(encoded.value().ids.size());
    if (encoded.value().truncated || length >= model_.max_length()) {
      return bad(group, fmt::format("the prompt needs {} tokens and the model takes {}, with none left for a response",
                                    length, model_.max_length()));
    }
    prompt_tokens += length;
    batch.requests.push_back({.prompt = encoded.value().ids, .n = options_.n, .stream = hash64(group.id)});
    batch.groups.push_back(std::move(group));
  }

  void bad(const data::Group& group, const std::string& reason) {
    if (!options_.data.skip_bad_rows) {
      fail(ErrorKind::kData, "{}: {}; --skip-bad-rows leaves such rows out", group.where, reason);
    }
    ++dropped[reason];
  }

  int64_t prompt_tokens = 0;
  std::map<std::string, uint64_t> dropped;

 private:
  const Options& options_;
  const reward::Model& model_;
};

int dry_run(const Options& options, const CLI::App& command, const reward::Model& model) {
  GroupStream stream(options.data);
  Prompts prompts(options, model);
  uint64_t count = 0;
  while (auto group = stream.next()) {
    Batch batch;
    prompts.add(std::move(*group), batch);
    count += batch.requests.size();
  }
  const auto new_tokens = static_cast<int64_t>(count) * options.n * options.sampling.max_new_tokens;
  const CostEstimate cost =
      estimate_cost(model, prompts.prompt_tokens * options.n + new_tokens, prompts.prompt_tokens + new_tokens);
  OrderedJson summary = start_summary(command, &stream);
  summary["estimate"] = to_json(cost);
  print_result(options.output, summary, {to_table(cost)}, "Every response was taken to use all its new tokens.");
  return kDone;
}

int run(const Options& options, const CLI::App& command) {
  nn::validate(options.sampling);
  reward::ModelOptions loading = options.model.resolve();
  loading.stored = false;  // steps of few rows
  const reward::Model model(options.model.model, loading);
  if (options.dry_run) return dry_run(options, command, model);
  nn::SamplingParams sampling = options.sampling;
  sampling.stop_ids = model.encoder().stop_ids();
  OrderedJson identity = run_identity(command, {options.data.data});
  identity["model"] = model.identity();
  identity["encoding"] = model.encoding_hash();

  GroupStream stream(options.data);
  Prompts prompts(options, model);
  Tally tally;
  RowOutput rows(options.output, "merit.generate/1", identity, [&](const OrderedJson& row) { tally.add(row); });
  Progress progress("generate", expected_rows(options.data), "prompts");
  for (;;) {
    std::vector<data::Group> window = stream.take(kWindow);
    if (window.empty()) break;
    Batch batch;
    for (data::Group& group : window) {
      if (!rows.is_done(group.id)) prompts.add(std::move(group), batch);
    }
    const nn::SampleReport report = nn::sample(
        model.transformer(), model.encoder().tokenizer(), batch.requests, sampling, options.sample,
        [&](size_t index, Result<std::vector<nn::Sample>> samples) {
          if (samples.ok()) {
            rows.write(sampled_row(batch.groups[index], samples.value()));
          } else {
            prompts.bad(batch.groups[index], samples.error().what());
          }
          progress.add(1);
        },
        interrupted);
    if (report.stopped) {
      progress.finish();
      fail(ErrorKind::kInterrupted, "interrupted: {} rows are in {}; the same command continues", tally.prompts,
           options.output.out);
    }
  }
  progress.finish();

  OrderedJson summary = start_summary(command, &stream);
  for (const auto& [reason, count] : prompts.dropped) summary["data"]["dropped"][reason] = count;
  summary["model"] = {{"path", model.path()}, {"identity", model.identity()}};
  summary["prompts"] = tally.prompts;
  summary["responses"] = tally.responses;
  summary["tokens"] = tally.tokens;
  summary["ended_by_stop"] = proportion_json(tally.stopped, tally.responses);
  report::Table table({{"generated"}, {"value", report::Align::kRight}});
  table.add_row({"prompts", report::format_count(tally.prompts)});
  table.add_row({"responses", report::format_count(tally.responses)});
  table.add_row({"tokens", report::format_count(tally.tokens)});
  table.add_row({"ended by a stop token", proportion_text(tally.stopped, tally.responses)});
  print_result(options.output, summary, {table});
  if (tally.responses == 0) fail(ErrorKind::kData, "no prompt could be used");
  return kDone;
}

}  // namespace

void add_generate(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "generate", "Sample responses to prompts", bind, run);
}

}  // namespace merit::app
