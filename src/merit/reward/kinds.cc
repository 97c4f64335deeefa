#include "merit/reward/kinds.h"

#include <filesystem>
#include <set>

#include "merit/core/error.h"
#include "merit/core/strings.h"
#include "merit/reward/head.h"
#include "merit/reward/likelihood.h"

namespace merit::reward {
namespace {

struct Spec {
  std::string name;
  std::string kind;
  std::string argument;
};

Spec parse(const std::string& text) {
  Spec spec;
  const size_t colon = text.find(':');
  const size_t equals = text.find('=');
  const bool named = equals != std::string::npos && (colon == std::string::npos || equals < colon);
  const size_t start = named ? equals + 1 : 0;
  spec.kind = text.substr(start, colon == std::string::npos ? std::string::npos : colon - start);
  if (colon != std::string::npos) spec.argument = text.substr(colon + 1);
  spec.name = named ? text.substr(0, equals) : spec.kind;
  if (spec.name.empty() || spec.kind.empty()) {
    fail(ErrorKind::kUsage, "reward {}: expected [NAME=]KIND[:ARGUMENT]", quote(text));
  }
  return spec;
}

std::shared_ptr<const Model> default_model(const Spec& spec, const RewardContext& context) {
  if (context.model.empty()) fail(ErrorKind::kUsage, "reward kind {} needs a model: give --model", spec.kind);
  return context.models.get(context.model);
}

std::unique_ptr<Reward> make_answer(const Spec& spec, const RewardContext& context) {
  AnswerOptions options = context.answer;
  if (!spec.argument.empty()) {
    options.kind = verify::parse_answer_kind(spec.argument);
    if (!options.kind) {
      fail(ErrorKind::kUsage, "answer: expected math, number, text, date or list, got {}", quote(spec.argument));
    }
  }
  return std::make_unique<AnswerReward>(spec.name, options);
}

std::unique_ptr<Reward> make_likelihood(const Spec& spec, const RewardContext& context) {
  LikelihoodRule rule = LikelihoodRule::kSum;
  if (spec.argument == "mean") {
    rule = LikelihoodRule::kMean;
  } else if (!spec.argument.empty() && spec.argument != "sum") {
    fail(ErrorKind::kUsage, "likelihood: expected sum or mean, got {}", quote(spec.argument));
  }
  return std::make_unique<LikelihoodReward>(spec.name, default_model(spec, context), rule);
}

std::unique_ptr<Reward> make_head(const Spec& spec, const RewardContext& context) {
  if (spec.argument.empty()) fail(ErrorKind::kUsage, "reward kind head needs a folder: head:FOLDER");
  const std::filesystem::path folder = spec.argument;
  nn::ScalarHead head = nn::load_head(folder);
  const bool own_model = !std::filesystem::exists(folder / "merit_head.json");
  auto model = own_model ? context.models.get(folder) : default_model(spec, context);
  return std::make_unique<HeadReward>(spec.name, std::move(model), std::move(head));
}

struct Kind {
  const char* name;
  const char* usage;
  const char* what;
  std::unique_ptr<Reward> (*make)(const Spec&, const RewardContext&);
};

constexpr Kind kKinds[] = {
    {"answer", "answer[:KIND]", "1 if the response's answer is the row's reference, else 0", make_answer},
    {"likelihood", "likelihood[:mean]", "ln p(response | prompt) under the model; mean: per token", make_likelihood},
    {"head", "head:FOLDER", "a trained score head on the response's last hidden state", make_head},
};

}  // namespace

std::vector<std::pair<std::string, std::string>> reward_kinds() {
  std::vector<std::pair<std::string, std::string>> kinds;
  for (const Kind& kind : kKinds) kinds.emplace_back(kind.usage, kind.what);
  return kinds;
}

std::unique_ptr<Reward> make_reward(const std::string& text, const RewardContext& context) {
  const Spec spec = parse(text);
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) {
    if (spec.kind == kind.name) return kind.make(spec, context);
    names.emplace_back(kind.name);
  }
  const std::string near = closest(spec.kind, names);
  fail(ErrorKind::kUsage, "unknown reward kind {}: {}", quote(spec.kind),
       near.empty() ? "expected one of " + join(names, ", ") : "did you mean " + near + "?");
}

std::vector<std::unique_ptr<Reward>> make_rewards(std::span<const std::string> specs, const RewardContext& context) {
  std::vector<std::unique_ptr<Reward>> rewards;
  std::set<std::string> names;
  for (const std::string& spec : specs) {
    rewards.push_back(make_reward(spec, context));
    if (!names.insert(rewards.back()->name()).second) {
      fail(ErrorKind::kUsage, "two rewards are named {}: give them names, as in first=head:A second=head:B",
           quote(rewards.back()->name()));
    }
  }
  return rewards;
}

}  // namespace merit::reward
