// merit score: gives every response a number, by one or many rewards at once.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "merit/core/error.h"
#include "merit/core/interrupt.h"
#include "merit/core/progress.h"
#include "merit/reward/kinds.h"
#include "merit/reward/runner.h"
#include "merit/stats/interval.h"
#include "model_options.h"

namespace merit::app {
namespace {

struct Options {
  DataOptions data;
  ModelOptions model;
  std::vector<std::string> rewards;
  reward::AnswerOptions answer;
  nn::ReadOptions read;
  size_t window = 256;
  bool dry_run = false;
  OutputOptions output;
};

void bind(CLI::App& app, Options& options) {
  options.data.bind(app);
  options.model.bind(app, false);
  std::string kinds;
  for (const auto& [usage, what] : reward::reward_kinds()) kinds += fmt::format("\n{}: {}", usage, what);
  app.add_option("--reward", options.rewards, "[NAME=]KIND[:ARGUMENT], may be given again. Kinds:" + kinds)->required();
  app.add_option("--answer-column", options.answer.column, "The column with the reference, for the reward `answer`")
      ->capture_default_str();
  app.add_option("--token-budget", options.read.token_budget,
                 "Tokens computed in one pass; changes speed and memory only")
      ->check(CLI::Range(int64_t{16}, int64_t{1} << 24))
      ->capture_default_str();
  app.add_option("--window", options.window, "Groups within which tokens are shared; changes speed and memory only")
      ->check(CLI::Range(size_t{1}, size_t{1} << 20))
      ->capture_default_str();
  app.add_flag("--dry-run", options.dry_run, "Count unique tokens, estimate memory and time, and score nothing");
  options.output.bind(app, "scored rows");
}

// What the rows say of one reward.
struct Tally {
  std::string name;
  uint64_t scored = 0, abstained = 0, truncated = 0;
  std::map<std::string, uint64_t> reasons;  // "cause: reason" -> candidates
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  std::vector<double> group_means;
  uint64_t pairs = 0, wins = 0, ties = 0;

