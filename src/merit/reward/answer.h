// The verifiable reward: 1 if the response's answer is the row's reference, else 0.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "merit/data/group.h"
#include "merit/reward/reward.h"
#include "merit/verify/answer.h"

namespace merit::reward {

struct AnswerOptions {
  std::string column = "answer";           // holds the reference: text or a number
  std::optional<verify::AnswerKind> kind;  // nothing: what the row's `answer_kind` says, else numbers
  verify::VerifyOptions verify;
};

// The kind of the group's answers. Error(kData) for an `answer_kind` that is no kind's name.
verify::AnswerKind answer_kind_of(const data::Group& group, const AnswerOptions& options);

// One verdict a candidate, from its text alone. A missing or null reference makes every verdict unknown by `item`.
std::vector<verify::Verdict> verify_group(const data::Group& group, const AnswerOptions& options);

// Floor 0: an answer that cannot be read earns what a wrong one earns.
class AnswerReward : public Reward {
 public:
  AnswerReward(std::string name, AnswerOptions options) : name_(std::move(name)), options_(std::move(options)) {}
  const std::string& name() const override { return name_; }
  std::string identity() const override;
  Computation score(std::span<const data::Group> groups) const override;

 private:
  std::string name_;
  AnswerOptions options_;
};

}  // namespace merit::reward
