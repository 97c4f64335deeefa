#include "merit/train/trainer.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <string>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/rng.h"
#include "merit/train/checkpoint.h"
#include "merit/train/step.h"

namespace merit::train {
namespace fs = std::filesystem;
namespace {

// The lines of metrics.jsonl: what a step counts is gathered until a line is due, and survives a stop in between.
class MetricLog {
 public:
  explicit MetricLog(fs::path file) : file_(std::move(file)) {}

  // Cuts what came after the checkpoint.
  void restore(uint64_t bytes) {
    std::error_code error;
    const uint64_t size = fs::exists(file_) ? fs::file_size(file_) : 0;
    if (size < bytes) {
      fail(ErrorKind::kData, "{}: expected at least the {} bytes of the checkpoint, got {}", file_.string(), bytes,
           size);
    }
    fs::resize_file(file_, bytes, error);
    bytes_ = bytes;
  }
  void start() {
    fs::remove(file_);
    std::ofstream(file_).flush();
    if (!fs::exists(file_)) fail(ErrorKind::kIo, "cannot write {}", file_.string());
  }
  void write(const OrderedJson& line) {
    const std::string text = line.dump() + "\n";
    std::ofstream out(file_, std::ios::app | std::ios::binary);
    out << text;
    out.flush();
    if (!out) fail(ErrorKind::kIo, "cannot write {}: is the disk full?", file_.string());
    bytes_ += text.size();
  }
  uint64_t bytes() const { return bytes_; }
  // The last line of training and the last of an evaluation, as the file has them.
  void last(OrderedJson& training, OrderedJson& evaluation) const {
    std::ifstream in(file_);
    for (std::string text; std::getline(in, text);) {
      OrderedJson line = parse_ordered_json(text, file_.string());
      (line.contains("loss") ? training : evaluation) = std::move(line);
    }
  }

 private:
  fs::path file_;
  uint64_t bytes_ = 0;
};

int64_t steps_an_epoch(const TrainOptions& options, size_t examples) {
  return (static_cast<int64_t>(examples) + options.batch_size - 1) / options.batch_size;
}

class Run {
 public:
  Run(Policy& policy, objective::Loss& loss, std::span<const Example> examples, std::span<const Example> held_out,
      const Reference* reference, const TrainOptions& options, const OrderedJson& identity, const fs::path& out)
      : loss_(loss),
        examples_(examples),
        options_(options),
        optimiser_(policy.parameters(), options.adamw),
        stepper_(policy, loss, reference, options.token_budget),
        checkpoints_(out / "checkpoints", identity, options.save_total_limit),
        log_(out / "metrics.jsonl") {
    for (const Example& example : held_out) held_out_.push_back(&example);
    steps_an_epoch_ = steps_an_epoch(options, examples.size());
    total_ = planned_steps(options, examples.size());
    schedule_ = options.schedule;
    schedule_.total_steps = total_;
    if (schedule_.warmup_steps == 0) {
      schedule_.warmup_steps = static_cast<int64_t>(std::ceil(options.warmup_ratio * static_cast<double>(total_)));
    }
    schedule_.at(0);  // refuses an unknown kind
    state_.threads = at::get_num_threads();
    state_.window = {{"num_tokens", 0}, {"loss", 0.0}, {"steps", 0}};
  }

  TrainReport run(const TrainHooks& hooks) {
    TrainReport report;
    report.total_steps = total_;
    if (auto state = checkpoints_.load(optimiser_, loss_, state_.threads)) {
      state_ = *state;
      metrics_ = MetricSums::from_json(state_.window.at("metrics"));
      log_.restore(state_.metric_bytes);
      report.resumed_from = state_.step;
    } else {
      log_.start();
    }
    if (hooks.on_begin) hooks.on_begin(state_.step, total_);
    const auto began = std::chrono::steady_clock::now();
    while (state_.step < total_ && !out_of_patience()) {
      if (hooks.should_stop && hooks.should_stop()) {
        report.stopped = true;
        break;
      }
      report.tokens += step();
      if (hooks.on_steps) hooks.on_steps(1);
      if (options_.eval_steps > 0 && state_.step % options_.eval_steps == 0) evaluate();
      if (options_.save_steps > 0 && state_.step % options_.save_steps == 0) save();
    }
    if (!report.stopped) evaluate();
    if (log_.bytes() != saved_bytes_ || state_.step != saved_step_) save();
    if (!report.stopped && options_.load_best && state_.evaluations > 0)
      checkpoints_.load_best(optimiser_.parameters());
    report.steps = state_.step;
    report.stopped_early = !report.stopped && state_.step < total_;
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    log_.last(report.last, report.evaluation);
    return report;
  }