  void add(const OrderedJson& row) {
    double sum = 0;
    uint64_t n = 0;
    const OrderedJson& scores = row.at("scores").at(name);
    for (const OrderedJson& score : scores) {
      if (score.is_null()) {
        ++abstained;
        continue;
      }
      const auto value = score.get<double>();
      sum += value;
      ++n;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    scored += n;
    if (n > 0) group_means.push_back(sum / static_cast<double>(n));
    if (row.contains("chosen") && n == 2) {
      ++pairs;
      wins += scores[0].get<double>() > scores[1].get<double>();
      ties += scores[0].get<double>() == scores[1].get<double>();
    }
    if (const auto all = row.find("abstained"); all != row.end() && all->contains(name)) {
      for (const OrderedJson& entry : all->at(name)) {
        if (!entry.is_null()) ++reasons[entry.get<std::string>()];
      }
    }
    if (const auto all = row.find("truncated"); all != row.end() && all->contains(name)) {
      for (const OrderedJson& cut : all->at(name)) truncated += cut.get<bool>();
    }
  }
};

OrderedJson scored_row(const data::Group& group, const std::vector<reward::Table>& tables, size_t index) {
  OrderedJson row = row_of(group);
  row["scores"] = OrderedJson::object();
  for (const reward::Table& table : tables) {
    OrderedJson values = OrderedJson::array(), causes = OrderedJson::array(), cuts = OrderedJson::array();
    bool any_cause = false, any_cut = false;
    for (const reward::Cell& cell : table.cells[index]) {
      values.push_back(cell.has_value() ? OrderedJson(cell.value) : OrderedJson(nullptr));
      causes.push_back(cell.cause ? OrderedJson(fmt::format("{}: {}", reward::name_of(*cell.cause), cell.reason))
                                  : OrderedJson(nullptr));
      cuts.push_back(cell.truncated);
      any_cause = any_cause || cell.cause.has_value();
      any_cut = any_cut || cell.truncated;
    }
    row["scores"][table.reward] = std::move(values);
    if (any_cause) row["abstained"][table.reward] = std::move(causes);
    if (any_cut) row["truncated"][table.reward] = std::move(cuts);
  }
  return row;
}

// Group by group as far as a window reaches; calls `use` with the groups and their tables.
template <typename Use>
void score_windows(const Options& options, GroupStream& stream,
                   std::span<const std::unique_ptr<reward::Reward>> rewards, const reward::Reader& reader,
                   const RowOutput* rows, Use&& use) {
  for (;;) {
    std::vector<data::Group> window = stream.take(options.window);
    if (window.empty()) return;
    stop_if_interrupted();
    const size_t taken = window.size();
    if (rows != nullptr) std::erase_if(window, [&](const data::Group& group) { return rows->is_done(group.id); });
    for (const data::Group& group : window) {
      if (group.candidates.empty()) {
        fail(ErrorKind::kData, "{}: nothing to score: expected a completion, responses or a pair, got a prompt only",
             group.where);
      }
    }
    use(window, reward::run(rewards, window, reader), taken);
  }
}

OrderedJson to_json(const Tally& tally) {
  OrderedJson out = {{"scored", tally.scored}, {"abstained", tally.abstained}, {"truncated", tally.truncated}};
  out["reasons"] = OrderedJson::object();
  for (const auto& [reason, count] : tally.reasons) out["reasons"][reason] = count;
  if (const auto mean = stats::mean_interval(tally.group_means)) {
    out["mean"] = {
        {"value", mean->value}, {"low", mean->interval.low}, {"high", mean->interval.high}, {"groups", mean->n}};
    out["min"] = tally.low;
    out["max"] = tally.high;
  }
  if (tally.pairs > 0) {
    out["accuracy"] = proportion_json(tally.wins, tally.pairs);
    out["ties"] = tally.ties;
  }
  return out;
}

std::vector<report::Table> to_tables(const std::vector<Tally>& tallies) {
  using report::Align;
  report::Table table({{"reward"},
                       {"scored", Align::kRight},
                       {"abstained", Align::kRight},
                       {"truncated", Align::kRight},
                       {"mean over groups", Align::kRight},
                       {"min", Align::kRight},
                       {"max", Align::kRight}});
  report::Table pairs(
      {{"reward"}, {"chosen above rejected", Align::kRight}, {"ties", Align::kRight}, {"pairs", Align::kRight}});
  report::Table reasons({{"reward"}, {"abstained because"}, {"responses", Align::kRight}});
  bool any_pairs = false, any_reasons = false;
  for (const Tally& tally : tallies) {
    const bool some = tally.scored > 0;
    table.add_row({tally.name, report::format_count(tally.scored), report::format_count(tally.abstained),
                   report::format_count(tally.truncated),
                   report::format_estimate(stats::mean_interval(tally.group_means)),
                   some ? report::format_number(tally.low) : "", some ? report::format_number(tally.high) : ""});
    if (tally.pairs > 0) {
      any_pairs = true;
      pairs.add_row({tally.name, proportion_text(tally.wins, tally.pairs), report::format_count(tally.ties),
                     report::format_count(tally.pairs)});
    }
    for (const auto& [reason, count] : tally.reasons) {
      any_reasons = true;
      reasons.add_row({tally.name, reason, report::format_count(count)});
    }
  }
  std::vector<report::Table> tables = {table};
  if (any_pairs) tables.push_back(pairs);
  if (any_reasons) tables.push_back(reasons);
  return tables;
}

int dry_run(const Options& options, const CLI::App& command, const reward::Model* model,
            std::span<const std::unique_ptr<reward::Reward>> rewards) {
  if (model == nullptr) fail(ErrorKind::kUsage, "--dry-run estimates the cost of a model: give --model");
  GroupStream stream(options.data);
  nn::ReadStats stats;
  score_windows(options, stream, rewards, reward::counting_reader(stats), nullptr, [](auto&&...) {});
  const CostEstimate cost = estimate_cost(*model, stats.tokens_asked, stats.tokens_computed);
  OrderedJson summary = start_summary(command, &stream);
  summary["estimate"] = to_json(cost);
  print_result(options.output, summary, {to_table(cost)});
  return kDone;
}

int run(const Options& options, const CLI::App& command) {
  reward::ModelPool models(options.model.resolve());
  const auto rewards =
      reward::make_rewards(options.rewards, {.models = models, .model = options.model.model, .answer = options.answer});
  const auto model = options.model.model.empty() ? nullptr : models.get(options.model.model);
  if (options.dry_run) return dry_run(options, command, model.get(), rewards);
  OrderedJson identity = run_identity(command, {options.data.data});
  for (const auto& [path, hash] : models.identities()) identity["models"][path] = hash;
  for (const auto& one : rewards) identity["rewards"][one->name()] = one->identity();

  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const auto loading = Clock::now();
  models.load();
  const double load_seconds = seconds_since(loading);
  const auto scoring = Clock::now();

  GroupStream stream(options.data);
  std::vector<Tally> tallies(rewards.size());
  for (size_t i = 0; i < rewards.size(); ++i) tallies[i].name = rewards[i]->name();
  RowOutput rows(options.output, "merit.score/1", identity, [&](const OrderedJson& row) {
    for (Tally& tally : tallies) tally.add(row);
  });
  nn::ReadStats stats;
  Progress progress("score", expected_rows(options.data), "groups");
  score_windows(options, stream, rewards, reward::model_reader(options.read, &stats), &rows,
                [&](const std::vector<data::Group>& groups, const std::vector<reward::Table>& tables, size_t taken) {
                  for (size_t g = 0; g < groups.size(); ++g) rows.write(scored_row(groups[g], tables, g));
                  progress.add(taken);
                });
  progress.finish();

  OrderedJson summary = start_summary(command, &stream);
  summary["tokens"] = {{"asked", stats.tokens_asked}, {"computed", stats.tokens_computed}};
  summary["seconds"] = {{"load", load_seconds}, {"score", seconds_since(scoring)}};
  uint64_t scored = 0;
  for (const Tally& tally : tallies) {
    summary["rewards"][tally.name] = to_json(tally);
    scored += tally.scored;
  }
  std::string note;
  if (stats.tokens_asked > 0) {
    note = fmt::format("{} tokens computed for {} asked",
                       report::format_count(static_cast<uint64_t>(stats.tokens_computed)),
                       report::format_count(static_cast<uint64_t>(stats.tokens_asked)));
  }
  print_result(options.output, summary, to_tables(tallies), note);
  if (scored == 0) fail(ErrorKind::kData, "no response was scored: every one abstained, for the reasons above");
  return kDone;
}

}  // namespace

void add_score(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "score", "Score responses by one or many rewards", bind, run);
}

}  // namespace merit::app
