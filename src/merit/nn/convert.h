// A model written as the Hugging Face folder that transformers, vLLM and merit load.
#pragma once

#include <filesystem>
#include <string>

namespace merit::nn {

class ScalarHead;
class Transformer;

struct ConvertOptions {
  std::string dtype = "float32";  // of the weights written: float32, bfloat16 or float16
  // Written as `score.weight` of a sequence-classification folder, in place of the vocabulary projection. Null: the
  // head the folder at `from` has, if it has one.
  const ScalarHead* head = nullptr;
};

// Reads the model at `from` (a GGUF file, a folder, or an adapter, which is merged) and writes config.json,
// generation_config.json, model.safetensors (or its shards), tokenizer.json, tokenizer_config.json with the chat
// template in it, and the encoding record, into `to`, over files of those names. float32 keeps every value a GGUF
// quantisation stands for. Error(kUsage) for a dtype that is none of the three, Error(kUnsupported) for a head with a
// bias, which transformers' class has no place for.
void convert_to_folder(const std::filesystem::path& from, const std::filesystem::path& to,
                       const ConvertOptions& options = {});

// The same for a model in memory, that came from `from` and has its tokenizer and encoding. `head` null: none.
void write_model_folder(const Transformer& model, const std::filesystem::path& from, const std::filesystem::path& to,
                        const ConvertOptions& options);

}  // namespace merit::nn
