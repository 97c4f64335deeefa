// Working out how a model is fed from the files it comes with.
#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/formats/gguf.h"
#include "merit/text/encoding_record.h"
#include "merit/text/template.h"

namespace merit::text {

namespace {

namespace fs = std::filesystem;

struct Found {
  std::map<std::string, std::string> templates;  // by name; a lone one is "default"
  std::string where = "no file";                 // where they stood
  int64_t max_length = 0;
  std::string length_where = "no file";
};

Json json_or_empty(const fs::path& file) {
  if (!fs::exists(file)) return Json::object();
  Json json = parse_json(read_file(file.string()), file.string());
  if (!json.is_object()) fail(ErrorKind::kData, "{}: expected an object", file.string());
  return json;
}

// A template is a string, or a list of named ones.
std::map<std::string, std::string> templates_in(const Json& json, const std::string& where) {
  std::map<std::string, std::string> out;
  if (!json.contains("chat_template") || json.at("chat_template").is_null()) return out;
  const Json& value = json.at("chat_template");
  if (value.is_string()) {
    out["default"] = value.get<std::string>();
    return out;
  }
  if (!value.is_array()) fail(ErrorKind::kData, "{}: \"chat_template\" must be a string or a list", where);
  for (const Json& entry : value) {
    const std::string name = get_string(entry, "name", where + ": chat_template");
    if (!out.emplace(name, get_string(entry, "template", where + ": chat_template")).second) {
      fail(ErrorKind::kData, "{}: two chat templates are named {}", where, quote(name));
    }
  }
  return out;
}

Found find_in_folder(const fs::path& folder) {
  Found found;
  const fs::path config_file = folder / "tokenizer_config.json";
  const Json config = json_or_empty(config_file);
  if (const fs::path file = folder / "chat_template.jinja"; fs::exists(file)) {
    found.templates["default"] = read_file(file.string());
    found.where = "chat_template.jinja";
  } else if (const fs::path other = folder / "chat_template.json"; fs::exists(other)) {
    found.templates = templates_in(json_or_empty(other), other.string());
    found.where = "chat_template.json";
  } else if (found.templates = templates_in(config, config_file.string()); !found.templates.empty()) {
    found.where = "tokenizer_config.json";
  }
  if (const fs::path more = folder / "additional_chat_templates"; fs::is_directory(more)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(more)) {
      if (entry.path().extension() != ".jinja") continue;
      found.templates[entry.path().stem().string()] = read_file(entry.path().string());
      if (found.where == "no file") found.where = "additional_chat_templates";
    }
  }
  constexpr int64_t kNoLimit = 1 << 30;  // configs without a limit hold 1e30
  const Json model = json_or_empty(folder / "config.json");
  const auto positions = model.find("max_position_embeddings");
  if (positions != model.end() && positions->is_number_integer()) {
    found.max_length = positions->get<int64_t>();
    found.length_where = "max_position_embeddings of config.json";
  }
  const auto limit = config.find("model_max_length");
  if (limit != config.end() && limit->is_number() && limit->get<double>() >= 1 && limit->get<double>() < kNoLimit &&
      (found.max_length == 0 || limit->get<double>() < static_cast<double>(found.max_length))) {
    found.max_length = limit->get<int64_t>();
    found.length_where = "model_max_length of tokenizer_config.json";
  }
  return found;
}

Found find_in_gguf(const std::string& path) {
  const formats::GgufFile file{fs::path(path)};
  Found found;
  for (const char* name : {"default", "tool_use"}) {
    const std::string key =
        name == std::string("default") ? "tokenizer.chat_template" : "tokenizer.chat_template.tool_use";
    if (file.has(key)) found.templates[name] = file.get_string(key);
  }
  if (!found.templates.empty()) found.where = "tokenizer.chat_template of the file";
  const std::string architecture = file.get_string_or("general.architecture", "");
  found.max_length = file.get_int_or(architecture + ".context_length", 0);
  if (found.max_length > 0) found.length_where = architecture + ".context_length of the file";
  return found;
}

class Deriver {
 public:
  Deriver(const std::string& path, const Tokenizer& tokenizer) : path_(path), tokenizer_(tokenizer) {}

  EncodingRecord run() {
    record_.derived = true;
    const Found found = fs::is_directory(path_) ? find_in_folder(path_) : find_in_gguf(path_);
    derive_templates(found);
    record_.bos_token = token(tokenizer_.bos_id());
    record_.eos_token = token(tokenizer_.eos_id());
    set("bos_token", record_.bos_token.empty() ? "the tokenizer has none" : "the tokenizer's");
    set("eos_token", record_.eos_token.empty() ? "the tokenizer has none" : "the tokenizer's");
    derive_bos();
    derive_end();
    set("boundary", "the default: a prompt's ids never depend on its completion");
    set("truncation_side", "the default: the end of a prompt matters most");
    set("pooling", "the default: causal models know all at the last position");
    set("head_activation", "the default: raw scores");
    set("safe_content", "the default: text cannot forge control tokens");
    set("raw_prompt", template_ ? "the default: the model knows turns" : "without effect: no chat template");
    set("system_role", "the default: the template decides");
    set("repeated_turns", "the default: the template decides");
    set("date", template_ && template_->reads_clock()
                    ? "the template prints the date; a fixed one keeps scores the same"
                    : "without effect: nothing reads the clock");
    if (found.max_length > 0 && found.max_length <= (1 << 30)) record_.max_length = static_cast<int>(found.max_length);
    set("max_length", record_.max_length > 0 ? "from " + found.length_where : "no file says");
    return record_;
  }

