#include "merit/report/selection_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "merit/core/error.h"
#include "merit/report/page.h"
#include "merit/report/svg.h"
#include "merit/stats/calibration.h"

namespace merit::report {
namespace {

using search::Accuracies;
using search::SelectionGroup;
using search::SelectionOutcome;
using search::SelectionSummary;
using stats::Estimate;

constexpr size_t kMostMistakes = 16;
constexpr size_t kMostRescues = 8;
constexpr size_t kMostRows = 2000;
constexpr size_t kScoreBins = 10;

std::string percent(double share) { return format_number(100 * share, 1) + "%"; }

std::string signed_points(double share) {
  std::string text = format_number(100 * share, 1);
  return text[0] == '-' ? text : "+" + text;
}

// "[36.0, 46.9]", in percent.
std::string percent_interval(const stats::Interval& i) {
  return fmt::format("[{}, {}]", format_number(100 * i.low, 1), format_number(100 * i.high, 1));
}

std::string points_interval(const stats::Interval& i) {
  return fmt::format("[{}, {}]", signed_points(i.low), signed_points(i.high));
}

std::string percent_estimate(const Estimate& e) { return percent(e.value) + " " + percent_interval(e.interval); }

std::string points_estimate(const Estimate& e) { return signed_points(e.value) + " " + points_interval(e.interval); }

std::string level_text(const Estimate& e) { return format_number(100 * e.interval.level, 0) + "%"; }

struct Rule {
  const char* name;
  const char* meaning;
  Estimate Accuracies::*accuracy;
};

constexpr Rule kRules[] = {
    {"first", "the candidate that came first", &Accuracies::first},
    {"mean", "a candidate drawn at random", &Accuracies::mean},
    {"chosen", "the candidate with the highest score", &Accuracies::chosen},
    {"majority", "the answer most candidates gave", &Accuracies::majority},
    {"oracle", "a right candidate wherever there is one", &Accuracies::oracle},
};

const char* verdict_phrase(search::Verdict verdict) {
  switch (verdict) {
    case search::Verdict::kGain:
      return "it helps";
    case search::Verdict::kLoss:
      return "it hurts";
    case search::Verdict::kNone:
      break;
  }
  return "not shown to help";
}

void add_head(Page& page, const SelectionSummary& s, const SelectionEvidence& evidence) {
  const char* tone = s.all.verdict == search::Verdict::kGain   ? "good"
                     : s.all.verdict == search::Verdict::kLoss ? "bad"
                                                               : "neutral";
  page.verdict(tone, verdict_sentence(s, evidence.scorer));
  std::vector<KeyFigure> figures = {
      {"Chosen", percent(s.all.chosen.value), percent_interval(s.all.chosen.interval)},
      {"Random", percent(s.all.mean.value), percent_interval(s.all.mean.interval)},
      {"Gain, points", signed_points(s.all.gain.value), points_interval(s.all.gain.interval)},
      {"Majority vote", percent(s.all.majority.value), percent_interval(s.all.majority.interval)},
      {"Best possible", percent(s.all.oracle.value), percent_interval(s.all.oracle.interval)},
  };
  if (s.auc) {
    figures.push_back(
        {"AUC", format_number(s.auc->value, 3),
         fmt::format("[{}, {}]", format_number(s.auc->interval.low, 3), format_number(s.auc->interval.high, 3))});
  }
  figures.push_back({"Problems", format_count(s.counts.used),
                     fmt::format("{} candidates, {} read", format_count(s.counts.candidates),
                                 format_count(std::max(evidence.read, s.counts.groups)))});
  page.key_figures(figures);
}

void add_accuracy(Page& page, const SelectionSummary& s) {
  page.section("Accuracy", fmt::format("What each way of picking one of {} candidates gets right, with {} intervals "
                                       "over problems.",
                                       s.n_candidates, level_text(s.all.mean)));
  std::vector<Bar> bars;
  PageTable table{
      "", {{"rule", false}, {"picks", false}, {"accuracy", true}, {"interval", true}, {"method", false}}, {}};
  for (const Rule& rule : kRules) {
    const Estimate& e = s.all.*rule.accuracy;
    bars.push_back({rule.name, e.value, e.interval.low, e.interval.high, rule.accuracy == &Accuracies::chosen});
    table.rows.push_back({rule.name, rule.meaning, percent(e.value), percent_interval(e.interval), e.interval.method});
  }
  page.figure(bar_chart({"Accuracy by rule", verdict_sentence(s, "the score"), "accuracy", ""}, bars, true),
              fmt::format("Accuracy over {} problems. Ties at the top score ({} problems) and between answers ({}) "
                          "count as the mean of the tied.",
                          format_count(s.counts.used), format_count(s.counts.chosen_ties),
                          format_count(s.counts.majority_ties)));
  page.table(table);
  std::string tests = fmt::format(
      "Chosen against a random candidate of the same problem: {} points, {} interval {}, "
      "paired over problems ({}).",
      signed_points(s.all.gain.value), level_text(s.all.gain), points_interval(s.all.gain.interval),
      s.all.gain.interval.method);
  if (s.chance) {
    tests += fmt::format(" If scores knew nothing, a result this good or better would come with chance p {} ({}).",
                         s.chance->p_greater < 0.001 ? "< 0.001" : "= " + format_p_value(s.chance->p_greater),
                         s.chance->method);
  }
  if (s.sign_flip) {
    tests += fmt::format(" Sign-flip test, two-sided: p {} ({}).",
                         s.sign_flip->p_value < 0.001 ? "< 0.001" : "= " + format_p_value(s.sign_flip->p_value),
                         s.sign_flip->method);
  }
  page.paragraph(tests);
  page.paragraph(
      fmt::format("Majority vote against a random candidate: {} points.", points_estimate(s.all.majority_gain)));
}

void add_curve(Page& page, const SelectionSummary& s) {
  if (s.curve.size() < 2) return;
  Series chosen{"chosen", {}, true}, majority{"majority", {}, false}, oracle{"oracle", {}, false};
  auto add = [](Series& series, size_t k, const Estimate& e) {
    series.points.push_back({static_cast<double>(k), e.value, e.interval.low, e.interval.high});
  };
  for (const search::CurvePoint& point : s.curve) {
    add(chosen, point.k, point.chosen);
    add(oracle, point.k, point.oracle);
    if (point.majority) add(majority, point.k, *point.majority);
  }
  page.section("More candidates", "What each rule would reach with fewer candidates: exact averages over all subsets.");
  page.figure(line_chart({"Accuracy against the number of candidates",
                          "Lines for the chosen candidate, the majority and the oracle, with bands.", "candidates (k)",
                          "accuracy"},
                         {chosen, majority, oracle}, {.log2_x = true, .percent = true}),
              fmt::format("Over {} problems with at least {} candidates. At k = 1 all rules are a random candidate.",
                          format_count(s.counts.curve_groups), s.n_candidates));
}

// Every judged and scored candidate of the used groups.
struct Scored {
  std::vector<double> scores;
  std::vector<bool> right;
};

Scored scored_candidates(std::span<const SelectionGroup> groups, const SelectionSummary& s) {
  Scored result;
  for (const SelectionOutcome& outcome : s.outcomes) {
    for (const auto& c : groups[outcome.group].candidates) {
      if (std::isnan(c.score)) continue;
      result.scores.push_back(c.score);
      result.right.push_back(*c.right);
    }
  }
  return result;
}

void add_calibration(Page& page, Scored scored, ScoreScale scale) {
  if (scale == ScoreScale::kLogOdds) {
    for (double& v : scored.scores) v = 1 / (1 + std::exp(-v));
  }
  std::optional<stats::Calibration> c = stats::calibration(scored.scores, scored.right, kScoreBins, {.resamples = 500});
  if (!c) return;
  std::vector<ReliabilityPoint> points;
  for (const auto& bin : c->bins) {
    points.push_back(
        {bin.mean_predicted, bin.right.value, bin.right.interval.low, bin.right.interval.high, bin.right.n});
  }
  page.figure(reliability_plot(
                  {"Reliability", "Share right against the probability stated.", "probability stated", "share right"},
                  points, true),
              fmt::format("Calibration: on the dotted line, stated probabilities come true. Expected calibration error "
                          "{}, Brier score {} (intervals over candidates).",
                          format_estimate(c->ece), format_estimate(c->brier)));
}

// For scores without a scale: the share right in ten parts of equal size, by rising score. Equal scores stay together.
void add_deciles(Page& page, const Scored& scored) {
  std::vector<size_t> order(scored.scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return scored.scores[i]; });
  std::vector<ReliabilityPoint> points;
  size_t per_bin = std::max<size_t>(1, (order.size() + kScoreBins - 1) / kScoreBins);
  for (size_t i = 0; i < order.size();) {
    size_t j = std::min(order.size(), i + per_bin);
    while (j < order.size() && scored.scores[order[j]] == scored.scores[order[j - 1]]) ++j;
    double right = 0, sum = 0;
    for (size_t k = i; k < j; ++k) {
      right += scored.right[order[k]];
      sum += scored.scores[order[k]] / static_cast<double>(j - i);
    }
    Estimate e = *stats::wilson_interval(right, j - i);
    points.push_back({sum, e.value, e.interval.low, e.interval.high, j - i});
    i = j;
  }
  page.figure(reliability_plot({"Share right by score", "Share right in tenths of the candidates by rising score.",
                                "mean score of the tenth", "share right"},
                               points, false),
              "The share right among the candidates of each tenth by score. A rising line means that the score knows "
              "something; the score has no scale, so there is no calibration to judge.");
}

void add_scores(Page& page, std::span<const SelectionGroup> groups, const SelectionSummary& s, ScoreScale scale) {
  page.section("Scores", "Whether right answers score above wrong ones.");
  Scored scored = scored_candidates(groups, s);
  Sample right{"right answers", {}}, wrong{"wrong answers", {}};
  for (size_t i = 0; i < scored.scores.size(); ++i) {
    (scored.right[i] ? right : wrong).values.push_back(scored.scores[i]);
  }
  page.figure(
      histogram_pair({"Scores of right and wrong answers", "Right answers upwards, wrong answers downwards.", "score",
                      "share of answers"},
                     right, wrong),
      fmt::format("Over all problems, AUC {}: the chance that a right answer scores above a wrong one, whatever "
                  "the problem. {} candidates have no score. The outermost half percent at each end is drawn "
                  "in the end bars.",
                  format_estimate(s.auc), format_count(s.counts.abstained)));
  page.paragraph(fmt::format(
      "Within problems, which is what picking needs: of {} pairs of a right and a wrong candidate, {} are ranked "
      "rightly, {} wrongly and {} are ties. Strict accuracy {}; with half credit for ties {}. Pairs of one problem are "
      "not independent, so these intervals are narrower than the truth.",
      format_count(s.pairs.n()), format_count(s.pairs.wins), format_count(s.pairs.losses), format_count(s.pairs.ties),
      format_estimate(s.pairs.strict()), format_estimate(s.pairs.half_credit())));
  scale == ScoreScale::kUnitless ? add_deciles(page, scored) : add_calibration(page, std::move(scored), scale);
}

void add_slices(Page& page, const SelectionSummary& s) {
  if (s.slices.empty()) return;
  page.section("By slice",
               "Where it helps and where it does not. With many slices some intervals exclude 0 by chance.");
  PageTable table{"",
                  {{"slice", false},
                   {"problems", true},
                   {"random", true},
                   {"chosen", true},
                   {"majority", true},
                   {"oracle", true},
                   {"gain, points", true},
                   {"verdict", false}},
                  {},
                  s.slices.size() > 12};
  for (const search::SliceSummary& slice : s.slices) {
    const Accuracies& a = slice.accuracies;
    table.rows.push_back({slice.name, format_count(a.chosen.n), percent(a.mean.value), percent_estimate(a.chosen),
                          percent(a.majority.value), percent(a.oracle.value), points_estimate(a.gain),
                          search::verdict_name(a.verdict)});
  }
  page.table(table);
}

// The right candidate with the highest score; the group has one.
size_t best_right(const SelectionGroup& group) {
  size_t best = group.candidates.size();
  for (size_t i = 0; i < group.candidates.size(); ++i) {
    const auto& c = group.candidates[i];
    if (!*c.right) continue;
    bool better = best == group.candidates.size() || std::isnan(group.candidates[best].score) ||
                  c.score > group.candidates[best].score;
    if (better) best = i;
  }
  return best;
}

ExampleAnswer answer_of(const SelectionGroup& group, size_t index, std::string title) {
  const auto& c = group.candidates[index];
  std::string note =
      fmt::format("candidate {}, score {}, {}", index + 1, std::isnan(c.score) ? "none" : format_number(c.score, 3),
                  *c.right ? "right" : "wrong");
  if (!c.key.empty()) note += fmt::format(", answer {}", quote(c.key, 40));
  return {std::move(title), std::move(note), c.text, *c.right};
}

std::string example_title(const SelectionGroup& group, const SelectionOutcome& outcome, std::string_view what) {
  return fmt::format("{}{}{} · {} of {} candidates right · {}", group.id.empty() ? "?" : group.id,
                     group.slice.empty() ? "" : " · ", group.slice,
                     std::lround(outcome.mean * static_cast<double>(group.candidates.size())), group.candidates.size(),
                     what);
}

void add_mistakes(Page& page, std::span<const SelectionGroup> groups, const SelectionSummary& s) {
  struct Mistake {
    double gap;  // by how much the wrong choice beat the best right candidate
    const SelectionOutcome* outcome;
    size_t right;
  };
  std::vector<Mistake> mistakes;
  for (const SelectionOutcome& outcome : s.outcomes) {
    const SelectionGroup& group = groups[outcome.group];
    if (outcome.oracle == 0 || *group.candidates[outcome.chosen_index].right) continue;
    size_t right = best_right(group);
    double gap = group.candidates[outcome.chosen_index].score - group.candidates[right].score;
    mistakes.push_back({std::isnan(gap) ? INFINITY : gap, &outcome, right});
  }
  page.section(
      "Worst mistakes",
      fmt::format("{} problems had a right candidate and a wrong one was chosen; the widest misjudgements come "
                  "first.",
                  format_count(mistakes.size())));
  std::ranges::stable_sort(mistakes, std::greater<>(), &Mistake::gap);
  std::vector<Example> examples;
  for (const Mistake& m : mistakes) {
    if (examples.size() == kMostMistakes) break;
    const SelectionGroup& group = groups[m.outcome->group];
    std::string gap = std::isfinite(m.gap) ? fmt::format("{} ahead", format_number(m.gap, 3)) : "right one unscored";
    examples.push_back(
        {example_title(group, *m.outcome, gap),
         group.prompt,
         group.reference,
         {answer_of(group, m.outcome->chosen_index, "Chosen"), answer_of(group, m.right, "Best right candidate")}});
  }
  page.examples(examples);
}

// Where the score found a right answer that the majority missed.
void add_rescues(Page& page, std::span<const SelectionGroup> groups, const SelectionSummary& s) {
  std::vector<const SelectionOutcome*> rescues;
  for (const SelectionOutcome& outcome : s.outcomes) {
    bool found = *groups[outcome.group].candidates[outcome.chosen_index].right;
    if (found && outcome.majority_answers && outcome.majority == 0) rescues.push_back(&outcome);
  }
  if (rescues.empty()) return;
  page.section("Right against the majority", fmt::format("{} problems where the score found what the vote missed; the "
                                                         "rarest right answers come first.",
                                                         format_count(rescues.size())));
  std::ranges::stable_sort(rescues, {}, [](const SelectionOutcome* o) { return o->mean; });
  std::vector<Example> examples;
  for (const SelectionOutcome* outcome : rescues) {
    if (examples.size() == kMostRescues) break;
    const SelectionGroup& group = groups[outcome->group];
    examples.push_back(
        {example_title(group, *outcome, "majority wrong"),
         group.prompt,
         group.reference,
         {answer_of(group, outcome->chosen_index, "Chosen"), answer_of(group, outcome->majority_index, "Majority")}});
  }
  page.examples(examples);
}

void add_groups(Page& page, std::span<const SelectionGroup> groups, const SelectionSummary& s) {
  page.section("Every problem");
  PageTable table{s.outcomes.size() > kMostRows
                      ? fmt::format("The first {} of {}.", format_count(kMostRows), format_count(s.outcomes.size()))
                      : "",
                  {{"problem", false},
                   {"slice", false},
                   {"right", true},
                   {"of", true},
                   {"top score", true},
                   {"chosen", false},
                   {"majority", false}},
                  {},
                  true};
  auto credit = [](double value, size_t tied) -> std::string {
    if (tied > 1) return fmt::format("tie of {}: {}", tied, format_number(value, 2));
    return value == 1 ? "right" : value == 0 ? "wrong" : format_number(value, 2);
  };
  for (const SelectionOutcome& o : s.outcomes) {
    if (table.rows.size() == kMostRows) break;
    const SelectionGroup& group = groups[o.group];
    double n = static_cast<double>(group.candidates.size());
    table.rows.push_back({group.id, group.slice, std::to_string(std::lround(o.mean * n)),
                          std::to_string(group.candidates.size()),
                          format_number(group.candidates[o.chosen_index].score, 3), credit(o.chosen, o.chosen_tied),
                          o.majority_answers ? credit(o.majority, o.majority_tied) : "no answer"});
  }
  page.table(table);
}

void add_evidence(Page& page, const SelectionSummary& s, const SelectionEvidence& e) {
  page.section("Evidence", "What these numbers are made from, and how to make them again.");
  std::vector<std::pair<std::string, std::string>> facts = {
      {"scorer", e.scorer},
      {"model", e.model},
      {"data", e.data},
      {"data hash (XXH3-128)", e.data_hash},
      {"seed", std::to_string(e.seed)},
      {"merit", e.version},
      {"problems read", format_count(std::max(e.read, s.counts.groups))},
      {"problems used", format_count(s.counts.used)}};
  for (const auto& [reason, count] : e.dropped) facts.emplace_back("dropped: " + reason, format_count(count));
  auto dropped = [&](const char* reason, size_t count) {
    if (count > 0) facts.emplace_back(std::string("dropped: ") + reason, format_count(count));
  };
  dropped("no candidates", s.counts.empty);
  dropped("a candidate could not be judged", s.counts.unjudged);
  dropped("no candidate has a score", s.counts.unscored);
  facts.emplace_back("candidates", format_count(s.counts.candidates));
  facts.emplace_back("candidates without a score", format_count(s.counts.abstained));
  facts.emplace_back("candidates without an answer", format_count(s.counts.no_answer));
  facts.insert(facts.end(), e.facts.begin(), e.facts.end());
  std::erase_if(facts, [](const auto& fact) { return fact.second.empty(); });
  page.facts(facts);
}

}  // namespace

