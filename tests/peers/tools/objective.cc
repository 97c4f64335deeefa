// tool: DEPS objective
// Losses of batches given as JSON lines on standard input, with their gradients and metrics, one answer a line: for
// comparison with other programs. A batch is a member for each field of objective::Batch; "update" says that the
// objective's state takes the batch in first.
#include <ATen/ops/from_blob.h>

#include <iostream>
#include <string>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/json.h"
#include "merit/objective/objectives.h"

namespace {

using merit::Json;
using merit::objective::Batch;

at::Tensor vector_of(const Json& numbers) {
  auto values = numbers.get<std::vector<double>>();
  return at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kDouble).clone();
}

at::Tensor matrix_of(const Json& rows) {
  Json flat = Json::array();
  for (const Json& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return vector_of(flat).view({static_cast<int64_t>(rows.size()), -1});
}

Batch batch_of(const Json& from) {
  Batch batch;
  const auto read = [&](const char* key, auto& field) {
    if (from.contains(key)) from.at(key).get_to(field);
  };
  const auto read_tensor = [&](const char* key, at::Tensor& field, auto convert) {
    if (from.contains(key)) field = convert(from.at(key));
  };
  read("token_begin", batch.token_begin);
  read("prompt_begin", batch.prompt_begin);
  read("value_begin", batch.value_begin);
  read("chosen", batch.chosen);
  read("rejected", batch.rejected);
  read("mismatched", batch.mismatched);
  read("lists", batch.lists);
  read_tensor("logps", batch.logps, vector_of);
  read_tensor("ref_logps", batch.ref_logps, vector_of);
  read_tensor("sumsq", batch.sumsq, vector_of);
  read_tensor("divergence", batch.divergence, vector_of);
  read_tensor("prompt_logps", batch.prompt_logps, vector_of);
  read_tensor("margin", batch.margin, vector_of);
  read_tensor("label", batch.label, vector_of);
  read_tensor("values", batch.values, matrix_of);
  read_tensor("value_targets", batch.value_targets, matrix_of);
  return batch;
}

Json answer(const Json& question) {
  const auto loss = merit::objective::find_objective(merit::get_string(question, "objective", "question"))
                        .make(question.value("options", Json::object()));
  Batch batch = batch_of(question.at("batch"));
  if (question.value("update", false)) loss->update(batch);
  std::vector<std::pair<const char*, at::Tensor*>> inputs = {{"logps", &batch.logps},
                                                             {"divergence", &batch.divergence},
                                                             {"prompt_logps", &batch.prompt_logps},
                                                             {"values", &batch.values}};
  for (auto& [name, tensor] : inputs) {
    if (tensor->defined()) tensor->set_requires_grad(true);
  }
  const merit::objective::Result result = (*loss)(batch);
  const at::Tensor total = merit::objective::total(result);
  total.backward();
  Json answer = {{"loss", total.item<double>()}, {"gradients", Json::object()}, {"metrics", Json::object()}};
  for (auto& [name, tensor] : inputs) {
    if (!tensor->defined() || !tensor->grad().defined()) continue;
    const at::Tensor gradient = tensor->grad().contiguous().view({-1});
    const double* values = gradient.const_data_ptr<double>();
    answer["gradients"][name] = std::vector<double>(values, values + gradient.numel());
  }
  for (const auto& metric : result.metrics) answer["metrics"][metric.name] = metric.sum / metric.count;
  return answer;
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    try {
      std::cout << merit::dump_json(answer(merit::parse_json(line, "question"))) << std::endl;
    } catch (const std::exception& error) {
      std::cout << merit::dump_json(Json{{"error", error.what()}}) << std::endl;
    }
  }
  return 0;
}
