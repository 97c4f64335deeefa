#include "merit/reward/head.h"

#include "merit/core/error.h"

namespace merit::reward {

nn::PathRequest last_hidden_request(const text::Encoded& encoded) {
  return {.ids = encoded.ids, .logps_from = -1, .hidden_at = {static_cast<int32_t>(encoded.ids.size()) - 1}};
}

HeadReward::HeadReward(std::string name, std::shared_ptr<const Model> model, nn::ScalarHead head)
    : PathReward(std::move(name), std::move(model)), head_(std::move(head)) {
  if (head_.outputs() != 1) {
    fail(ErrorKind::kUnsupported, "the head has {} outputs; expected one (a scalar reward)", head_.outputs());
  }
  head_.check_fits(this->model().config().hidden_size, this->model().identity(), this->model().encoding_hash());
}

nn::PathRequest HeadReward::request(const text::Encoded& encoded) const { return last_hidden_request(encoded); }

Cell HeadReward::cell(const text::Encoded&, const nn::PathResult& result) const {
  Cell cell;
  cell.value = head_.score(result.hidden).item<double>();
  return cell;
}

}  // namespace merit::reward
