// The architectures merit runs. One row each: the names it has in files, what maps its settings onto ModelConfig, and
// its weight names. A decoder that differs only in shape is a row here, a table of names if its names are its own
// (weight_names.h), and a case in tests/peers/test_architectures.py.
#pragma once

#include <span>
#include <string_view>

#include "merit/core/json.h"
#include "merit/formats/gguf.h"
#include "merit/nn/hf_config.h"
#include "merit/nn/weight_names.h"

namespace merit::nn {

struct Architecture {
  std::string_view model_type;  // in config.json
  std::string_view hf_class;    // of its causal language model
  std::string_view gguf;        // general.architecture; empty: GGUF files of it are not read

  void (*read_hf)(const HfConfig& config, ModelConfig& c);
  // Adds what this architecture has besides the shared settings, and takes away what it has not.
  void (*write_hf)(const ModelConfig& c, OrderedJson& config);
  // The same for GGUF metadata, after the keys all architectures share.
  void (*read_gguf)(const formats::GgufFile& file, ModelConfig& c);

  std::span<const WeightName> hf_names;
  std::span<const WeightName> gguf_names;

  // Added to the norms' weights of a Hugging Face folder: gemma keeps them less 1. GGUF files hold the sum.
  double norm_offset = 0;
  bool remote_code = false;  // transformers has no such class of its own: no folder is written
};

std::span<const Architecture> architectures();
// Error(kUnsupported) that starts with `where` and names the ones there are.
const Architecture& architecture_of(std::string_view model_type, const std::string& where);
const Architecture& gguf_architecture_of(const formats::GgufFile& file);

}  // namespace merit::nn
