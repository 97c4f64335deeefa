// Folders without tokenizer.json: a vocabulary in its own format and a tokenizer_config.json that names the class. What
// each class adds (normalizer, words, special tokens) is what transformers 5 builds for it.
#include <algorithm>
#include <map>

#include "merit/core/file.h"
#include "merit/core/strings.h"
#include "merit/text/tokenizer_fields.h"
#include "merit/text/tokenizer_pieces.h"
#include "merit/text/tokenizer_unigram.h"
#include "merit/text/tokenizer_words.h"
#include "merit/text/word_patterns.h"

namespace merit::text {
namespace {

constexpr uint64_t kMaxFile = uint64_t{256} << 20;
constexpr const char* kRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

struct Parts;
struct Class {
  const char* vocabulary;  // the file
  Json roles;              // special tokens where the configuration names none
  void (*build)(Parts&);
};

// What a folder's tokenizer is put together from.
struct Parts {
  std::filesystem::path folder;
  std::string file;  // the vocabulary's, for messages
  Json config;       // tokenizer_config.json, special_tokens_map.json over it, the class's roles under it
  std::unique_ptr<TokenModel> model;
  PipelineJson pipeline;
  std::vector<AddedToken> own;  // that the class adds behind the roles
  // The post-processor, from the ids that the roles have; nullptr: BOS and EOS where the configuration wants them.
  Json (*finish)(const Parts&, const std::vector<AddedToken>&) = nullptr;
  bool raw_added = false;  // added tokens are sought in the raw text, whatever their flag says

