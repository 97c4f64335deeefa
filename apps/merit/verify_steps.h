// merit verify steps: the arithmetic of worked solutions, checked line by line, as step labels.
#pragma once

#include "command.h"

namespace merit::app {

// Writes a row in TRL's stepwise layout (prompt, completions, labels) for every candidate of every group, with the
// claims that were checked, and prints counts. The steps of a stepwise group are its own; else a line is a step.
int run_verify_steps(const DataOptions& data, const OutputOptions& output, const CLI::App& command);

}  // namespace merit::app
