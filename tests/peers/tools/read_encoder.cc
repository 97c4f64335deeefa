// tool: DEPS core nn
// read_encoder FOLDER [DTYPE]: reads one JSON request a line from stdin, {"ids": [...], "second_from": n}, and prints
// for each {"hidden": [[...], ...]}, all of one call of read(). With "gradient" as DTYPE: the gradients of the sum of
// all hidden states times sin(1), sin(2), ... (over all elements in order) instead, by the name of each of a few
// tensors.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <fmt/core.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/nn/encoder_model.h"

namespace {

using namespace merit;      // NOLINT: a tool of one page
using namespace merit::nn;  // NOLINT

std::vector<PathRequest> read_requests() {
  std::vector<PathRequest> requests;
  for (std::string line; std::getline(std::cin, line);) {
    const Json json = parse_json(line, "stdin");
    PathRequest request;
    request.ids = json["ids"].get<std::vector<int32_t>>();
    request.second_from = json.value("second_from", -1);
    for (size_t i = 0; i < request.ids.size(); ++i) request.hidden_at.push_back(static_cast<int32_t>(i));
    requests.push_back(std::move(request));
  }
  return requests;
}

Json rows_of(const at::Tensor& values) {
  const at::Tensor wide = values.to(at::kDouble).contiguous();
  const auto* from = wide.const_data_ptr<double>();
  Json rows = Json::array();
  for (int64_t i = 0; i < wide.size(0); ++i) {
    rows.push_back(std::vector<double>(from + i * wide.size(1), from + (i + 1) * wide.size(1)));
  }
  return rows;
}

void print_gradients(const EncoderModel& model, const std::vector<PathRequest>& requests) {
  const EncoderWeights& weights = model.weights();
  std::vector<std::pair<std::string, at::Tensor>> watched = {{"words", weights.words},
                                                             {"qkv", weights.layers[0].qkv.weight()},
                                                             {"up", weights.layers[0].up.weight()},
                                                             {"out", weights.layers.back().out.weight()}};
  if (weights.distances.defined()) watched.emplace_back("distances", weights.distances);
  for (auto& [name, tensor] : watched) tensor.requires_grad_(true);
  std::vector<EncoderInput> inputs;
  for (const PathRequest& request : requests) inputs.push_back({request.ids, request.second_from});
  const at::Tensor states = model.forward(inputs);
  const at::Tensor signs = at::arange(1, states.numel() + 1).to(at::kDouble).sin().view(states.sizes());
  (states * signs.to(states.scalar_type())).sum().backward();
  Json out;
  for (const auto& [name, tensor] : watched) out[name] = rows_of(tensor.grad());
  fmt::print("{}\n", out.dump());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fmt::print(stderr, "usage: read_encoder FOLDER [float32|bfloat16|float64|gradient]\n");
    return 2;
  }
  try {
    const std::string dtype = argc > 2 ? argv[2] : "float32";
    const auto model = EncoderModel::load(argv[1], dtype == "bfloat16"                         ? at::kBFloat16
                                                   : dtype == "float64" || dtype == "gradient" ? at::kDouble
                                                                                               : at::kFloat);
    const std::vector<PathRequest> requests = read_requests();
    if (dtype == "gradient") {
      print_gradients(*model, requests);
      return 0;
    }
    for (const PathResult& result : read(*model, requests)) {
      fmt::print("{}\n", Json{{"hidden", rows_of(result.hidden)}}.dump());
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "read_encoder: {}\n", error.what());
    return 1;
  }
  return 0;
}
