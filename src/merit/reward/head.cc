#include "merit/reward/head.h"

#include <numeric>

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

nn::PathRequest HeadReward::request(const text::Encoded& encoded) const {
  nn::PathRequest request = {.ids = encoded.ids};
  const nn::HeadRecord& record = head_.record();
  if (record.appended >= 0 && request.ids.back() != record.appended) request.ids.push_back(record.appended);
  const auto size = static_cast<int32_t>(request.ids.size());
  if (record.pooling == "mean") {
    request.hidden_at.resize(request.ids.size());
    std::iota(request.hidden_at.begin(), request.hidden_at.end(), 0);
  } else {
    request.hidden_at = {record.pooling == "first" ? 0 : size - 1};
  }
  if (model().tells_texts_apart() && encoded.boundary > 0) request.second_from = encoded.boundary;
  return request;
}

Cell HeadReward::cell(const text::Encoded&, const nn::PathResult& result) const {
  Cell cell;
  cell.value = head_.score(nn::pool_rows(result.hidden, head_.record().pooling)).item<double>();
  return cell;
}

}  // namespace merit::reward
