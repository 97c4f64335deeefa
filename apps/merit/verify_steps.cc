#include "verify_steps.h"

#include <fmt/format.h>

#include "merit/core/error.h"
#include "merit/core/interrupt.h"
#include "merit/core/progress.h"
#include "merit/core/strings.h"
#include "merit/verify/steps.h"

namespace merit::app {
namespace {

// Texts of steps and what is claimed in each. A step that the data gives may have several lines.
struct Solution {
  std::vector<std::string> steps;
  std::vector<std::vector<verify::Claim>> claims;
};

Solution checked(const data::Candidate& candidate) {
  Solution out;
  if (candidate.columns.contains("steps")) {
    for (const OrderedJson& text : candidate.columns["steps"]) {
      out.steps.push_back(text.get<std::string>());
      std::vector<verify::Claim>& claims = out.claims.emplace_back();
      for (verify::Step& line : verify::check_steps(out.steps.back())) {
        for (verify::Claim& claim : line.claims) claims.push_back(std::move(claim));
      }
    }
    return out;
  }
  const std::string text = text_of(candidate.content);
  for (verify::Step& step : verify::check_steps(text)) {
    out.steps.emplace_back(trim(step.text));
    out.claims.push_back(std::move(step.claims));
  }
  return out;
}

// A solution's row: labels are true up to its first wrong step and false from there on, as what follows builds on it.
OrderedJson stepwise_row(const std::string& id, const data::Group& group, const Solution& solution) {
  OrderedJson row = {{"id", id}};
  row["prompt"] = group.prompt ? to_json(*group.prompt) : OrderedJson("");
  row["completions"] = solution.steps;
  OrderedJson labels = OrderedJson::array(), claims = OrderedJson::array();
  OrderedJson first_wrong = nullptr;
  for (size_t k = 0; k < solution.steps.size(); ++k) {
    OrderedJson of_step = OrderedJson::array();
    for (const verify::Claim& claim : solution.claims[k]) {
      of_step.push_back({{"left", claim.left}, {"right", claim.right}, {"holds", claim.holds}});
      if (!claim.holds && first_wrong.is_null()) first_wrong = k;
    }
    labels.push_back(first_wrong.is_null());
    claims.push_back(std::move(of_step));
  }
  row["labels"] = std::move(labels);
  row["first_wrong"] = std::move(first_wrong);
  row["claims"] = std::move(claims);
  for (const auto& column : group.columns.items()) {
    if (!row.contains(column.key())) row[column.key()] = column.value();
  }
  return row;
}

struct Tally {
  uint64_t solutions = 0, wrong = 0, steps = 0, claims = 0, false_claims = 0;

  void add(const OrderedJson& row) {
    ++solutions;
    wrong += row.at("first_wrong").is_null() ? 0 : 1;
    steps += row.at("completions").size();
    for (const OrderedJson& step : row.at("claims")) {
      for (const OrderedJson& claim : step) {
        ++claims;
        false_claims += claim.at("holds").get<bool>() ? 0 : 1;
      }
    }
  }
};

}  // namespace

int run_verify_steps(const DataOptions& data, const OutputOptions& output, const CLI::App& command) {
  GroupStream stream(data);
  Tally tally;
  RowOutput rows(output, "merit.steps/1", run_identity(command, {data.data}),
                 [&](const OrderedJson& row) { tally.add(row); });
  Progress progress("verify", 0, "rows");
  while (auto group = stream.next()) {
    stop_if_interrupted();
    progress.add(1);
    if (group->candidates.empty()) {
      fail(ErrorKind::kData,
           "{}: nothing to verify: expected a completion, responses or steps, got the columns of a prompt",
           group->where);
    }
    for (size_t k = 0; k < group->candidates.size(); ++k) {
      const std::string id = group->candidates.size() == 1 ? group->id : fmt::format("{}.{}", group->id, k);
      if (!rows.is_done(id)) rows.write(stepwise_row(id, *group, checked(group->candidates[k])));
    }
  }
  progress.finish();

  OrderedJson summary = start_summary(command, &stream);
  summary["right"] = proportion_json(tally.solutions - tally.wrong, tally.solutions);
  summary["counts"] = {{"solutions", tally.solutions},
                       {"with_a_wrong_step", tally.wrong},
                       {"steps", tally.steps},
                       {"claims", tally.claims},
                       {"false_claims", tally.false_claims}};
  report::Table table({{"found"}, {"count", report::Align::kRight}});
  table.add_row({"solutions", report::format_count(tally.solutions)});
  table.add_row({"solutions with a wrong step", report::format_count(tally.wrong)});
  table.add_row({"steps", report::format_count(tally.steps)});
  table.add_row({"claims checked", report::format_count(tally.claims)});
  table.add_row({"claims that do not hold", report::format_count(tally.false_claims)});
  table.add_rule();
  table.add_row({"share without a wrong step", proportion_text(tally.solutions - tally.wrong, tally.solutions)});
  print_result(output, summary, {table});
  return kDone;
}

}  // namespace merit::app
