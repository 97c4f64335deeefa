#include "merit/text/bpe.h"
#include "merit/text/tokenizer_fields.h"
#include "merit/text/tokenizer_unigram.h"
#include "merit/text/tokenizer_words.h"

namespace merit::text {
namespace {

Vocabulary make_vocabulary(Fields& fields) {
  const Json& json = fields.need("vocab");
  if (!json.is_object()) fail(ErrorKind::kData, "{}: expected an object", fields.at("vocab"));
  std::vector<std::string> tokens;
  std::vector<TokenId> ids;
  tokens.reserve(json.size());
  ids.reserve(json.size());
  for (auto it = json.begin(); it != json.end(); ++it) {
    const int64_t id = it->is_number_integer() ? it->get<int64_t>() : -1;
    if (id < 0 || id > Vocabulary::kMaxId) {
      fail(ErrorKind::kData, "{}: token {} has id {}; expected 0 to {}", fields.at("vocab"), quote(it.key()),
           quote(dump_json(*it)), Vocabulary::kMaxId);
    }
    tokens.push_back(it.key());
    ids.push_back(static_cast<TokenId>(id));
  }
  return Vocabulary(std::move(tokens), ids, fields.at("vocab"));
}

// Each merge is a pair ["a", "b"], or in older files "a b".
std::vector<Merge> make_merges(Fields& fields) {
  const Json& json = fields.need("merges");
  if (!json.is_array()) fail(ErrorKind::kData, "{}: expected an array", fields.at("merges"));
  std::vector<Merge> merges;
  merges.reserve(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    const Json& item = json[i];
    if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      merges.push_back({item[0].get<std::string>(), item[1].get<std::string>()});
    } else if (item.is_string()) {
      merges.push_back(parse_merge(item.get_ref<const std::string&>(),
                                   [&] { return fmt::format("{}[{}]", fields.at("merges"), i); }));
    } else {
      fail(ErrorKind::kData, "{}[{}]: expected a pair of tokens", fields.at("merges"), i);
    }
  }
  return merges;
}

std::unique_ptr<TokenModel> make_bpe(Fields& fields) {
  if (const Json* dropout = fields.find("dropout"); dropout && !(dropout->is_number() && *dropout == 0)) {
    fail(ErrorKind::kUnsupported, "{}: random dropout is not supported, got {}", fields.at("dropout"),
         quote(dump_json(*dropout)));
  }
  BpeOptions options;
  options.unk_token = fields.string_or("unk_token", "");
  options.continuing_subword_prefix = fields.string_or("continuing_subword_prefix", "");
  options.end_of_word_suffix = fields.string_or("end_of_word_suffix", "");
  options.fuse_unk = fields.boolean_or("fuse_unk", false);
  options.byte_fallback = fields.boolean_or("byte_fallback", false);
  options.ignore_merges = fields.boolean_or("ignore_merges", false);
  return std::make_unique<Bpe>(make_vocabulary(fields), make_merges(fields), std::move(options), fields.where());
}

std::unique_ptr<TokenModel> make_word_piece(Fields& fields) {
  const std::string unk = fields.string_or("unk_token", "[UNK]");
  const std::string prefix = fields.string_or("continuing_subword_prefix", "##");
  const int64_t longest = fields.integer_or("max_input_chars_per_word", 100);
  return std::make_unique<WordPieceModel>(make_vocabulary(fields), unk, prefix, longest, fields.where());
}

std::unique_ptr<TokenModel> make_unigram(Fields& fields) {
  const int64_t unk = fields.integer_or("unk_id", -1);
  const bool byte_fallback = fields.boolean_or("byte_fallback", false);
  const Json& json = fields.need("vocab");
  if (!json.is_array()) fail(ErrorKind::kData, "{}: expected an array", fields.at("vocab"));
  std::vector<std::string> tokens;
  std::vector<double> scores;
  for (size_t i = 0; i < json.size(); ++i) {
    const Json& item = json[i];
    if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_number()) {
      fail(ErrorKind::kData, "{}[{}]: expected a token and its score", fields.at("vocab"), i);
    }
    tokens.push_back(item[0].get<std::string>());
    scores.push_back(score_as_read(item[1].get<double>()));
  }
  return std::make_unique<Unigram>(std::move(tokens), std::move(scores), unk, byte_fallback, fields.where());
}

}  // namespace

Merge parse_merge(std::string_view text, const std::function<std::string()>& where) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == text.size() ||
      text.find(' ', space + 1) != std::string_view::npos) {
    fail(ErrorKind::kData, "{}: expected two tokens with a space between, got {}", where(), quote(text));
  }
  return {std::string(text.substr(0, space)), std::string(text.substr(space + 1))};
}

std::unique_ptr<TokenModel> make_model(const Json& json, const std::string& where) {
  Fields fields(json, where);
  // The oldest files name no type; only BPE has merges.
  const std::string type = fields.string_or("type", json.contains("merges") ? "BPE" : "");
  std::unique_ptr<TokenModel> model;
  if (type == "BPE") {
    model = make_bpe(fields);
  } else if (type == "WordPiece") {
    model = make_word_piece(fields);
  } else if (type == "WordLevel") {
    const std::string unk = fields.string_or("unk_token", "<unk>");
    model = std::make_unique<WordLevelModel>(make_vocabulary(fields), unk);
  } else if (type == "Unigram") {
    model = make_unigram(fields);
  } else {
    fail(ErrorKind::kUnsupported, "{}: model {} is not supported", where, quote(type));
  }
  fields.done();
  return model;
}

}  // namespace merit::text