std::string verdict_sentence(const SelectionSummary& s, std::string_view scorer) {
  return fmt::format("Best-of-{} with {}: {} against {} for a random answer: {} points {}, {}.", s.n_candidates, scorer,
                     percent(s.all.chosen.value), percent(s.all.mean.value), signed_points(s.all.gain.value),
                     points_interval(s.all.gain.interval), verdict_phrase(s.all.verdict));
}

Table accuracy_table(const SelectionSummary& s) {
  Table table({{"rule"}, {"accuracy", Align::kRight}, {"n", Align::kRight}, {"interval by"}});
  for (const Rule& rule : kRules) {
    const Estimate& e = s.all.*rule.accuracy;
    table.add_row({rule.name, format_estimate(e), format_count(e.n), e.interval.method});
  }
  table.add_rule();
  table.add_row({"chosen - mean", format_estimate(s.all.gain), format_count(s.all.gain.n), s.all.gain.interval.method});
  return table;
}

Table slice_table(const SelectionSummary& s) {
  Table table({{"slice"},
               {"n", Align::kRight},
               {"mean", Align::kRight},
               {"chosen", Align::kRight},
               {"majority", Align::kRight},
               {"oracle", Align::kRight},
               {"chosen - mean", Align::kRight},
               {"verdict"}});
  for (const search::SliceSummary& slice : s.slices) {
    const Accuracies& a = slice.accuracies;
    table.add_row({slice.name, format_count(a.chosen.n), format_number(a.mean.value), format_estimate(a.chosen),
                   format_number(a.majority.value), format_number(a.oracle.value), format_estimate(a.gain),
                   search::verdict_name(a.verdict)});
  }
  return table;
}

std::string selection_report(std::span<const SelectionGroup> groups, const SelectionSummary& summary,
                             const SelectionEvidence& evidence) {
  Page page("Did picking by score help?",
            fmt::format("{} on {} · {} problems, best of {}", evidence.scorer, evidence.data,
                        format_count(summary.counts.used), summary.n_candidates));
  add_head(page, summary, evidence);
  add_accuracy(page, summary);
  add_curve(page, summary);
  add_scores(page, groups, summary, evidence.scale);
  add_slices(page, summary);
  add_mistakes(page, groups, summary);
  add_rescues(page, groups, summary);
  add_groups(page, groups, summary);
  add_evidence(page, summary, evidence);
  return page.html();
}

}  // namespace merit::report