 private:
  void save() {
    state_.metric_bytes = saved_bytes_ = log_.bytes();
    saved_step_ = state_.step;
    state_.window["metrics"] = metrics_.to_json();
    checkpoints_.save(state_, optimiser_, loss_);
  }

  // The examples of a step: each epoch in an order of its own, a function of the seed and the epoch's number.
  std::vector<const Example*> batch(int64_t step) {
    const int64_t epoch = step / steps_an_epoch_;
    if (epoch != epoch_) {
      epoch_ = epoch;
      order_.resize(examples_.size());
      for (size_t i = 0; i < order_.size(); ++i) order_[i] = i;
      Rng rng(options_.seed, static_cast<uint64_t>(epoch));
      rng.shuffle(std::span(order_));
    }
    std::vector<const Example*> out;
    const auto begin = static_cast<size_t>((step % steps_an_epoch_) * options_.batch_size);
    const size_t end = std::min(order_.size(), begin + static_cast<size_t>(options_.batch_size));
    for (size_t i = begin; i < end; ++i) out.push_back(&examples_[order_[i]]);
    return out;
  }

  // A line holds the means over the steps since the one before it; the norm and the rate are the last step's.
  int64_t step() {
    const StepResult result = stepper_.learn(batch(state_.step), state_.step == 0);
    const double norm = optimiser_.gradient_norm();
    optimiser_.clip(norm, options_.max_grad_norm);
    const double rate = schedule_.at(state_.step);
    optimiser_.step(rate);
    ++state_.step;
    OrderedJson& window = state_.window;
    window["num_tokens"] = window["num_tokens"].get<int64_t>() + result.tokens;
    window["loss"] = window["loss"].get<double>() + result.loss;
    window["steps"] = window["steps"].get<int64_t>() + 1;
    metrics_.add(result.metrics);
    if (state_.step % options_.logging_steps != 0 && state_.step != total_ && state_.step != 1) return result.tokens;
    OrderedJson line = {{"step", state_.step},
                        {"epoch", static_cast<double>(state_.step) / static_cast<double>(steps_an_epoch_)},
                        {"loss", window["loss"].get<double>() / window["steps"].get<double>()},
                        {"grad_norm", norm},
                        {"learning_rate", rate},
                        {"num_tokens", window["num_tokens"]}};
    metrics_.write(line, "");
    log_.write(line);
    metrics_ = MetricSums();
    window["loss"] = 0.0;
    window["steps"] = 0;
    return result.tokens;
  }

  void evaluate() {
    if (held_out_.empty() || state_.evaluated == state_.step) return;
    const StepResult result = stepper_.evaluate(held_out_);
    OrderedJson line = {{"step", state_.step}, {"eval_loss", result.loss}, {"eval_examples", held_out_.size()}};
    result.metrics.write(line, "eval_");
    log_.write(line);
    const bool better = state_.evaluations == 0 || result.loss < state_.best_loss;
    if (better && options_.load_best) checkpoints_.save_best(optimiser_.parameters());
    if (better) state_.best_loss = result.loss;
    state_.since_best = better ? 0 : state_.since_best + 1;
    state_.evaluated = state_.step;
    ++state_.evaluations;
  }

  bool out_of_patience() const { return options_.patience > 0 && state_.since_best >= options_.patience; }

  objective::Loss& loss_;
  std::span<const Example> examples_;
  std::vector<const Example*> held_out_;
  const TrainOptions& options_;
  AdamW optimiser_;
  Stepper stepper_;
  Checkpoints checkpoints_;
  MetricLog log_;
  Schedule schedule_;
  int64_t steps_an_epoch_ = 1;
  int64_t total_ = 0;
  int64_t epoch_ = -1;
  std::vector<size_t> order_;
  RunState state_;
  MetricSums metrics_;  // since the last line
  int64_t saved_step_ = -1;
  uint64_t saved_bytes_ = 0;
};

}  // namespace

int64_t planned_steps(const TrainOptions& options, size_t examples) {
  if (options.max_steps > 0) return options.max_steps;
  return static_cast<int64_t>(std::ceil(options.epochs * static_cast<double>(steps_an_epoch(options, examples))));
}

TrainReport train(Policy& policy, objective::Loss& loss, std::span<const Example> examples,
                  std::span<const Example> held_out, const Reference* reference, const TrainOptions& options,
                  const OrderedJson& identity, const fs::path& out, const TrainHooks& hooks) {
  if (examples.empty()) fail(ErrorKind::kData, "nothing to train on");
  if (options.batch_size < 1) fail(ErrorKind::kUsage, "batch_size: expected at least 1, got {}", options.batch_size);
  fs::create_directories(out);
  return Run(policy, loss, examples, held_out, reference, options, identity, out).run(hooks);
}

}  // namespace merit::train
