#include "command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "merit/core/error.h"
#include "merit/core/hash.h"
#include "merit/core/strings.h"
#include "merit/core/version.h"
#include "merit/stats/interval.h"

namespace merit::app {
namespace {

// Options that say where results go or how fast they come, and never what they are.
constexpr const char* kNotIdentity[] = {"out",  "overwrite", "json",         "config", "limit",
                                        "help", "dry-run",   "token-budget", "window", "max-live"};

std::string option_name(const CLI::Option& option) {
  return option.get_lnames().empty() ? option.get_name() : option.get_lnames().front();
}

OrderedJson option_values(const CLI::App& command, bool identity_only) {
  OrderedJson values = OrderedJson::object();
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option_name(*option);
    if (identity_only && std::ranges::find(kNotIdentity, name) != std::end(kNotIdentity)) continue;
    if (name == "help") continue;
    if (option->count() == 0) {
      if (!option->get_default_str().empty()) values[name] = option->get_default_str();
    } else if (option->get_expected_max() == 0) {
      values[name] = true;
    } else if (option->results().size() == 1) {
      values[name] = option->results().front();
    } else {
      values[name] = option->results();
    }
  }
  return values;
}

// A file that can be read twice and is the same the second time; pipes and standard input are not.
bool is_regular(const std::string& path) {
  std::error_code ignored;
  return path != "-" && std::filesystem::is_regular_file(path, ignored);
}

}  // namespace