 private:
  void set(const char* field, std::string reason) { record_.reasons.emplace_back(field, std::move(reason)); }

  std::string token(std::optional<TokenId> id) const { return id ? tokenizer_.id_to_token(*id).value_or("") : ""; }

  // The template named default, and the one named tool_use for records with tools, as transformers chooses.
  void derive_templates(const Found& found) {
    const auto named = [&](const char* name) {
      const auto at = found.templates.find(name);
      return at != found.templates.end() ? at->second : std::string();
    };
    record_.chat_template = named("default");
    record_.tool_template = named("tool_use");
    std::vector<std::string> names;
    for (const auto& [name, text] : found.templates) names.push_back(name);
    if (!names.empty() && record_.chat_template.empty()) {
      fail(ErrorKind::kData, "{}: none of the chat templates in {} is named default, but {}; choose one in {}", path_,
           found.where, fmt::join(names, ", "), EncodingRecord::kFileName);
    }
    set("chat_template", names.empty()      ? "the model has none"
                         : names.size() > 1 ? fmt::format("from {}, of {}", found.where, fmt::join(names, ", "))
                                            : "from " + found.where);
    set("tool_template", record_.tool_template.empty() ? "there is none named tool_use" : "the one named tool_use");
    if (!record_.chat_template.empty()) {
      template_ = ChatTemplate::compile(record_.chat_template, path_ + ": chat template");
    }
  }

  // One exchange through the template, or nothing if it refuses.
  std::optional<Rendered> probe(const std::string& bos, const std::string& answer) const {
    OrderedJson inputs;
    inputs["messages"] = {{{"role", "user"}, {"content", "q"}}, {{"role", "assistant"}, {"content", answer}}};
    inputs["tools"] = nullptr;
    inputs["documents"] = nullptr;
    inputs["add_generation_prompt"] = false;
    if (!bos.empty()) inputs["bos_token"] = bos;
    if (!record_.eos_token.empty()) inputs["eos_token"] = record_.eos_token;
    try {
      return template_->render(inputs, fixed_clock(record_.date));
    } catch (const Error&) {
      return std::nullopt;  // it wants more than this exchange; the caller says what then holds
    }
  }

  void derive_bos() {
    if (record_.bos_token.empty()) return set("add_bos", "the tokenizer has no BOS");
    if (!template_) {
      record_.add_bos = tokenizer_.adds_bos();
      return set("add_bos", record_.add_bos ? "the tokenizer adds it" : "the tokenizer does not add it");
    }
    static constexpr const char* kMarker = "\xEE\x80\x80";  // a private character: no template prints it by itself
    const std::optional<Rendered> marked = probe(kMarker, "a");
    if (!marked) {
      record_.add_bos = tokenizer_.adds_bos();
      return set("add_bos", "the template refuses a plain exchange; the tokenizer's rule");
    }
    const std::optional<Rendered> real = probe(record_.bos_token, "a");
    const bool printed = marked->text.rfind(kMarker, 0) == 0;
    const bool literal = tokenizer_.adds_bos() && real && real->text.rfind(record_.bos_token, 0) == 0;
    record_.add_bos = printed || literal;
    set("add_bos", printed   ? "the template prints it"
                   : literal ? "the template spells it"
                             : "the template does not print it");
  }

  // The first added token that the template writes behind an answer, else EOS.
  void derive_end() {
    const std::string answer = "merit probe answer";
    std::optional<Rendered> rendered;
    if (template_) rendered = probe(record_.bos_token, answer);
    const size_t at = rendered ? rendered->text.rfind(answer) : std::string::npos;
    if (at != std::string::npos) {
      const std::string tail = rendered->text.substr(at + answer.size());
      EncodeOptions options;
      options.add_special_tokens = false;
      for (const TokenId id : tokenizer_.encode(tail, options)) {
        for (const AddedToken& added : tokenizer_.added_tokens()) {
          if (added.id != id || !(added.special || added.content == record_.eos_token)) continue;
          record_.end_of_turn = added.content;
          set("end_of_turn", "what the template prints behind an answer");
          return set("append_end", "the template prints it");
        }
      }
    }
    record_.end_of_turn = record_.eos_token;
    record_.append_end = !record_.eos_token.empty();
    set("end_of_turn", record_.append_end ? "EOS" : "the tokenizer has no EOS");
    set("append_end", record_.append_end ? "the default: an answer ends" : "there is no token to append");
  }

  const std::string& path_;
  const Tokenizer& tokenizer_;
  EncodingRecord record_;
  std::optional<ChatTemplate> template_;
};

}  // namespace

EncodingRecord derive_encoding(const std::string& path, const Tokenizer& tokenizer) {
  return Deriver(path, tokenizer).run();
}

}  // namespace merit::text
