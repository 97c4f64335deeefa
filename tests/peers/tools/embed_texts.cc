// tool: DEPS core nn
// embed_texts FOLDER < texts > vectors: a sentence-transformers folder; one JSON text a line in, one JSON array a line
// out.
#include <fmt/core.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/nn/encoder_sentence.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: embed_texts FOLDER\n");
    return 2;
  }
  try {
    const auto encoder = merit::nn::SentenceEncoder::load(argv[1]);
    std::vector<std::string> texts;
    for (std::string line; std::getline(std::cin, line);) texts.push_back(merit::parse_json(line, "stdin"));
    const at::Tensor rows = encoder->embed(texts);
    const auto* values = rows.const_data_ptr<float>();
    for (int64_t i = 0; i < rows.size(0); ++i) {
      const merit::Json row = std::vector<float>(values + i * rows.size(1), values + (i + 1) * rows.size(1));
      fmt::print("{}\n", merit::dump_json(row));
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "embed_texts: {}\n", error.what());
    return 1;
  }
  return 0;
}
