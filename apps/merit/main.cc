// The program: one table of commands, one place that catches, the exit codes.
#include <fmt/core.h>

#include <iostream>
#include <string>
#include <vector>

#include "command.h"
#include "merit/core/error.h"
#include "merit/core/interrupt.h"
#include "merit/core/strings.h"
#include "merit/core/version.h"

namespace merit::app {
namespace {

constexpr void (*kCommands[])(CLI::App&, Action&) = {add_task,  add_generate, add_verify, add_train,
                                                     add_score, add_select,   add_report, add_model};

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return kUsageError;
    case ErrorKind::kInterrupted:
      return kInterruptedResumable;
    default:
      return kFailed;
  }
}

// A first argument that is no command: say which one is meant.
void check_command_name(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands({})) names.push_back(sub->get_name());
  if (std::ranges::find(names, argv[1]) != names.end()) return;
  const std::string near = closest(argv[1], names);
  fail(ErrorKind::kUsage, "unknown command {}: {}", quote(argv[1]),
       near.empty() ? "expected one of " + join(names, ", ") : "did you mean " + near + "?");
}

int run(int argc, char** argv) {
  CLI::App app("Rewards and preferences around language models: score, train, verify, select, report.", "merit");
  app.set_version_flag("--version", std::string("merit ") + kVersion);
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "The help of every command");
  app.get_formatter()->column_width(34);
  Action action;
  for (auto* add : kCommands) add(app, action);
  app.set_config("--config", "", "Options from a TOML file with a section for each command; flags win over it");
  app.allow_config_extras(CLI::config_extras_mode::error);
  for (CLI::App* sub : app.get_subcommands({})) sub->fallthrough();  // so that --config may stand behind the command
  try {
    check_command_name(app, argc, argv);
    app.parse(argc, argv);
    return action();
  } catch (const CLI::Success& e) {
    const int code = app.exit(e);
    if (std::cout.flush().good()) return code;
    fmt::print(stderr, "merit: cannot write to standard output: it is closed or full\n");
    return kFailed;
  } catch (const CLI::ParseError& e) {
    std::string message = e.what();
    for (char& c : message) c = c == '\n' ? ' ' : c;
    fmt::print(stderr, "merit: {}. See merit {}--help\n", message,
               app.get_subcommands().empty() ? "" : app.get_subcommands().front()->get_name() + " ");
    return kUsageError;
  } catch (const Error& e) {
    fmt::print(stderr, "merit: {}\n", e.what());
    return exit_code(e.kind());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "merit: out of memory: lower --token-budget or --window, or use a smaller model\n");
    return kFailed;
  } catch (const std::exception& e) {
    const std::string_view what = e.what();  // libtorch's errors carry a stack trace below the first line
    fmt::print(stderr, "merit: {}\n", what.substr(0, what.find('\n')));
    return kFailed;
  }
}

}  // namespace
}  // namespace merit::app

int main(int argc, char** argv) {
  merit::install_interrupt_handler();
  return merit::app::run(argc, argv);
}
