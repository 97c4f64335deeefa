// Hugging Face folders: tokenizer.json, and the roles in the files beside it.
#include <filesystem>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/formats/gguf.h"
#include "merit/text/tokenizer.h"
#include "merit/text/tokenizer_fields.h"
#include "merit/text/tokenizer_impl.h"

namespace merit::text {
namespace {

constexpr uint64_t kMaxFile = uint64_t{256} << 20;

Json member_or_null(Fields& fields, const std::string& key) {
  const Json* value = fields.find(key);
  return value ? *value : Json(nullptr);
}

// A role's token in tokenizer_config.json or special_tokens_map.json: a string, or an object with its content.
std::optional<std::string> role(const Json& config, const char* key) {
  if (!config.is_object() || !config.contains(key)) return std::nullopt;
  const Json& value = config[key];
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string()) {
    return value["content"].get<std::string>();
  }
  return std::nullopt;
}

// added_tokens.json of old folders repeats what tokenizer.json holds; a difference would be another tokenizer.
void check_added(const TokenizerImpl& impl, const Json& added, const std::string& where) {
  if (added.is_null()) return;
  if (!added.is_object()) fail(ErrorKind::kData, "{}: expected an object", where);
  for (auto it = added.begin(); it != added.end(); ++it) {
    const auto known = impl.added_ids.find(it.key());
    if (known == impl.added_ids.end() || *it != known->second) {
      fail(ErrorKind::kData, "{}: token {} with id {} is not among the added tokens of tokenizer.json", where,
           quote(it.key()), quote(dump_json(*it)));
    }
  }
}

std::shared_ptr<TokenizerImpl> parse(std::string_view text, const std::string& where) {
  const Json json = parse_json(text, where);
  Fields fields(json, where);
  for (const char* key : {"version", "truncation", "padding"}) fields.ignore(key);  // no part in a text's own ids
  PipelineJson pipeline;
  pipeline.normalizer = member_or_null(fields, "normalizer");
  pipeline.pre_tokenizer = member_or_null(fields, "pre_tokenizer");
  pipeline.post_processor = member_or_null(fields, "post_processor");
  pipeline.decoder = member_or_null(fields, "decoder");
  std::vector<AddedToken> added;
  if (const Json* list = fields.find("added_tokens")) {
    if (!list->is_array()) fail(ErrorKind::kData, "{}: added_tokens: expected an array", where);
    for (size_t i = 0; i < list->size(); ++i) {
      const std::string at = fmt::format("{}: added_tokens[{}]", where, i);
      added.push_back(read_added_token((*list)[i], at, {"id"}));
      const int64_t id = get_int((*list)[i], "id", at);
      if (id < 0 || id > Vocabulary::kMaxId) {
        fail(ErrorKind::kData, "{}: id {} is not between 0 and {}", at, id, Vocabulary::kMaxId);
      }
      added.back().id = static_cast<TokenId>(id);
    }
  }
  std::unique_ptr<TokenModel> model = make_model(fields.need("model"), where + ": model");
  fields.done();
  return std::make_shared<TokenizerImpl>(std::move(model), std::move(added), std::move(pipeline), where);
}

Tokenizer load_folder(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "tokenizer.json";
  if (!std::filesystem::exists(file)) return load_slow_folder(folder);
  Json roles = read_json_if_there(folder / "special_tokens_map.json");
  if (roles.is_null()) roles = Json::object();
  const Json config = read_json_if_there(folder / "tokenizer_config.json");
  if (config.is_object()) roles.update(config);
  const std::shared_ptr<TokenizerImpl> impl = parse(read_file(file, kMaxFile), file.string());
  set_roles(*impl, roles);
  const std::filesystem::path added = folder / "added_tokens.json";
  check_added(*impl, read_json_if_there(added), added.string());
  return Tokenizer(impl);
}

}  // namespace

AddedToken read_added_token(const Json& json, const std::string& where, std::initializer_list<const char*> known) {
  Fields fields(json, where);
  for (const char* key : known) fields.ignore(key);
  AddedToken token;
  token.content = fields.string("content");
  token.special = fields.boolean_or("special", false);
  token.single_word = fields.boolean_or("single_word", false);
  token.lstrip = fields.boolean_or("lstrip", false);
  token.rstrip = fields.boolean_or("rstrip", false);
  token.normalized = fields.boolean_or("normalized", !token.special);
  fields.done();
  if (token.content.empty()) fail(ErrorKind::kData, "{}: the content is empty", where);
  return token;
}

void set_roles(TokenizerImpl& impl, const Json& config) {
  const auto id_of = [&](const char* key) -> std::optional<TokenId> {
    const std::optional<std::string> token = role(config, key);
    if (!token) return std::nullopt;
    if (const auto it = impl.added_ids.find(*token); it != impl.added_ids.end()) return it->second;
    const TokenId id = impl.model->vocabulary().find(*token);
    if (id < 0) fail(ErrorKind::kData, "{}: {} {} is not in the vocabulary", impl.where, key, quote(*token));
    return id;
  };
  impl.special = {id_of("bos_token"), id_of("eos_token"), id_of("pad_token"), id_of("unk_token")};
  if (config.is_object()) impl.class_name = get_string_or(config, "tokenizer_class", impl.class_name, impl.where);
}

Json read_json_if_there(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return nullptr;
  return parse_json(read_file(path, kMaxFile), path.string());
}

Tokenizer parse_tokenizer_json(std::string_view text, const Json& config, const std::string& where) {
  const std::shared_ptr<TokenizerImpl> impl = parse(text, where);
  set_roles(*impl, config);
  return Tokenizer(impl);
}

Tokenizer load_tokenizer(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return load_folder(path);
  if (path.extension() == ".json") {
    return parse_tokenizer_json(read_file(path, kMaxFile), nullptr, path.string());
  }
  return load_tokenizer(formats::GgufFile(path), path.string());
}

OrderedJson Tokenizer::to_tokenizer_json() const {
  OrderedJson json;
  json["version"] = "1.0";
  json["truncation"] = nullptr;
  json["padding"] = nullptr;
  OrderedJson added = OrderedJson::array();
  for (const auto& [id, index] : impl_->added_by_id) {
    const AddedToken& token = impl_->added[index];
    added.push_back({{"id", id},
                     {"content", token.content},
                     {"single_word", token.single_word},
                     {"lstrip", token.lstrip},
                     {"rstrip", token.rstrip},
                     {"normalized", token.normalized},
                     {"special", token.special}});
  }
  json["added_tokens"] = std::move(added);
  json["normalizer"] = impl_->json.normalizer;
  json["pre_tokenizer"] = impl_->json.pre_tokenizer;
  json["post_processor"] = impl_->json.post_processor;
  json["decoder"] = impl_->json.decoder;
  json["model"] = impl_->model->to_json();
  return json;
}

OrderedJson Tokenizer::tokenizer_config_json() const {
  const auto token_or_null = [&](std::optional<TokenId> id) {
    const std::optional<std::string> token = id ? id_to_token(*id) : std::nullopt;
    return token ? OrderedJson(*token) : OrderedJson(nullptr);
  };
  OrderedJson json;
  json["tokenizer_class"] = impl_->class_name;
  json["bos_token"] = token_or_null(bos_id());
  json["eos_token"] = token_or_null(eos_id());
  json["pad_token"] = token_or_null(pad_id());
  json["unk_token"] = token_or_null(unk_id());
  json["add_bos_token"] = adds_bos();
  json["add_eos_token"] = adds_eos();
  json["clean_up_tokenization_spaces"] = false;
  return json;
}

}  // namespace merit::text
