// merit task: seeded problems with exact answers, so that everything can be tried with no data set at hand.
#include "merit/task/task.h"

#include <fmt/format.h>

#include <map>

#include "command.h"
#include "merit/core/error.h"

namespace merit::app {
namespace {

struct Options {
  task::TaskOptions task;
  std::string format = "messages";
  OutputOptions output;
};

void bind(CLI::App& app, Options& options) {
  app.add_option("--family", options.task.families, "Families of problems; all if not given")
      ->check(CLI::IsMember(task::families()))
      ->delimiter(',');
  app.add_option("--difficulty", options.task.difficulties, "Difficulties, 1 (easiest) to 5")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--count", options.task.count, "How many problems")
      ->check(CLI::Range(uint64_t{1}, uint64_t{10'000'000}))
      ->capture_default_str();
  app.add_option("--seed", options.task.seed, "Another seed, other problems")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--format", options.format, "The prompt as a user message or as plain text")
      ->check(CLI::IsMember({"messages", "text"}))
      ->capture_default_str();
  app.add_flag("!--no-hint", options.task.short_answers, "Leave out the sentence that asks for the answer only");
  options.output.bind(app, "problems");
}

int run(const Options& options, const CLI::App& command) {
  const auto problems = task::make_problems(options.task);
  std::map<std::string, uint64_t> by_family;
  RowOutput rows(options.output, "merit.task/1", run_identity(command, {}),
                 [&](const OrderedJson& row) { ++by_family[row.at("family").get<std::string>()]; });
  for (const task::Problem& problem : problems) {
    if (!rows.is_done(problem.id)) rows.write(task::to_row(problem, options.format == "messages"));
  }
  OrderedJson summary = start_summary(command, nullptr);
  summary["problems"] = problems.size();
  report::Table table({{"family"}, {"problems", report::Align::kRight}});
  for (const auto& [family, count] : by_family) {
    summary["by_family"][family] = count;
    table.add_row({family, report::format_count(count)});
  }
  print_result(options.output, summary, {table});
  return kDone;
}

}  // namespace

void add_task(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "task", "Make seeded problems with exact answers", bind, run);
}

}  // namespace merit::app
