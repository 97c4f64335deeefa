// Sampling: the forest growing. Prompts are read once and branched, all live sequences advance together, and a
// finished row is replaced by the next.
//
// A sequence depends on (seed, stream of its group, index in the group, prompt) and on nothing else: not on its
// neighbours, the order of requests or max_live. Token t of the path is drawn with Philox(seed, sequence_stream(stream,
// index)).uniform(t). Log-probs are the bits that reading the finished sequence with nn::read gives. A model whose
// rotations depend on the sequence's length (dynamic, LongRoPE) draws each token from what it gives for the sequence so
// far; dynamic scaling then costs a pass over the sequence for every token past the original positions.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "merit/core/result.h"
#include "merit/nn/sampler.h"

namespace merit::text {
class Tokenizer;
}

namespace merit::nn {

class Transformer;

// A group: n continuations of one prompt.
struct SampleRequest {
  std::vector<int32_t> prompt;  // at least one id
  int64_t n = 1;                // at least 1
  uint64_t stream = 0;          // the group's identity, for randomness; equal prompts may have different ones
};

enum class Finish { kStop, kLength };

struct Sample {
  std::vector<int32_t> ids;  // the new tokens, the stop token included
  std::vector<float> logps;  // of each, under the model at temperature 1
  Finish finish = Finish::kLength;
  // The new tokens decoded without special tokens; it ends before a stop string. Tokens that only finished a stop
  // string remain in ids.
  std::string text;
};

struct SampleOptions {
  // Rows that advance together; more is faster until the products are large enough. Costs keys and values for each.
  // 0: what keeps those of the longest paths asked for within 1 GiB, but 16 to 256.
  int64_t max_live = 0;
};

struct SampleReport {
  int64_t groups = 0;         // delivered, failures included
  int64_t prompt_tokens = 0;  // read
  int64_t new_tokens = 0;     // drawn, dropped ones included
  int64_t steps = 0;
  bool stopped = false;  // should_stop said so before all groups were delivered
};

// Called with each request's index, in order of requests, as soon as the group and all before it are complete.
using GroupDone = std::function<void(size_t index, Result<std::vector<Sample>> samples)>;

// A request that cannot be served (an empty prompt, an id outside the vocabulary, longer than the model takes with one
// new token) is delivered as its Error; max_new_tokens is cut to the room the model has left. should_stop is asked
// before every step; when it is true, nothing more is delivered than was complete, and the call returns.
// Exceptions of the callbacks pass through. Error(kUsage) for parameters out of range.
SampleReport sample(const Transformer& model, const text::Tokenizer& tokenizer, std::span<const SampleRequest> requests,
                    const SamplingParams& params, const SampleOptions& options, const GroupDone& on_group_done,
                    const std::function<bool()>& should_stop = {});

}  // namespace merit::nn
