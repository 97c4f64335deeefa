// Small tokenizers written out in the tests, and small GGUF files.
#pragma once

#include <string>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/json.h"
#include "merit/text/tokenizer.h"

namespace merit::text {

// A tokenizer.json with this model and the given members over the empty ones.
inline Json tokenizer_json(Json model, Json members = Json::object()) {
  Json json = {{"version", "1.0"},          {"truncation", nullptr}, {"padding", nullptr},
               {"added_tokens", {}},        {"normalizer", nullptr}, {"pre_tokenizer", nullptr},
               {"post_processor", nullptr}, {"decoder", nullptr},    {"model", std::move(model)}};
  json["added_tokens"] = Json::array();
  if (members.is_object()) json.update(members);
  return json;
}

inline Tokenizer make_tokenizer(Json model, Json members = Json::object(), Json config = nullptr) {
  return parse_tokenizer_json(dump_json(tokenizer_json(std::move(model), std::move(members))), config, "t.json");
}

// BPE over these tokens, ids in order.
inline Json bpe(const std::vector<std::string>& tokens, const std::vector<std::string>& merges = {}) {
  Json vocab = Json::object();
  for (size_t i = 0; i < tokens.size(); ++i) vocab[tokens[i]] = i;
  return {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}};
}

inline Json added(const std::string& content, int id, Json flags = Json::object()) {
  Json token = {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  if (flags.is_object()) token.update(flags);
  return token;
}

template <typename F>
Error error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e;
  }
  return Error(ErrorKind::kUsage, "no error was thrown");
}

}  // namespace merit::text
