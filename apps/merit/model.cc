// merit model: what a model folder or GGUF file holds, how text enters it, and conversion to a folder.
#include <fmt/format.h>

#include <filesystem>

#include "command.h"
#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/core/strings.h"
#include "merit/formats/weights.h"
#include "merit/nn/adapter_file.h"
#include "merit/nn/convert.h"
#include "merit/nn/encoder_sentence.h"
#include "merit/nn/head.h"
#include "merit/reward/check.h"

namespace merit::app {
namespace {

void bind_json(CLI::App& app, OutputOptions& output) {
  app.add_flag("--json", output.json, "Print the result as JSON instead of tables");
}

// ---- merit model info

struct InfoOptions {
  std::string path;
  OutputOptions output;
};

void bind_info(CLI::App& app, InfoOptions& options) {
  app.add_option("model", options.path, "A Hugging Face folder, a GGUF file or an adapter")->required();
  bind_json(app, options.output);
}

std::string token_text(const text::Tokenizer& tokenizer, int32_t id) {
  return fmt::format("{} {}", id, quote(tokenizer.id_to_token(id).value_or("?")));
}

// As transformers has it; an encoder's as it stands in the folder.
OrderedJson config_of(const reward::Model& model) {
  if (!model.is_encoder()) return nn::to_hf_config(model.config(), "float32");
  const std::string file = std::filesystem::path(model.path()) / "config.json";
  return parse_ordered_json(read_file(file), file);
}

int run_info(const InfoOptions& options, const CLI::App& command) {
  const reward::Model model(options.path, {});
  const nn::ModelConfig& config = model.config();
  const text::EncodingRecord& record = model.encoder().record();
  const std::filesystem::path base = nn::base_of(options.path);
  const auto weights = formats::open_weights(base);
  std::map<std::string, std::pair<uint64_t, uint64_t>> types;  // name -> (tensors, bytes)
  for (const formats::TensorView& tensor : weights->tensors()) {
    auto& [count, bytes] = types[std::string(formats::name(tensor.dtype))];
    ++count;
    bytes += tensor.bytes.size();
  }
  const bool head = std::filesystem::is_directory(options.path) && nn::has_head(options.path);
  const int64_t parameters =
      config.non_embedding_parameters() + config.vocab_size * config.hidden_size * (config.tie_embeddings ? 1 : 2);

  OrderedJson summary = start_summary(command, nullptr);
  summary["model"] = {{"path", options.path},       {"identity", model.identity()},
                      {"config", config_of(model)}, {"parameters", parameters},
                      {"score_head", head},         {"sentence_encoder", nn::SentenceEncoder::is_folder(options.path)}};
  for (const auto& [name, entry] : types) {
    summary["model"]["tensors"][name] = {{"count", entry.first}, {"bytes", entry.second}};
  }
  summary["encoding"] = record.to_json();
  summary["encoding_hash"] = model.encoding_hash();

  report::Table table({{"model"}, {options.path}});
  if (base != options.path) table.add_row({"an adapter on", base.string()});
  table.add_row({"architecture", config.architecture});
  table.add_row({"parameters", report::format_count(static_cast<uint64_t>(parameters))});
  table.add_row({"layers x hidden size", fmt::format("{} x {}", config.layers, config.hidden_size)});
  table.add_row(
      {"heads / key-value heads / size", fmt::format("{} / {} / {}", config.heads, config.kv_heads, config.head_dim)});
  table.add_row({"feed-forward size", fmt::format("{}", config.ffn_size)});
  table.add_row({"vocabulary", report::format_count(static_cast<uint64_t>(config.vocab_size))});
  table.add_row({"positions", report::format_count(static_cast<uint64_t>(config.max_positions))});
  for (const auto& [name, entry] : types) {
    table.add_row(
        {"tensors in " + name, fmt::format("{} ({:.1f} MB)", entry.first, static_cast<double>(entry.second) / 1e6)});
  }
  table.add_row({"score head", head ? "yes" : model.is_encoder() ? "no: an encoder" : "no: a language model"});
  if (nn::SentenceEncoder::is_folder(options.path)) table.add_row({"sentence encoder", "yes: modules.json"});
  table.add_row({"identity", model.identity()});
  table.add_rule();
  table.add_row({"encoding record", record.derived ? "derived" : text::EncodingRecord::kFileName});
  table.add_row({"chat template", record.chat_template.empty()
                                      ? "none: prompts are plain text"
                                      : fmt::format("{} characters", record.chat_template.size())});
  table.add_row({"BOS", record.add_bos ? quote(record.bos_token) : "none is added"});
  table.add_row({"end of turn", record.append_end && !record.end_of_turn.empty() ? quote(record.end_of_turn) : "none"});
  std::vector<std::string> stops;
  for (const text::TokenId id : model.encoder().stop_ids())
    stops.push_back(token_text(model.encoder().tokenizer(), id));
  table.add_row({"sampling stops at", stops.empty() ? "nothing: the model names no end" : join(stops, ", ")});
  print_result(options.output, summary, {table});
  return kDone;
}

// ---- merit model check

struct CheckOptions {
  std::string path;
  std::string dtype = "auto";
  OutputOptions output;
};

void bind_check(CLI::App& app, CheckOptions& options) {
  app.add_option("model", options.path, "A Hugging Face folder or a GGUF file")->required();
  app.add_option("--dtype", options.dtype, "The compute dtype to check it in")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float64"}))
      ->capture_default_str();
  bind_json(app, options.output);
}

int run_check(const CheckOptions& options, const CLI::App& command) {
  constexpr const char* kLevels[] = {"ok", "note", "FAILED", "-"};
  OrderedJson summary = start_summary(command, nullptr);
  summary["checks"] = OrderedJson::array();
  report::Table table({{"check"}, {""}, {"finding"}});
  uint64_t failed = 0;
  for (const reward::Check& check : reward::check_model(options.path, {.dtype = reward::parse_dtype(options.dtype)})) {
    const char* level = kLevels[static_cast<int>(check.level)];
    failed += check.level == reward::CheckLevel::kFailure;
    OrderedJson entry = {{"name", check.name}, {"level", level}, {"finding", check.finding}};
    table.add_row({check.name, level, check.finding});
    for (const auto& [what, why] : check.details) {
      entry["details"][what] = why;
      table.add_row({"  " + what, "", why});
    }
    summary["checks"].push_back(std::move(entry));
  }
  print_result(options.output, summary, {table}, failed == 0 ? "nothing is in the way of using this model" : "");
  if (failed > 0) fail(ErrorKind::kData, "{}: {} check{} failed", options.path, failed, failed == 1 ? "" : "s");
  return kDone;
}

// ---- merit model convert

struct ConvertOptions {
  std::string path;
  std::string head;
  std::string dtype = "float32";
  OutputOptions output;
};

void bind_convert(CLI::App& app, ConvertOptions& options) {
  app.add_option("model", options.path, "A Hugging Face folder or a GGUF file")->required();
  app.add_option("--head", options.head, "A head folder: the result is a sequence-classification folder with it");
  app.add_option("--dtype", options.dtype, "Of the weights that are written")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}))
      ->capture_default_str();
  options.output.bind_folder(app, "the model");
}

