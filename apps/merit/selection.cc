#include "selection.h"

#include <fmt/format.h>

#include "merit/core/error.h"
#include "merit/core/strings.h"

namespace merit::app {
namespace {

std::string text_column(const data::Group& group, const std::string& name) {
  const auto it = group.columns.find(name);
  if (it == group.columns.end() || it->is_null()) return "";
  return it->is_string() ? it->get<std::string>() : dump_json(*it);
}

// The score list of the row; all names that the row has in the message if it lacks the one asked for.
const OrderedJson* scores_of(const data::Group& group, const std::string& by) {
  if (by.empty()) return nullptr;
  const auto scores = group.columns.find("scores");
  std::vector<std::string> names;
  if (scores != group.columns.end() && scores->is_object()) {
    for (const auto& item : scores->items()) names.push_back(item.key());
  }
  if (names.empty()) {
    fail(ErrorKind::kData, "{}: the row has no scores: expected rows that merit score wrote", group.where);
  }
  const auto it = scores->find(by);
  if (it == scores->end()) {
    fail(ErrorKind::kData, "{}: no score named {}: the row has {}", group.where, quote(by), join(names, ", "));
  }
  if (!it->is_array() || it->size() != group.candidates.size()) {
    fail(ErrorKind::kData, "{}: scores.{}: expected {} numbers, one a response", group.where, by,
         group.candidates.size());
  }
  for (const OrderedJson& score : *it) {
    if (!score.is_number() && !score.is_null()) {
      fail(ErrorKind::kData, "{}: scores.{}: expected numbers or null, got {}", group.where, by,
           quote(dump_json(score)));
    }
  }
  return &*it;
}

std::optional<bool> rightness(const data::Group& group, const data::Candidate& candidate, double right_above) {
  if (!candidate.label) return std::nullopt;
  if (right_above >= 0) return *candidate.label > right_above;
  if (*candidate.label != 0 && *candidate.label != 1) {
    fail(ErrorKind::kData, "{}: label {} is neither 0 nor 1: say from where on a response is right with --right-above",
         group.where, format_double(*candidate.label));
  }
  return *candidate.label == 1;
}

OrderedJson to_json(const stats::Estimate& estimate) {
  return {{"value", estimate.value},
          {"low", estimate.interval.low},
          {"high", estimate.interval.high},
          {"n", estimate.n},
          {"method", estimate.interval.method}};
}

OrderedJson to_json(const search::Accuracies& accuracies) {
  return {{"first", to_json(accuracies.first)},
          {"mean", to_json(accuracies.mean)},
          {"chosen", to_json(accuracies.chosen)},
          {"majority", to_json(accuracies.majority)},
          {"oracle", to_json(accuracies.oracle)},
          {"gain", to_json(accuracies.gain)},
          {"verdict", search::verdict_name(accuracies.verdict)}};
}

}  // namespace

void SelectionOptions::bind(CLI::App& app) {
  data.bind(app);
  app.add_option("--by", by, "The reward whose scores pick: a name under `scores` in the rows");
  app.add_option("--slice", slice, "Column by which results are also shown apart")->capture_default_str();
  app.add_option("--right-above", right_above, "Labels above this are right; without it they must be 0 or 1")
      ->check(CLI::Range(0.0, 1e300));
  app.add_option("--seed", statistics.seed, "Of the resampling behind the intervals")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

std::vector<search::SelectionGroup> read_selection(const SelectionOptions& options, GroupStream& stream) {
  std::vector<search::SelectionGroup> groups;
  while (auto group = stream.next()) {
    if (data::is_preference(group->layout)) {
      fail(ErrorKind::kData,
           "{}: a preference pair: its first response is always the better one, so there is nothing to select; "
           "merit score shows how often a reward agrees with pairs",
           group->where);
    }
    const verify::AnswerKind kind = reward::answer_kind_of(*group, options.answer);
    const OrderedJson* scores = scores_of(*group, options.by);
    search::SelectionGroup& out = groups.emplace_back();
    out.id = group->id;
    out.slice = text_column(*group, options.slice);
    out.prompt = group->prompt ? text_of(*group->prompt) : "";
    out.reference = text_column(*group, options.answer.column);
    for (size_t c = 0; c < group->candidates.size(); ++c) {
      const data::Candidate& candidate = group->candidates[c];
      search::SelectionCandidate& one = out.candidates.emplace_back();
      one.text = text_of(candidate.content);
      if (scores != nullptr && (*scores)[c].is_number()) one.score = (*scores)[c].get<double>();
      one.right = rightness(*group, candidate, options.right_above);
      one.key = verify::answer_key(one.text, kind, options.answer.verify).value_or("");
    }
  }
  return groups;
}

OrderedJson to_json(const search::SelectionSummary& summary) {
  OrderedJson out = to_json(summary.all);
  out["candidates_a_group"] = summary.n_candidates;
  const search::SelectionCounts& counts = summary.counts;
  out["counts"] = {{"groups", counts.groups},
                   {"used", counts.used},
                   {"empty", counts.empty},
                   {"unjudged", counts.unjudged},
                   {"unscored", counts.unscored},
                   {"candidates", counts.candidates},
                   {"abstained", counts.abstained},
                   {"no_answer", counts.no_answer},
                   {"chosen_ties", counts.chosen_ties},
                   {"majority_ties", counts.majority_ties}};
  if (summary.auc) out["auc"] = to_json(*summary.auc);
  if (summary.chance) out["p_value_against_random_pick"] = summary.chance->p_value;
  for (const search::SliceSummary& slice : summary.slices) out["slices"][slice.name] = to_json(slice.accuracies);
  return out;
}

}  // namespace merit::app
