// The shape that most model-based rewards share: each candidate is one path, read once, and its value comes from what
// was read.
#pragma once

#include <memory>
#include <string>

#include "merit/reward/reward.h"
#include "merit/text/encoder.h"

namespace merit::reward {

class PathReward : public Reward {
 public:
  const std::string& name() const override { return name_; }
  Computation score(std::span<const data::Group> groups) const override;

 protected:
  PathReward(std::string name, std::shared_ptr<const Model> model) : name_(std::move(name)), model_(std::move(model)) {}

  const Model& model() const { return *model_; }

 private:
  // What to read of an encoded candidate, and the cell that the reading gives.
  virtual nn::PathRequest request(const text::Encoded& encoded) const = 0;
  virtual Cell cell(const text::Encoded& encoded, const nn::PathResult& result) const = 0;

  std::string name_;
  std::shared_ptr<const Model> model_;
};

}  // namespace merit::reward
