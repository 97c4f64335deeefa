// merit report: a page of what picking by a score is worth, from scored and labelled rows.
#include <fmt/format.h>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/version.h"
#include "merit/report/selection_report.h"
#include "selection.h"

namespace merit::app {
namespace {

struct Options {
  SelectionOptions selection;
  std::string model;
  OutputOptions output;
};

void bind(CLI::App& app, Options& options) {
  options.selection.bind(app);
  app.get_option("--by")->required();
  app.add_option("--model", options.model, "The model that gave the responses, to be named on the page");
  options.output.bind(app, "page (HTML)");
}

int run(const Options& options, const CLI::App& command) {
  if (options.output.out == "-") fail(ErrorKind::kUsage, "--out: expected a file for the page, got -");
  std::error_code ignored;
  if (std::filesystem::is_regular_file(options.output.out, ignored) && !options.output.overwrite) {
    fail(ErrorKind::kUsage, "{} exists already: give --overwrite or another file", options.output.out);
  }
  GroupStream stream(options.selection.data);
  const auto groups = read_selection(options.selection, stream);
  const search::SelectionSummary result = search::summarise(groups, options.selection.statistics);
  report::SelectionEvidence evidence{.scorer = options.selection.by,
                                     .model = options.model,
                                     .data = options.selection.data.data,
                                     .data_hash = stream.content_hash(),
                                     .version = kVersion,
                                     .seed = options.selection.statistics.seed,
                                     .read = stream.counts().read};
  for (const auto& [reason, count] : stream.counts().dropped) evidence.dropped.emplace_back(reason, count);
  write_file_atomic(options.output.out, report::selection_report(groups, result, evidence));

  OrderedJson summary = start_summary(command, &stream);
  summary["result"] = to_json(result);
  summary["page"] = options.output.out;
  print_result(options.output, summary, {report::accuracy_table(result)},
               report::verdict_sentence(result, options.selection.by) + "\npage in " + options.output.out);
  return kDone;
}

}  // namespace

void add_report(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "report", "Write a page about scored and labelled rows", bind, run);
}

}  // namespace merit::app
