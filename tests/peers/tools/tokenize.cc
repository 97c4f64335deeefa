// tool: DEPS text
// Tokenizes for the peer tests: one JSON object a line in, one a line out.
//   tokenize MODEL                 {"text"|"bytes" (hex), "special", "plain": [[b,e]..], "offsets"} -> {"ids",
//   "ranges"}
//                                  {"decode": [ids], "skip"} -> {"text"}; {"stream": [ids], "skip"} -> {"pieces"}
//   tokenize MODEL --export FOLDER writes tokenizer.json and tokenizer_config.json
//   tokenize MODEL --time FILE     encodes the file's bytes and prints megabytes a second
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iostream>
#include <string>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/text/tokenizer.h"

namespace {

using merit::Json;
using merit::text::ByteRange;
using merit::text::TokenId;
using merit::text::Tokenizer;

std::string from_hex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

Json answer(const Tokenizer& tokenizer, const Json& request) {
  const bool skip = request.value("skip", false);
  if (request.contains("decode")) {
    return {{"text", tokenizer.decode(request["decode"].get<std::vector<TokenId>>(), skip)}};
  }
  if (request.contains("stream")) {
    merit::text::StreamDecoder stream(tokenizer, skip);
    Json pieces = Json::array();
    for (const TokenId id : request["stream"].get<std::vector<TokenId>>()) pieces.push_back(stream.push(id));
    pieces.push_back(stream.finish());
    return {{"pieces", pieces}};
  }
  const std::string text =
      request.contains("bytes") ? from_hex(request["bytes"].get<std::string>()) : request["text"].get<std::string>();
  std::vector<ByteRange> plain;
  for (const Json& range : request.value("plain", Json::array())) plain.push_back({range[0], range[1]});
  const merit::text::EncodeOptions options{request.value("special", true), plain};
  if (!request.value("offsets", false)) return {{"ids", tokenizer.encode(text, options)}};
  const merit::text::Tokenized tokenized = tokenizer.encode_with_offsets(text, options);
  Json ranges = Json::array();
  for (const ByteRange& range : tokenized.ranges) ranges.push_back({range.begin, range.end});
  return {{"ids", tokenized.ids}, {"ranges", ranges}};
}

// Of processor time, which other programs do not change, and of the clock; the best of five.
void time_file(const Tokenizer& tokenizer, const std::string& path) {
  const std::string text = merit::read_file(path);
  double clock_s = 1e30, cpu_s = 1e30;
  size_t ids = 0;
  for (int run = 0; run < 5; ++run) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    ids = tokenizer.encode(text).size();
    cpu_s = std::min(cpu_s, static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
    clock_s = std::min(clock_s, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  fmt::print("{{\"mb_per_cpu_s\": {:.3f}, \"mb_per_s\": {:.3f}, \"tokens\": {}}}\n", megabytes / cpu_s,
             megabytes / clock_s, ids);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 2) merit::fail(merit::ErrorKind::kUsage, "usage: tokenize MODEL [--export FOLDER | --time FILE]");
    const Tokenizer tokenizer = merit::text::load_tokenizer(argv[1]);
    const std::string mode = argc > 3 ? argv[2] : "";
    if (mode == "--export") {
      const std::filesystem::path folder = argv[3];
      merit::write_file_atomic(folder / "tokenizer.json", merit::dump_json(tokenizer.to_tokenizer_json()));
      merit::write_file_atomic(folder / "tokenizer_config.json", merit::dump_json(tokenizer.tokenizer_config_json()));
      return 0;
    }
    if (mode == "--time") {
      time_file(tokenizer, argv[3]);
      return 0;
    }
    for (std::string line; std::getline(std::cin, line);) {
      Json out;
      try {
        out = answer(tokenizer, merit::parse_json(line, "request"));
      } catch (const merit::Error& e) {
        out = {{"error", e.what()}};
      }
      fmt::print("{}\n", merit::dump_json(out));
    }
    return 0;
  } catch (const merit::Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