int run_convert(const ConvertOptions& options, const CLI::App& command) {
  namespace fs = std::filesystem;
  if (fs::exists(options.output.out) && !options.output.overwrite && !fs::is_empty(options.output.out)) {
    fail(ErrorKind::kUsage, "{} exists and is not empty: give --overwrite or another folder", options.output.out);
  }
  std::optional<nn::ScalarHead> head;
  if (!options.head.empty()) {
    const reward::Model model(options.path, {});
    head = nn::load_head(options.head);
    head->check_fits(model.config().hidden_size, model.identity(), model.encoding_hash());
  }
  nn::convert_to_folder(options.path, options.output.out, {.dtype = options.dtype, .head = head ? &*head : nullptr});
  OrderedJson summary = start_summary(command, nullptr);
  summary["folder"] = options.output.out;
  print_result(options.output, summary, {}, "model folder in " + options.output.out);
  return kDone;
}

// ---- merit model tokenize

struct TokenizeOptions {
  std::string path;
  std::string text;
  bool chat = false;
  OutputOptions output;
};

void bind_tokenize(CLI::App& app, TokenizeOptions& options) {
  app.add_option("model", options.path, "A Hugging Face folder or a GGUF file")->required();
  app.add_option("text", options.text, "The text")->required();
  app.add_flag("--chat", options.chat, "As a user's message, as the model is fed in merit generate");
  bind_json(app, options.output);
}

int run_tokenize(const TokenizeOptions& options, const CLI::App& command) {
  const reward::Model model(options.path, {});
  const text::Tokenizer& tokenizer = model.encoder().tokenizer();
  std::vector<text::TokenId> ids;
  if (options.chat) {
    ids =
        model.encoder().encode_prompt(OrderedJson::array({{{"role", "user"}, {"content", options.text}}})).value().ids;
  } else {
    ids = tokenizer.encode(options.text);
  }
  OrderedJson summary = start_summary(command, nullptr);
  summary["ids"] = ids;
  report::Table table({{"position", report::Align::kRight}, {"id", report::Align::kRight}, {"token"}, {"text"}});
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string token = tokenizer.id_to_token(ids[i]).value_or("");
    summary["tokens"].push_back(token);
    table.add_row({fmt::format("{}", i), fmt::format("{}", ids[i]), quote(token),
                   quote(tokenizer.decode(std::span(&ids[i], 1)))});
  }
  print_result(options.output, summary, {table}, fmt::format("{} tokens", ids.size()));
  return kDone;
}

}  // namespace

void add_model(CLI::App& app, Action& action) {
  CLI::App* model = app.add_subcommand("model", "Look at models and convert them");
  model->require_subcommand(1);
  add_command<InfoOptions>(*model, action, "info", "What a model holds and how text enters it", bind_info, run_info);
  add_command<CheckOptions>(*model, action, "check", "Everything that would go wrong with a model", bind_check,
                            run_check);
  add_command<ConvertOptions>(*model, action, "convert", "Write a folder that transformers loads", bind_convert,
                              run_convert);
  add_command<TokenizeOptions>(*model, action, "tokenize", "The token ids of a text", bind_tokenize, run_tokenize);
}

}  // namespace merit::app
