// What each architecture adds to the GGUF metadata keys that all share (config_gguf.cc). Sources: the keys of the GGUF
// specification, and what llama.cpp's converter writes and its loader derives where a key does not exist.
#pragma once

#include "merit/formats/gguf.h"
#include "merit/nn/config.h"

namespace merit::nn {

void gguf_plain(const formats::GgufFile& file, ModelConfig& c);  // nothing but the shared keys
void gguf_llama(const formats::GgufFile& file, ModelConfig& c);  // mixtral too
void gguf_qwen3(const formats::GgufFile& file, ModelConfig& c);
void gguf_qwen3_moe(const formats::GgufFile& file, ModelConfig& c);
void gguf_gemma2(const formats::GgufFile& file, ModelConfig& c);
void gguf_gemma3(const formats::GgufFile& file, ModelConfig& c);
void gguf_granite(const formats::GgufFile& file, ModelConfig& c);
void gguf_olmo2(const formats::GgufFile& file, ModelConfig& c);
void gguf_phi3(const formats::GgufFile& file, ModelConfig& c);
void gguf_gpt2(const formats::GgufFile& file, ModelConfig& c);
void gguf_neox(const formats::GgufFile& file, ModelConfig& c);

}  // namespace merit::nn
