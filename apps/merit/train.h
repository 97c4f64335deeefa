// merit train: the options of its two ways, the fit of a head on frozen features and the training of a policy.
#pragma once

#include "merit/objective/explain.h"
#include "merit/objective/objectives.h"
#include "merit/train/fit_head.h"
#include "merit/train/trainer.h"
#include "model_options.h"

namespace merit::app {

struct TrainCommand {
  DataOptions data;
  ModelOptions model;
  OutputOptions output;
  std::string objective = "bradley_terry";
  std::string tune;                             // "head", "lora" or "full"; empty: head for bradley_terry, else lora
  std::map<std::string, std::string> settings;  // of the objective, as they were given

  train::FitOptions fit;
  double l2 = -1;
  nn::ReadOptions read;

  train::TrainOptions train;
  nn::AdapterOptions lora;
  bool stored = false;
  bool dry_run = false;
  std::vector<std::string> attributes;
  std::string step_separator = "\n";
  std::string eval;       // a file of held-out groups
  std::string reference;  // another model; empty: this one before training

  Json objective_settings() const;
};

int fit_head(const TrainCommand& options, const CLI::App& command);
int train_policy(const TrainCommand& options, const CLI::App& command);

}  // namespace merit::app
