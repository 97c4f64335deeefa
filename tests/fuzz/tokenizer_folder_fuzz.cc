// fuzz: DEPS core text
// A folder without tokenizer.json: the input, cut at lines of "====", is tokenizer_config.json, added_tokens.json, and
// the vocabulary under each of its names, then merges.txt. It loads and encodes, or is refused with a typed error.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "merit/core/error.h"
#include "merit/text/tokenizer.h"

namespace {

const std::filesystem::path& folder() {
  static const std::filesystem::path made = [] {
    const auto path = std::filesystem::temp_directory_path() / ("merit_fuzz_folder_" + std::to_string(::getpid()));
    std::filesystem::create_directories(path);
    std::atexit([] { std::filesystem::remove_all(folder()); });
    return path;
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  size_t at = 0;
  const auto next = [&] {
    const size_t end = std::min(input.find("====\n", at), input.size());
    std::string part = input.substr(at, end - at);
    at = std::min(end + 5, input.size());
    return part;
  };
  const auto write = [](const char* name, const std::string& text) { std::ofstream(folder() / name) << text; };
  write("tokenizer_config.json", next());
  write("added_tokens.json", next());
  const std::string vocabulary = next();
  for (const char* name : {"vocab.json", "vocab.txt", "tokenizer.model", "spiece.model", "spm.model"}) {
    write(name, vocabulary);
  }
  write("merges.txt", next());
  try {
    const merit::text::Tokenizer tokenizer = merit::text::load_tokenizer(folder());
    tokenizer.decode(tokenizer.encode("ab <s>ab 12 \xc3\xa9 \n"));
    tokenizer.to_tokenizer_json();
  } catch (const merit::Error&) {
  }
  return 0;
}