void DataOptions::bind(CLI::App& app) {
  app.add_option("data,--data", data, "Records: JSONL or a JSON array, also .gz; - reads standard input")->required();
  app.add_option("--columns", columns, "Columns under other names: prompt=question,answer=final");
  app.add_flag("--skip-bad-rows", skip_bad_rows, "Leave out rows that cannot be used, and count them");
  app.add_option("--limit", limit, "Use the first N groups only; 0 uses all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

data::ReadOptions DataOptions::read_options() const {
  data::ReadOptions options;
  options.bad_rows = skip_bad_rows ? data::BadRowPolicy::kSkip : data::BadRowPolicy::kFail;
  if (!columns.empty()) options.columns = data::parse_column_map(columns);
  return options;
}

GroupStream::GroupStream(const DataOptions& options)
    : reader_(options.data, options.read_options()), limit_(options.limit) {}

std::optional<data::Group> GroupStream::next() {
  if (limit_ != 0 && given_ == limit_) return std::nullopt;
  auto result = reader_.next();
  if (!result) return std::nullopt;
  ++given_;
  return std::move(*result).value();
}

std::vector<data::Group> GroupStream::take(size_t count) {
  std::vector<data::Group> groups;
  while (groups.size() < count) {
    auto group = next();
    if (!group) break;
    groups.push_back(std::move(*group));
  }
  return groups;
}

void OutputOptions::bind(CLI::App& app, const char* what) {
  app.add_option("--out", out, std::string("Where to write the ") + what + "; - writes to standard output")->required();
  app.add_flag("--overwrite", overwrite, "Replace the rows of another run instead of refusing");
  app.add_flag("--json", json, "Print the summary as JSON instead of tables");
}

void OutputOptions::bind_folder(CLI::App& app, const char* what) {
  app.add_option("--out", out, std::string("The folder to write: ") + what)
      ->required()
      ->check([](const std::string& path) -> std::string {
        std::error_code ignored;
        const bool file =
            path == "-" || (std::filesystem::exists(path, ignored) && !std::filesystem::is_directory(path, ignored));
        return file ? "expected a folder, got " + path : "";
      });
  app.add_flag("--overwrite", overwrite, "Replace what another run left there instead of refusing");
  app.add_flag("--json", json, "Print the summary as JSON instead of tables");
}

RowOutput::RowOutput(const OutputOptions& options, const std::string& schema, const OrderedJson& identity,
                     std::function<void(const OrderedJson&)> on_row)
    : writer_(options.out, schema, identity, options.overwrite), on_row_(std::move(on_row)) {
  if (writer_.rows_done() == 0) return;
  fmt::print(stderr, "continuing {}: {} rows are done\n", options.out, writer_.rows_done());
  data::RowReader kept(options.out);
  while (auto row = kept.next()) on_row_(std::move(*row).value().value);
}

void RowOutput::write(const OrderedJson& row) {
  writer_.write(row);
  on_row_(row);
}

OrderedJson run_identity(const CLI::App& command, const std::vector<std::string>& input_files) {
  OrderedJson identity = {{"command", command.get_name()}, {"version", kVersion}};
  identity["options"] = option_values(command, true);
  for (const std::string& file : input_files) {
    identity["inputs"][file] = is_regular(file)
                                   ? hash_file(file)
                                   : fmt::format("not a regular file, read by process {} at {}", getpid(),
                                                 std::chrono::system_clock::now().time_since_epoch().count());
  }
  return identity;
}

OrderedJson resolved_options(const CLI::App& command) { return option_values(command, false); }

namespace {

// "2 of 9 rows left out: not JSON (1), empty (1)"; "" if none was.
std::string left_out(const OrderedJson& summary) {
  const auto data = summary.find("data");
  if (data == summary.end() || !data->contains("dropped")) return "";
  uint64_t total = 0;
  std::vector<std::string> reasons;
  for (const auto& item : data->at("dropped").items()) {
    total += item.value().get<uint64_t>();
    reasons.push_back(fmt::format("{} ({})", item.key(), item.value().get<uint64_t>()));
  }
  if (total == 0) return "";
  return fmt::format("{} of {} rows left out: {}", total, data->at("read").get<uint64_t>(), join(reasons, ", "));
}

}  // namespace

void print_result(const OutputOptions& options, const OrderedJson& summary, const std::vector<report::Table>& tables,
                  const std::string& note) {
  std::FILE* stream = options.out == "-" ? stderr : stdout;
  if (options.json) {
    fmt::print(stream, "{}\n", dump_json(summary));
  } else {
    const report::TableStyle style = report::terminal_style(fileno(stream));
    for (const report::Table& table : tables) fmt::print(stream, "{}", table.render(style));
    if (!note.empty()) fmt::print(stream, "{}\n", note);
    if (const std::string line = left_out(summary); !line.empty()) fmt::print(stream, "{}\n", line);
  }
  if (std::fflush(stream) != 0) fail(ErrorKind::kIo, "cannot write the result: the output is closed or full");
}

OrderedJson start_summary(const CLI::App& command, const GroupStream* stream) {
  OrderedJson summary = {{"schema", fmt::format("merit.{}.summary/1", command.get_name())}, {"version", kVersion}};
  summary["options"] = resolved_options(command);
  if (stream != nullptr) {
    summary["data"] = data::to_json(stream->counts());
    summary["data"]["hash"] = stream->content_hash();
  }
  return summary;
}

OrderedJson row_of(const data::Group& group) {
  OrderedJson row = {{"id", group.id}};
  if (group.prompt) row["prompt"] = to_json(*group.prompt);
  const auto label_json = [](const data::Candidate& candidate) {
    return candidate.label ? OrderedJson(*candidate.label) : OrderedJson(nullptr);
  };
  if (data::is_preference(group.layout)) {
    row["chosen"] = to_json(group.candidates[0].content);
    row["rejected"] = to_json(group.candidates[1].content);
  } else if (group.layout == data::Layout::kCompletion || group.layout == data::Layout::kUnpaired) {
    row["completion"] = to_json(group.candidates[0].content);
    if (group.candidates[0].label) row["label"] = *group.candidates[0].label != 0;
  } else if (group.layout == data::Layout::kResponses) {
    row["responses"] = OrderedJson::array();
    bool labelled = false;
    for (const data::Candidate& candidate : group.candidates) {
      OrderedJson response = to_json(candidate.content);
      if (!candidate.columns.empty()) {
        OrderedJson object = {{"completion", std::move(response)}};
        object.update(candidate.columns);
        response = std::move(object);
      }
      row["responses"].push_back(std::move(response));
      labelled = labelled || candidate.label.has_value();
    }
    if (labelled) {
      row["labels"] = OrderedJson::array();
      for (const data::Candidate& candidate : group.candidates) row["labels"].push_back(label_json(candidate));
    }
  }
  for (const auto& item : group.columns.items()) {
    if (item.key() != "schema") row[item.key()] = item.value();  // that of the file it was read from
  }
  return row;
}

OrderedJson proportion_json(uint64_t count, uint64_t n) {
  const auto estimate = stats::wilson_interval(static_cast<double>(count), n);
  if (!estimate) return nullptr;
  return {{"share", estimate->value}, {"low", estimate->interval.low}, {"high", estimate->interval.high}, {"n", n}};
}

std::string proportion_text(uint64_t count, uint64_t n) {
  return report::format_estimate(stats::wilson_interval(static_cast<double>(count), n));
}

}  // namespace merit::app
