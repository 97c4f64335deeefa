// What the commands share: how one is registered, the options that mean the same everywhere, and how results leave.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/data/reader.h"
#include "merit/data/row_writer.h"
#include "merit/report/table.h"

namespace merit::app {

// Exit codes of every command.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsageError = 2;
inline constexpr int kInterruptedResumable = 3;

// What main runs after parsing: set by the subcommand that was given.
using Action = std::function<int()>;

// One line each in the table of main.cc. Registers the subcommand and sets `action` when it is chosen.
void add_task(CLI::App& app, Action& action);
void add_generate(CLI::App& app, Action& action);
void add_verify(CLI::App& app, Action& action);
void add_train(CLI::App& app, Action& action);
void add_score(CLI::App& app, Action& action);
void add_select(CLI::App& app, Action& action);
void add_report(CLI::App& app, Action& action);
void add_model(CLI::App& app, Action& action);

// Registers subcommand `name` with its own copy of Options; `bind` declares the options, `run` is the command.
template <typename Options>
CLI::App* add_command(CLI::App& app, Action& action, const char* name, const char* summary,
                      void (*bind)(CLI::App&, Options&), int (*run)(const Options&, const CLI::App&)) {
  CLI::App* sub = app.add_subcommand(name, summary);
  auto options = std::make_shared<Options>();
  bind(*sub, *options);
  sub->callback([sub, options, run, &action] { action = [sub, options, run] { return run(*options, *sub); }; });
  return sub;
}

// --data and what belongs to reading it.
struct DataOptions {
  std::string data;
  std::string columns;
  bool skip_bad_rows = false;
  uint64_t limit = 0;

  void bind(CLI::App& app);
  data::ReadOptions read_options() const;
};

// The groups of --data, at most --limit of them; throws on the first bad row unless they are skipped.
class GroupStream {
 public:
  explicit GroupStream(const DataOptions& options);
  std::optional<data::Group> next();
  // Up to `count` more groups; empty at the end.
  std::vector<data::Group> take(size_t count);
  const data::ReadCounts& counts() const { return reader_.counts(); }
  std::string content_hash() const { return reader_.content_hash(); }

 private:
  data::Reader reader_;
  uint64_t limit_;
  uint64_t given_ = 0;
};

// --out, --overwrite, --json.
struct OutputOptions {
  std::string out;
  bool overwrite = false;
  bool json = false;

  // `what`: "scored rows".
  void bind(CLI::App& app, const char* what);
  // For a result that is a folder; "-" and a file are refused there.
  void bind_folder(CLI::App& app, const char* what);
};

// The rows of a command: written in order, kept over a restart, and all of them, kept and new, seen by `on_row`.
class RowOutput {
 public:
  RowOutput(const OutputOptions& options, const std::string& schema, const OrderedJson& identity,
            std::function<void(const OrderedJson&)> on_row);
  bool is_done(const std::string& id) const { return writer_.is_done(id); }
  uint64_t rows_done() const { return writer_.rows_done(); }
  void write(const OrderedJson& row);

 private:
  data::RowWriter writer_;
  std::function<void(const OrderedJson&)> on_row_;
};

// What the rows of a run depend on: the command's options but for those that only say where and how much, the hash of
// every input file, merit's version. Used to tell whether a file on disk continues this run.
OrderedJson run_identity(const CLI::App& command, const std::vector<std::string>& input_files);

// The options as they were resolved (defaults, --config, flags), for the record.
OrderedJson resolved_options(const CLI::App& command);

// The end of every command: the summary as JSON if --json was given, else the tables. They go to standard output,
// or to standard error if the rows went to standard output.
void print_result(const OutputOptions& options, const OrderedJson& summary, const std::vector<report::Table>& tables,
                  const std::string& note = "");

// {"schema": "merit.<command>.summary/1", "version", "options", "data": counts and hash}
OrderedJson start_summary(const CLI::App& command, const GroupStream* stream);

// The row of a group in the explicit layout that data::Reader reads back: prompt, candidates, labels, columns.
OrderedJson row_of(const data::Group& group);

// {"share": .., "low": .., "high": .., "n": ..} (Wilson), and the same for a table.
OrderedJson proportion_json(uint64_t count, uint64_t n);
std::string proportion_text(uint64_t count, uint64_t n);

}  // namespace merit::app
