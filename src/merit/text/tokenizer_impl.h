// The parts of a Tokenizer, as the loaders put them together.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "merit/text/added_tokens.h"
#include "merit/text/decoder.h"
#include "merit/text/normalizer.h"
#include "merit/text/post_processor.h"
#include "merit/text/pretokenizer.h"
#include "merit/text/tokenizer.h"
#include "merit/text/tokenizer_model.h"

namespace merit::text {

// What the pipeline does besides the model, as the members of tokenizer.json say it; null for none.
struct PipelineJson {
  Json normalizer, pre_tokenizer, post_processor, decoder;
};

struct TokenizerImpl {
  // Puts the pipeline together. `where` names the file in messages.
  TokenizerImpl(std::unique_ptr<TokenModel> model, std::vector<AddedToken> added, PipelineJson pipeline,
                std::string where);

  std::string where;
  PipelineJson json;
  std::unique_ptr<TokenModel> model;
  std::vector<AddedToken> added;          // in the file's order
  std::map<TokenId, size_t> added_by_id;  // into `added`
  std::map<std::string, TokenId, std::less<>> added_ids;
  std::vector<std::string> added_text;  // what each of `added` decodes to: normalized if the token is
  std::unique_ptr<const Normalizer> normalizer;
  PreTokenization pre_tokenization;
  PostProcessor post;
  std::unique_ptr<const Decoder> decoder;
  std::unique_ptr<AddedTokens> raw_added, normalized_added;
  std::vector<bool> controls;  // by id: what text in plain ranges must not become
  SpecialIds special;
  std::string class_name = "PreTrainedTokenizerFast";
};

// The roles (and class) that a tokenizer_config.json, or an object like it, names. Error(kData) if such a token is not
// in the vocabulary.
void set_roles(TokenizerImpl& impl, const Json& config);
// A token with its flags as the files write it: content, special, single_word, lstrip, rstrip, normalized; `known` are
// further members that may stand there and mean nothing here.
AddedToken read_added_token(const Json& json, const std::string& where, std::initializer_list<const char*> known = {});
// A folder's JSON file as an object, or null if there is none.
Json read_json_if_there(const std::filesystem::path& path);

// A folder without tokenizer.json: vocab.txt, vocab.json and merges.txt, or a SentencePiece model.
Tokenizer load_slow_folder(const std::filesystem::path& folder);

}  // namespace merit::text
