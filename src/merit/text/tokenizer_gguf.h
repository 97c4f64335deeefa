// What the names in tokenizer.ggml.pre mean: a GGUF file names its pre-tokenizer only, and each name stands for the
// pipeline of the Hugging Face tokenizer that it was converted from.
#pragma once

#include <string>

#include "merit/core/json.h"

namespace merit::text {

struct GgufWords {
  Json pre_tokenizer;
  Json normalizer = nullptr;
  bool ignore_merges = false;
  bool add_bos = false;  // where the file does not say
};

// Error(kUnsupported) for an unknown name: another rule would give other ids in silence.
GgufWords gguf_words(const std::string& pre, const std::string& where);

}  // namespace merit::text
