// tool: DEPS nn text core
// Samples with a model, or draws from rows of logits, for comparison with other programs. JSON lines in and out.
//   sample_ids MODEL '{"temperature": 0, "max_new_tokens": 64}' < requests > samples
//     request: {"prompt": [..], "n": 1, "stream": 0}     out: [{"ids": [..], "logps": [..], "text": ".."}, ..]
//   sample_ids --draw < rows > draws
//     row: {"logits": [..], "params": {..}, "uniforms": [..]}    out: {"ids": [..], "sampling_logps": [..]}
#include <iostream>
#include <string>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/json.h"
#include "merit/nn/sample.h"
#include "merit/nn/transformer.h"
#include "merit/text/tokenizer.h"

namespace {

using namespace merit;

nn::SamplingParams params_of(const Json& json) {
  nn::SamplingParams params;
  params.temperature = json.value("temperature", 1.0);
  params.top_k = json.value("top_k", int64_t{0});
  params.top_p = json.value("top_p", 1.0);
  params.min_p = json.value("min_p", 0.0);
  params.max_new_tokens = json.value("max_new_tokens", int64_t{64});
  return params;
}

void draw(std::istream& in) {
  for (std::string line; std::getline(in, line);) {
    const Json row = parse_json(line, "stdin");
    const auto logits = row.at("logits").get<std::vector<float>>();
    nn::Sampler sampler(params_of(row.at("params")));
    Json out = {{"ids", Json::array()}, {"sampling_logps", Json::array()}};
    for (const double uniform : row.at("uniforms").get<std::vector<double>>()) {
      const nn::Draw drawn = sampler.draw(logits, uniform);
      out["ids"].push_back(drawn.id);
      out["sampling_logps"].push_back(drawn.sampling_logp);
    }
    std::cout << dump_json(out) << "\n";
  }
}

void run(const std::string& path, const std::string& params) {
  const auto model = nn::Transformer::load(path);
  const text::Tokenizer tokenizer = text::load_tokenizer(path);
  std::vector<nn::SampleRequest> requests;
  for (std::string line; std::getline(std::cin, line);) {
    const Json json = parse_json(line, "stdin");
    requests.push_back({json.at("prompt").get<std::vector<int32_t>>(), json.value("n", int64_t{1}),
                        json.value("stream", uint64_t{0})});
  }
  nn::sample(*model, tokenizer, requests, params_of(parse_json(params, "parameters")), {},
             [](size_t, Result<std::vector<nn::Sample>> samples) {
               Json out = Json::array();
               for (const nn::Sample& s : samples.value()) {
                 out.push_back({{"ids", s.ids}, {"logps", s.logps}, {"text", s.text}});
               }
               std::cout << dump_json(out) << "\n";
             });
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> args(argv + 1, argv + argc);
    if (args.size() == 1 && args[0] == "--draw") {
      draw(std::cin);
    } else if (args.size() == 2) {
      run(args[0], args[1]);
    } else {
      fail(ErrorKind::kUsage, "sample_ids MODEL PARAMETERS, or sample_ids --draw");
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
