// merit select: picks one response of each group, by score or by vote, and says what that is worth where labels tell.
#include <fmt/format.h>

#include "merit/core/error.h"
#include "merit/core/hash.h"
#include "merit/report/selection_report.h"
#include "merit/search/pick.h"
#include "selection.h"

namespace merit::app {
namespace {

struct Options {
  SelectionOptions selection;
  std::string rule = "best_of_n";
  OutputOptions output;
};

void bind(CLI::App& app, Options& options) {
  options.selection.bind(app);
  app.add_option("--rule", options.rule,
                 "best_of_n: the highest score; majority: the commonest answer; weighted_majority: the answer with the "
                 "largest sum of scores (which must not be negative)")
      ->check(CLI::IsMember({"best_of_n", "majority", "weighted_majority"}))
      ->capture_default_str();
  options.output.bind(app, "picked responses");
}

std::optional<search::Pick> pick(const search::SelectionGroup& group, const std::string& rule) {
  std::vector<double> scores;
  std::vector<std::string> keys;
  for (const search::SelectionCandidate& candidate : group.candidates) {
    scores.push_back(candidate.score);
    keys.push_back(candidate.key);
  }
  if (rule == "best_of_n") return search::best_of_n(scores);
  if (rule == "majority") return search::majority_vote(keys);
  return search::weighted_majority(keys, scores);
}

OrderedJson picked_row(const search::SelectionGroup& group, const std::optional<search::Pick>& pick) {
  OrderedJson row = {{"id", group.id}, {"prompt", group.prompt}};
  row["index"] = pick ? OrderedJson(pick->index) : OrderedJson(nullptr);
  row["response"] = nullptr;
  if (!pick) return row;
  const search::SelectionCandidate& chosen = group.candidates[pick->index];
  row["response"] = chosen.text;
  row["answer_key"] = chosen.key;
  row["weight"] = pick->weight;
  row["tied"] = pick->tied;
  row["label"] = chosen.right ? OrderedJson(*chosen.right) : OrderedJson(nullptr);
  return row;
}

int run(const Options& options, const CLI::App& command) {
  if (options.selection.by.empty() && options.rule != "majority") {
    fail(ErrorKind::kUsage, "--rule {} picks by a score: name it with --by", options.rule);
  }
  GroupStream stream(options.selection.data);
  const auto groups = read_selection(options.selection, stream);
  uint64_t picked = 0, ties = 0, judged = 0, right = 0;
  RowOutput rows(options.output, "merit.select/1", run_identity(command, {options.selection.data.data}),
                 [&](const OrderedJson& row) {
                   picked += !row.at("index").is_null();
                   ties += row.value("tied", 1) > 1;
                   const auto label = row.find("label");
                   if (label == row.end() || label->is_null()) return;
                   ++judged;
                   right += label->get<bool>();
                 });
  for (const search::SelectionGroup& group : groups) {
    if (!rows.is_done(group.id)) rows.write(picked_row(group, pick(group, options.rule)));
  }
  OrderedJson summary = start_summary(command, &stream);
  summary["picked"] = picked;
  summary["ties"] = ties;
  std::vector<report::Table> tables;
  std::string note = fmt::format("{} of {} groups picked from, {} ties at the top", report::format_count(picked),
                                 report::format_count(groups.size()), report::format_count(ties));
  if (judged > 0) {
    summary["right"] = proportion_json(right, judged);
    note += fmt::format("; right in {} of those with labels", proportion_text(right, judged));
  }
  // What picking by the score is worth beside a random pick and the vote.
  if (judged > 0 && options.rule == "best_of_n") {
    const search::SelectionSummary result = search::summarise(groups, options.selection.statistics);
    summary["result"] = to_json(result);
    tables.push_back(report::accuracy_table(result));
    if (!result.slices.empty()) tables.push_back(report::slice_table(result));
    note += "\n" + report::verdict_sentence(result, options.selection.by);
  }
  print_result(options.output, summary, tables, note);
  if (picked == 0) fail(ErrorKind::kData, "no group could be picked from: no response has a score or an answer");
  return kDone;
}

}  // namespace

void add_select(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "select", "Pick one response of each group", bind, run);
}

}  // namespace merit::app
