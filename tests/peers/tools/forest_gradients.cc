// tool: DEPS nn formats core
// Gradients of a loss over paths that share prefixes, by the names of the folder, for comparison with autograd.
//   forest_gradients MODEL OUT.safetensors [float32|float64] < requests
//   request: {"ids": [..], "weights": [..]}    the loss is the sum of weights[t - 1] * ln p(ids[t] | ids[0..t)), t >= 1
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <iostream>
#include <string>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/json.h"
#include "merit/formats/safetensors.h"
#include "merit/nn/forest_forward.h"
#include "merit/nn/transformer.h"
#include "merit/nn/vocab_ops.h"

namespace {

using namespace merit;

struct Request {
  std::vector<int32_t> ids;
  std::vector<double> weights;
};

at::Tensor loss_of(const nn::Transformer& model, const std::vector<Request>& requests) {
  nn::ForestBuilder builder;
  for (const Request& r : requests) {
    builder.add(r.ids, {}, model.config().rope_regime(static_cast<int64_t>(r.ids.size())));
  }
  const nn::Forest forest = builder.build();
  const at::Tensor hidden = nn::forest_forward(model.config(), model.weights(), forest);
  at::Tensor loss;
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::vector<int32_t>& ids = requests[i].ids;
    std::vector<at::Tensor> rows;
    for (const int32_t node : forest.path_nodes(static_cast<int32_t>(i))) {
      const nn::ForestNode& n = forest.nodes[node];
      rows.push_back(hidden.slice(0, n.begin, n.begin + n.length));
    }
    const auto count = static_cast<int64_t>(ids.size()) - 1;
    at::Tensor targets = at::empty({count}, at::kLong);
    at::Tensor weights = at::empty({count}, at::kDouble);
    for (int64_t t = 0; t < count; ++t) {
      targets.mutable_data_ptr<int64_t>()[t] = ids[t + 1];
      weights.mutable_data_ptr<double>()[t] = requests[i].weights[t];
    }
    const at::Tensor logps =
        nn::vocab_quantities_with_grad(at::cat(rows, 0).slice(0, 0, count), model.vocab(), targets).logp;
    const at::Tensor part = logps.mul(weights.to(logps.scalar_type())).sum();
    loss = loss.defined() ? loss.add(part) : part;
  }
  return loss;
}

int run(const std::vector<std::string>& args) {
  if (args.size() < 2) fail(ErrorKind::kUsage, "forest_gradients MODEL OUT [dtype]");
  const bool exact = args.size() > 2 && args[2] == "float64";
  const auto model = nn::Transformer::load(args[0], {.dtype = exact ? at::kDouble : at::kFloat, .mapped = false});
  std::vector<Request> requests;
  for (std::string line; std::getline(std::cin, line);) {
    const Json json = parse_json(line, "stdin");
    requests.push_back({json.at("ids").get<std::vector<int32_t>>(), json.at("weights").get<std::vector<double>>()});
  }
  for (const at::Tensor& p : model->weights().parameters()) p.set_requires_grad(true);
  loss_of(*model, requests).backward();
  std::vector<formats::TensorToWrite> out;
  for (const nn::NamedPart& part : nn::named_parts(model->config(), model->weights())) {
    if (!part.parameter.grad().defined()) continue;  // an expert no row went to
    const at::Tensor rows = nn::folder_rows(model->config(), part, part.parameter.grad()).to(at::kDouble).contiguous();
    out.push_back({part.name, formats::DType::kF64, rows.sizes().vec(), [rows](const formats::ByteSink& sink) {
                     sink(std::as_bytes(std::span(rows.const_data_ptr<double>(), rows.numel())));
                   }});
  }
  write_safetensors(args[1], out);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