  std::string where() const { return (folder / "tokenizer_config.json").string(); }
  bool flag(const char* key, bool fallback) const { return get_bool_or(config, key, fallback, where()); }
  std::string role(const char* key) const {
    const Json& value = config.contains(key) ? config.at(key) : Json();
    if (value.is_null()) return "";
    return value.is_string() ? value.get<std::string>() : get_string(value, "content", where() + ": " + key);
  }
  std::string read(const char* name) const {
    const std::filesystem::path path = folder / name;
    if (!std::filesystem::exists(path)) fail(ErrorKind::kIo, "{}: no {} in this folder", folder.string(), name);
    return read_file(path, kMaxFile);
  }
};

std::pair<std::string, TokenId> with_id(const std::string& token, const Parts& parts,
                                        const std::vector<AddedToken>& added) {
  for (const AddedToken& known : added) {
    if (known.content == token) return {token, known.id};
  }
  const TokenId id = parts.model->vocabulary().find(token);
  if (id < 0) fail(ErrorKind::kData, "{}: special token {} is not in the vocabulary", parts.file, quote(token));
  return {token, id};
}

Json bos_and_eos(const Parts& parts, const std::vector<AddedToken>& added) {
  std::vector<std::pair<std::string, TokenId>> before, after;
  const std::string bos = parts.role("bos_token"), eos = parts.role("eos_token");
  if (parts.flag("add_bos_token", false) && !bos.empty()) before.push_back(with_id(bos, parts, added));
  if (parts.flag("add_eos_token", false) && !eos.empty()) after.push_back(with_id(eos, parts, added));
  return template_step(before, after);
}

Json cls_and_sep(const Parts& parts, const std::vector<AddedToken>& added) {
  return template_step({with_id(parts.role("cls_token"), parts, added)},
                       {with_id(parts.role("sep_token"), parts, added)});
}

Json eos_behind(const Parts& parts, const std::vector<AddedToken>& added) {
  return template_step({}, {with_id(parts.role("eos_token"), parts, added)});
}

// ---- byte-level BPE: vocab.json and merges.txt

void read_bpe(Parts& parts) {
  const Json json = parse_json(parts.read("vocab.json"), parts.file);
  if (!json.is_object()) fail(ErrorKind::kData, "{}: expected an object", parts.file);
  std::vector<std::string> tokens;
  std::vector<TokenId> ids;
  for (const auto& [token, id] : json.items()) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > Vocabulary::kMaxId) {
      fail(ErrorKind::kData, "{}: token {} has id {}; expected 0 to {}", parts.file, quote(token), dump_json(id),
           Vocabulary::kMaxId);
    }
    tokens.push_back(token);
    ids.push_back(static_cast<TokenId>(id.get<int64_t>()));
  }
  const std::string text = parts.read("merges.txt");
  std::vector<Merge> merges;
  const std::string merges_file = (parts.folder / "merges.txt").string();
  std::vector<std::string_view> lines = split(text, '\n');
  if (lines.back().empty()) lines.pop_back();  // behind the last line break
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].empty() && lines[i].back() == '\r') lines[i].remove_suffix(1);
    if (lines[i].rfind("#version", 0) == 0) continue;
    merges.push_back(parse_merge(lines[i], [&] { return fmt::format("{}:{}", merges_file, i + 1); }));
  }
  parts.model = std::make_unique<Bpe>(Vocabulary(std::move(tokens), ids, parts.file), merges, BpeOptions{}, parts.file);
  parts.pipeline.decoder = {
      {"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
}

Json byte_level(bool prefix, bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

void build_gpt2(Parts& parts) {
  read_bpe(parts);
  parts.pipeline.pre_tokenizer = byte_level(parts.flag("add_prefix_space", false), true);
}

void build_roberta(Parts& parts) {
  build_gpt2(parts);
  parts.finish = cls_and_sep;
}

void build_qwen2(Parts& parts) {
  read_bpe(parts);
  parts.pipeline.normalizer = {{"type", "NFC"}};
  parts.pipeline.pre_tokenizer = sequence_step(
      "pretokenizers",
      {{{"type", "Split"}, {"pattern", {{"Regex", kQwen2Words}}}, {"behavior", "Isolated"}, {"invert", false}},
       byte_level(parts.flag("add_prefix_space", false), false)});
}

// ---- WordPiece: vocab.txt, a token a line

void build_bert(Parts& parts) {
  const std::string text = parts.read("vocab.txt");
  std::vector<std::string> tokens;
  for (const std::string_view line : split(text, '\n')) tokens.emplace_back(trim(line));
  if (tokens.back().empty()) tokens.pop_back();  // behind the last line break
  const std::string unk = parts.role("unk_token");
  parts.model = std::make_unique<WordPieceModel>(vocabulary_of(tokens, parts.file), unk, "##", 100, parts.file);
  const Json accents = parts.config.value("strip_accents", Json());
  parts.pipeline.normalizer = {{"type", "BertNormalizer"},
                               {"clean_text", true},
                               {"handle_chinese_chars", parts.flag("tokenize_chinese_chars", true)},
                               {"strip_accents", accents},
                               {"lowercase", parts.flag("do_lower_case", true)}};
  parts.pipeline.pre_tokenizer = {{"type", "BertPreTokenizer"}};
  parts.pipeline.decoder = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  parts.finish = cls_and_sep;
}

// ---- SentencePiece

// Control and user-defined pieces, which the text may name.
void add_named_pieces(Parts& parts, const SentencePieces& pieces, bool user_defined) {
  for (size_t i = 0; i < pieces.tokens.size(); ++i) {
    const bool control = pieces.types[i] == SentencePieces::kControl;
    if (!control && !(user_defined && pieces.types[i] == SentencePieces::kUserDefined)) continue;
    AddedToken token;
    token.content = pieces.tokens[i];
    token.special = control;
    parts.own.push_back(std::move(token));
  }
}

void build_llama(Parts& parts) {
  const SentencePieces pieces = parse_sentencepiece(parts.read("tokenizer.model"), parts.file);
  BpeOptions options;
  options.fuse_unk = true;
  options.byte_fallback = true;
  parts.model = std::make_unique<Bpe>(vocabulary_of(pieces.tokens, parts.file), merges_by_id(pieces.tokens, parts.file),
                                      std::move(options), parts.file);
  const bool prefix = parts.flag("add_prefix_space", true);
  parts.pipeline.pre_tokenizer = metaspace_step(!prefix                       ? "never"
                                                : parts.flag("legacy", false) ? "always"
                                                                              : "first",
                                                false);
  std::vector<Json> decoded = {replace_step("String", kWordMark, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (prefix) decoded.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  parts.pipeline.decoder = sequence_step("decoders", std::move(decoded));
  add_named_pieces(parts, pieces, true);
}

// By the model's own settings: as transformers converts them for a class, as SentencePiece itself where none is named.
void build_pieces(Parts& parts) {
  const SentencePieces pieces = parse_sentencepiece(parts.read("tokenizer.model"), parts.file);
  const bool named = !get_string_or(parts.config, "tokenizer_class", "", parts.where()).empty();
  const PiecesReader reader = named ? PiecesReader::kTransformers : PiecesReader::kSentencePiece;
  parts.model = pieces_model(pieces, reader, parts.file);
  parts.pipeline = pieces_pipeline(pieces, reader, parts.flag("legacy", true));
  parts.raw_added = pieces.add_dummy_prefix;
  add_named_pieces(parts, pieces, false);
  const auto name = [&](const char* role, int64_t id, const std::string& piece) {
    if (id >= 0 && !parts.config.contains(role)) parts.config[role] = piece;
  };
  name("bos_token", pieces.bos_id, pieces.bos_piece);
  name("eos_token", pieces.eos_id, pieces.eos_piece);
  name("unk_token", pieces.unk_id, pieces.unk_piece);
}

void build_t5(Parts& parts) {
  SentencePieces pieces = parse_sentencepiece(parts.read("spiece.model"), parts.file);
  if (!pieces.unigram) fail(ErrorKind::kUnsupported, "{}: a BPE model for a T5 tokenizer", parts.file);
  add_named_pieces(parts, pieces, true);
  const int64_t extra = get_int_or(parts.config, "extra_ids", 100, parts.where());
  if (extra < 0 || extra > 10000) fail(ErrorKind::kData, "{}: extra_ids is {}", parts.where(), extra);
  for (int64_t i = extra - 1; i >= 0; --i) {
    pieces.tokens.push_back(fmt::format("<extra_id_{}>", i));
    pieces.scores.push_back(0);
    AddedToken token;
    token.content = pieces.tokens.back();
    token.special = true;
    parts.own.push_back(std::move(token));
  }
  parts.model = std::make_unique<Unigram>(pieces.tokens, pieces.scores, 2, false, parts.file);
  if (!pieces.charsmap.empty()) parts.pipeline.normalizer = precompiled_step(pieces.charsmap);
  parts.pipeline.pre_tokenizer =
      sequence_step("pretokenizers", {{{"type", "WhitespaceSplit"}}, metaspace_step("always", true)});
  parts.pipeline.decoder = metaspace_step("always", true);
  parts.finish = eos_behind;
}

void build_deberta(Parts& parts) {
  const SentencePieces pieces = parse_sentencepiece(parts.read("spm.model"), parts.file);
  if (!pieces.unigram) fail(ErrorKind::kUnsupported, "{}: a BPE model for a DeBERTa tokenizer", parts.file);
  add_named_pieces(parts, pieces, true);
  const std::string unk = parts.role("unk_token");
  int64_t unk_id = get_int_or(parts.config, "unk_id", 1, parts.where());
  for (size_t i = 0; i < pieces.tokens.size(); ++i) {
    if (pieces.tokens[i] == unk && pieces.scores[i] == 0) unk_id = static_cast<int64_t>(i);
  }
  parts.model = std::make_unique<Unigram>(pieces.tokens, pieces.scores, unk_id, false, parts.file);
  std::vector<Json> normal;
  if (parts.flag("do_lower_case", false)) normal.push_back({{"type", "Lowercase"}});
  normal.push_back(replace_step("Regex", "\\s{2,}|[\\n\\r\\t]", " "));
  normal.push_back({{"type", "NFC"}});
  normal.push_back({{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}});
  parts.pipeline.normalizer = sequence_step("normalizers", std::move(normal));
  std::vector<Json> words;
  if (parts.flag("split_by_punct", false)) words.push_back({{"type", "Punctuation"}, {"behavior", "Isolated"}});
  const char* scheme = parts.flag("add_prefix_space", true) ? "always" : "first";
  words.push_back(metaspace_step(scheme, true));
  parts.pipeline.pre_tokenizer = sequence_step("pretokenizers", std::move(words));
  parts.pipeline.decoder = metaspace_step(scheme, true);
  parts.finish = cls_and_sep;
}

Class class_of(const std::string& name, const std::filesystem::path& folder) {
  std::string plain = name;  // without the suffix of old names
  if (plain.size() > 4 && plain.compare(plain.size() - 4, 4, "Fast") == 0) plain.resize(plain.size() - 4);
  const auto is = [&](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), plain) != names.end();
  };
  const char* end = "<|endoftext|>";
  if (is({"GPT2Tokenizer"})) {
    return {"vocab.json", {{"unk_token", end}, {"bos_token", end}, {"eos_token", end}}, build_gpt2};
  }
  if (is({"Qwen2Tokenizer"})) {
    return {"vocab.json", {{"unk_token", end}, {"eos_token", end}, {"pad_token", end}}, build_qwen2};
  }
  if (is({"RobertaTokenizer"})) {
    return {"vocab.json",
            {{"bos_token", "<s>"},
             {"eos_token", "</s>"},
             {"sep_token", "</s>"},
             {"cls_token", "<s>"},
             {"unk_token", "<unk>"},
             {"pad_token", "<pad>"},
             {"mask_token", "<mask>"}},
            build_roberta};
  }
  if (is({"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"})) {
    return {"vocab.txt",
            {{"unk_token", "[UNK]"},
             {"sep_token", "[SEP]"},
             {"pad_token", "[PAD]"},
             {"cls_token", "[CLS]"},
             {"mask_token", "[MASK]"}},
            build_bert};
  }
  if (is({"LlamaTokenizer"})) {
    return {"tokenizer.model", {{"unk_token", "<unk>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}}, build_llama};
  }
  if (is({"T5Tokenizer"})) {
    return {"spiece.model", {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}}, build_t5};
  }
  if (is({"DebertaV2Tokenizer"})) {
    return {"spm.model",
            {{"bos_token", "[CLS]"},
             {"eos_token", "[SEP]"},
             {"unk_token", "[UNK]"},
             {"sep_token", "[SEP]"},
             {"pad_token", "[PAD]"},
             {"cls_token", "[CLS]"},
             {"mask_token", "[MASK]"}},
            build_deberta};
  }
  if (is({"PreTrainedTokenizer", "TokenizersBackend", "GemmaTokenizer"}) ||
      (name.empty() && std::filesystem::exists(folder / "tokenizer.model"))) {
    return {"tokenizer.model", Json::object(), build_pieces};
  }
  if (name.empty()) {
    fail(ErrorKind::kData, "{}: no tokenizer.json, and no tokenizer_class in tokenizer_config.json", folder.string());
  }
  fail(ErrorKind::kUnsupported,
       "{}: no tokenizer.json, and tokenizer_class {} is not known; save the tokenizer in the fast format first",
       folder.string(), quote(name));
}

// Added tokens by id, as tokenizer_config.json or the older added_tokens.json lists them.
std::map<int64_t, AddedToken> listed_tokens(const Parts& parts) {
  std::map<int64_t, AddedToken> out;
  const auto add = [&](int64_t id, AddedToken token, const std::string& where) {
    if (id < 0 || id > Vocabulary::kMaxId) fail(ErrorKind::kData, "{}: token id {} is out of range", where, id);
    out[id] = std::move(token);
  };
  if (parts.config.contains("added_tokens_decoder")) {
    const std::string where = parts.where() + ": added_tokens_decoder";
    const Json& list = parts.config.at("added_tokens_decoder");
    if (!list.is_object()) fail(ErrorKind::kData, "{}: expected an object", where);
    for (const auto& [key, value] : list.items()) {
      const bool digits = !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
      if (!digits) fail(ErrorKind::kData, "{}: {} is no token id", where, quote(key));
      add(std::stoll(key), read_added_token(value, where + "." + key, {"__type"}), where);
    }
    return out;
  }
  const std::filesystem::path file = parts.folder / "added_tokens.json";
  const Json list = read_json_if_there(file);
  if (list.is_null()) return out;
  if (!list.is_object()) fail(ErrorKind::kData, "{}: expected an object", file.string());
  for (const auto& [content, id] : list.items()) {
    if (!id.is_number_integer() || content.empty()) {
      fail(ErrorKind::kData, "{}: expected tokens and their ids, got {}", file.string(), quote(dump_json(id)));
    }
    AddedToken token;
    token.content = content;
    token.special = std::any_of(std::begin(kRoles), std::end(kRoles),
                                [&](const char* role) { return parts.role(role) == token.content; });
    token.normalized = !token.special;
    add(id.get<int64_t>(), std::move(token), file.string());
  }
  return out;
}

// All added tokens with their ids, in the order in which transformers adds them: an id is the vocabulary's, or the
// next.
std::vector<AddedToken> added_tokens(const Parts& parts) {
  std::vector<AddedToken> added;
  const Vocabulary& vocabulary = parts.model->vocabulary();
  auto next = static_cast<TokenId>(vocabulary.size());
  const auto add = [&](AddedToken token, int64_t listed) {
    for (const AddedToken& known : added) {
      if (known.content == token.content) return;
    }
    const TokenId in_model = vocabulary.find(token.content);
    token.id = in_model >= 0 ? in_model : next++;
    if (listed >= 0 && listed != token.id) {
      fail(ErrorKind::kData, "{}: added token {} is listed with id {}, but {}", parts.file, quote(token.content),
           listed,
           in_model >= 0 ? fmt::format("the vocabulary gives it {}", in_model)
                         : fmt::format("the next free id is {}", token.id));
    }
    added.push_back(std::move(token));
  };
  for (auto& [id, token] : listed_tokens(parts)) {
    AddedToken copy = token;
    if (parts.raw_added) copy.normalized = false;
    add(std::move(copy), id);
  }
  for (const char* role : kRoles) {
    if (parts.role(role).empty()) continue;
    AddedToken token;
    if (const Json& value = parts.config.at(role); value.is_object()) {
      token = read_added_token(value, parts.where() + ": " + role, {"__type"});
    }
    token.content = parts.role(role);
    token.special = true;
    add(std::move(token), -1);
  }
  for (const AddedToken& token : parts.own) add(token, -1);
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    const Json list = parts.config.value(key, Json());
    if (!list.is_array()) continue;
    for (const Json& value : list) {
      AddedToken token;
      if (value.is_object()) token = read_added_token(value, parts.where() + ": " + key, {"__type"});
      if (value.is_string()) token.content = value.get<std::string>();
      if (token.content.empty()) fail(ErrorKind::kData, "{}: {}: expected tokens", parts.where(), key);
      token.special = true;
      add(std::move(token), -1);
    }
  }
  return added;
}

}  // namespace

Tokenizer load_slow_folder(const std::filesystem::path& folder) {
  Parts parts;
  parts.folder = folder;
  parts.config = read_json_if_there(folder / "tokenizer_config.json");
  if (parts.config.is_null()) parts.config = Json::object();
  if (!parts.config.is_object()) fail(ErrorKind::kData, "{}: expected an object", parts.where());
  const Json map = read_json_if_there(folder / "special_tokens_map.json");
  if (map.is_object() && !parts.config.contains("added_tokens_decoder")) parts.config.update(map);
  const Class type = class_of(get_string_or(parts.config, "tokenizer_class", "", parts.where()), folder);
  parts.file = (folder / type.vocabulary).string();
  for (const auto& [role, token] : type.roles.items()) {
    if (!parts.config.contains(role)) parts.config[role] = token;
  }
  type.build(parts);
  std::vector<AddedToken> added = added_tokens(parts);
  parts.pipeline.post_processor = (parts.finish != nullptr ? parts.finish : bos_and_eos)(parts, added);
  const auto impl = std::make_shared<TokenizerImpl>(std::move(parts.model), std::move(added), std::move(parts.pipeline),
                                                    folder.string());
  parts.config.erase("tokenizer_class");  // written again it is a tokenizer.json, for no class in particular
  set_roles(*impl, parts.config);
  return Tokenizer(impl);
}

}  // namespace merit::text
