// tool: DEPS nn formats core
// Reads paths with a model, for comparison with other programs. JSON lines in, JSON lines out.
//   read_paths MODEL [float32|bfloat16|float64] < requests > results
//   request: {"ids": [..], "logps_from": n?, "hidden_at": [..]?, "logits_at": [..]?}
//   result:  {"logps": [..], "hidden": [[..]..], "logits": [[..]..]}
//   read_paths --convert MODEL FOLDER DTYPE     writes the folder that transformers loads
#include <ATen/ops/cat.h>

#include <iostream>
#include <string>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/json.h"
#include "merit/nn/convert.h"
#include "merit/nn/read.h"
#include "merit/nn/vocab_ops.h"

namespace {

using namespace merit;

at::ScalarType dtype_of(const std::string& name) {
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "float64") return at::kDouble;
  fail(ErrorKind::kUsage, "unknown dtype {}", quote(name));
}

OrderedJson rows(const at::Tensor& tensor) {
  OrderedJson out = OrderedJson::array();
  if (!tensor.defined()) return out;
  const at::Tensor plain = tensor.to(at::kFloat).contiguous();
  const auto* values = plain.const_data_ptr<float>();
  for (int64_t i = 0; i < plain.size(0); ++i, values += plain.size(1)) {
    out.push_back(std::vector<float>(values, values + plain.size(1)));
  }
  return out;
}

int run(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 4 && args[0] == "--convert") {
    nn::convert_to_folder(args[1], args[2], {.dtype = args[3]});
    return 0;
  }
  if (args.empty()) fail(ErrorKind::kUsage, "read_paths MODEL [dtype]");
  const auto model = nn::Transformer::load(args[0], {.dtype = dtype_of(args.size() > 1 ? args[1] : "float32")});
  std::vector<nn::PathRequest> requests;
  std::vector<size_t> asked;  // hidden rows the caller asked for; rows for logits stand behind them
  for (std::string line; std::getline(std::cin, line);) {
    const Json json = parse_json(line, "stdin");
    nn::PathRequest request;
    request.ids = json.at("ids").get<std::vector<int32_t>>();
    request.logps_from = json.value("logps_from", -1);
    request.hidden_at = json.value("hidden_at", std::vector<int32_t>());
    asked.push_back(request.hidden_at.size());
    for (int32_t position : json.value("logits_at", std::vector<int32_t>())) request.hidden_at.push_back(position);
    requests.push_back(std::move(request));
  }
  const auto results = nn::read(*model, requests);
  for (size_t i = 0; i < results.size(); ++i) {
    const at::Tensor& hidden = results[i].hidden;
    OrderedJson out;
    out["logps"] = results[i].logps;
    const auto split = static_cast<int64_t>(asked[i]);
    out["hidden"] = hidden.defined() ? rows(hidden.slice(0, 0, split)) : OrderedJson::array();
    out["logits"] = hidden.defined() && hidden.size(0) > split
                        ? rows(nn::vocab_logits(hidden.slice(0, split).to(model->dtype()), model->vocab()))
                        : OrderedJson::array();
    std::cout << dump_json(out) << "\n";
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
