// merit verify: checks the answers in responses against the reference in each row, and labels them; of kind steps, the
// arithmetic of worked solutions (verify_steps.cc).
#include <fmt/format.h>

#include <filesystem>

#include "command.h"
#include "merit/core/error.h"
#include "merit/core/interrupt.h"
#include "merit/core/progress.h"
#include "merit/core/strings.h"
#include "merit/reward/answer.h"
#include "verify_steps.h"

namespace merit::app {
namespace {

struct Options {
  DataOptions data;
  reward::AnswerOptions answer;
  std::string answer_kind = "row";
  std::string profile = "strict";
  bool explain = false;
  OutputOptions output;
};

// A word before the file is a kind, known or not: "merit verify mth answers.jsonl" is told which kinds there are.
std::string kind_word(const std::string& word) {
  std::error_code ignored;
  const bool file =
      word == "-" || word.find_first_of("./") != std::string::npos || std::filesystem::exists(word, ignored);
  return file ? "a file" : "";
}

void check_kind(const std::string& kind) {
  const std::vector<std::string> kinds = {"row", "math", "number", "text", "date", "list", "steps"};
  if (std::ranges::find(kinds, kind) != kinds.end()) return;
  const std::string near = closest(kind, kinds);
  fail(ErrorKind::kUsage, "unknown kind {}: expected {}{}", quote(kind), join(kinds, ", "),
       near.empty() ? "" : "; did you mean " + near + "?");
}

// The options that say how answers are compared, which steps have no use for.
void check_steps_options(const CLI::App& command) {
  for (const char* name : {"--answer-column", "--relative-tolerance", "--ignore-percent", "--ignore-units",
                           "--relation-for-set", "--profile", "--explain"}) {
    if (command.count(name) > 0) fail(ErrorKind::kUsage, "{} is no option of steps, which have no reference", name);
  }
}

void bind(CLI::App& app, Options& options) {
  // The kind may stand before the file: "merit verify math answers.jsonl".
  app.validate_positionals();
  app.add_option("kind,--answer-kind", options.answer_kind,
                 "What the answers are: math, number, text, date or list; row: what the column answer_kind says, else "
                 "number; steps: label the steps of worked solutions by their arithmetic")
      ->check(kind_word)
      ->capture_default_str();
  options.data.bind(app);
  app.add_option("--answer-column", options.answer.column, "The column that holds the reference answer")
      ->capture_default_str();
  app.add_option("--relative-tolerance", options.answer.verify.relative_tolerance,
                 "Numbers this close to the reference, relative to it, are equal")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_flag("--ignore-percent", options.answer.verify.ignore_percent, "35% and 35 are the same answer");
  app.add_flag("--ignore-units", options.answer.verify.ignore_units, "10 cm and 10 m are the same answer (math)");
  app.add_flag("--relation-for-set", options.answer.verify.relation_for_set,
               "An inequality answers a reference that is an interval (math)");
  app.add_option("--profile", options.profile, "Whose choices decide what graders differ on (math)")
      ->check(CLI::IsMember({"strict", "math-verify"}))
      ->capture_default_str();
  app.add_flag("--explain", options.explain, "Show what was read, what decided, and why, answer by answer");
  options.output.bind(app, "labelled rows");
}

// What the rows say in the end; counts kept rows of an interrupted run too.
struct Tally {
  uint64_t correct = 0, incorrect = 0, unknown_response = 0, unknown_item = 0;

  void add(const OrderedJson& row) {
    for (const OrderedJson& verdict : row.at("verdicts")) {
      const auto outcome = verdict.at("outcome").get<std::string>();
      if (outcome == "correct") {
        ++correct;
      } else if (outcome == "incorrect") {
        ++incorrect;
      } else {
        ++(verdict.at("cause") == "item" ? unknown_item : unknown_response);
      }
    }
  }
  // An answer that cannot be read is not right; an item without a readable reference judges nobody.
  uint64_t judged() const { return correct + incorrect + unknown_response; }
};

OrderedJson labelled_row(const data::Group& group, const std::vector<verify::Verdict>& verdicts) {
  data::Group labelled = group;
  if (labelled.layout == data::Layout::kCompletion) labelled.layout = data::Layout::kUnpaired;
  OrderedJson verdict_rows = OrderedJson::array();
  for (size_t i = 0; i < verdicts.size(); ++i) {
    const verify::Verdict& verdict = verdicts[i];
    const bool judged =
        verdict.outcome != verify::Outcome::kUnknown || verdict.cause == verify::AbstainCause::kResponse;
    labelled.candidates[i].label =
        judged ? std::optional<double>(verdict.outcome == verify::Outcome::kCorrect ? 1 : 0) : std::nullopt;
    verdict_rows.push_back({{"outcome", verify::name_of(verdict.outcome)},
                            {"cause", verify::name_of(verdict.cause)},
                            {"extracted", verdict.extracted},
                            {"rule", verdict.rule},
                            {"reason", verdict.reason}});
  }
  OrderedJson row = row_of(labelled);
  row["verdicts"] = std::move(verdict_rows);
  return row;
}

// One line a verdict: where it stands, what it says, what was read, what decided and why.
void explain(const OrderedJson& row, report::Table& table) {
  size_t index = 0;
  for (const OrderedJson& verdict : row.at("verdicts")) {
    const auto text = [&](const char* key) { return verdict.at(key).get<std::string>(); };
    const std::string outcome = text("outcome") + (text("cause") == "none" ? "" : " (" + text("cause") + ")");
    const std::string where = row.at("id").is_string() ? row.at("id").get<std::string>() : dump_json(row.at("id"));
    table.add_row(
        {where + "." + std::to_string(index++), outcome, quote(text("extracted"), 40), text("rule"), text("reason")});
  }
}

int run(const Options& options, const CLI::App& command) {
  check_kind(options.answer_kind);
  if (options.answer_kind == "steps") {
    check_steps_options(command);
    return run_verify_steps(options.data, options.output, command);
  }
  reward::AnswerOptions answer = options.answer;
  if (options.profile == "math-verify") answer.verify.profile = verify::Profile::kMathVerify;
  if (options.answer_kind != "row") answer.kind = verify::parse_answer_kind(options.answer_kind);
  GroupStream stream(options.data);
  Tally tally;
  report::Table verdicts({{"answer"}, {"outcome"}, {"read"}, {"rule"}, {"reason"}});
  RowOutput rows(options.output, "merit.verify/1", run_identity(command, {options.data.data}),
                 [&](const OrderedJson& row) {
                   tally.add(row);
                   if (options.explain) explain(row, verdicts);
                 });
  Progress progress("verify", 0, "rows");
  while (auto group = stream.next()) {
    stop_if_interrupted();
    progress.add(1);
    if (rows.is_done(group->id)) continue;
    if (group->candidates.empty()) {
      fail(ErrorKind::kData, "{}: nothing to verify: expected a completion or responses, got the columns of a prompt",
           group->where);
    }
    rows.write(labelled_row(*group, reward::verify_group(*group, answer)));
  }
  progress.finish();

  OrderedJson summary = start_summary(command, &stream);
  summary["correct"] = proportion_json(tally.correct, tally.judged());
  summary["counts"] = {{"correct", tally.correct},
                       {"incorrect", tally.incorrect},
                       {"unreadable_response", tally.unknown_response},
                       {"unusable_reference", tally.unknown_item}};
  report::Table table({{"outcome"}, {"responses", report::Align::kRight}});
  table.add_row({"correct", report::format_count(tally.correct)});
  table.add_row({"incorrect", report::format_count(tally.incorrect)});
  table.add_row({"no readable answer (counts as wrong)", report::format_count(tally.unknown_response)});
  table.add_row({"unusable reference (not judged)", report::format_count(tally.unknown_item)});
  table.add_rule();
  table.add_row({"share correct", proportion_text(tally.correct, tally.judged())});
  std::vector<report::Table> tables;
  if (options.explain) tables.push_back(std::move(verdicts));
  tables.push_back(std::move(table));
  print_result(options.output, summary, tables);
  if (tally.judged() == 0) {
    fail(ErrorKind::kData, "no response could be judged: is {} the column with the reference, and --answer-kind right?",
         quote(answer.column));
  }
  return kDone;
}

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "verify", "Check the answers in responses, or the steps, and label them", bind,
                       run);
}

}  // namespace merit::app
