#include "merit/reward/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/core/strings.h"
#include "merit/formats/weights.h"
#include "merit/nn/adapter_file.h"
#include "merit/nn/encoder_config.h"
#include "merit/nn/head.h"
#include "merit/nn/read.h"
#include "merit/nn/transformer.h"
#include "merit/reward/pair_text.h"
#include "merit/text/encoding_record.h"

namespace merit::reward {
namespace {

namespace fs = std::filesystem;

// Texts that tokenizers are known to change: case, spaces, line breaks, scripts, characters outside the first plane.
constexpr const char* kTexts[] = {"The quick brown fox.",     "  two  spaces and\ttabs ",  "line\n\nbreaks\r\n",
                                  "1,234.50 % of $x^2$",      "Größe, naïve, São, Ελλάδα", "漢字とかな 한글 العربية",
                                  "🦊👩‍👩‍👧 ½"};

class Checker {
 public:
  Checker(fs::path path, const ModelOptions& options) : path_(std::move(path)), options_(options) {}

  std::vector<Check> run() {
    check("files", {}, [&] { return files(); });
    check("config", {"files"}, [&] { return config(); });
    check("tokenizer", {"files"}, [&] { return tokenizer(); });
    check("round trip", {"tokenizer"}, [&] { return round_trip(); });
    check("encoding record", {"tokenizer"}, [&] { return record(); });
    check("conversation", {"encoding record"}, [&] { return conversation(); });
    check("BOS", {"conversation"}, [&] { return bos(); });
    check("ends", {"conversation"}, [&] { return ends(); });
    check("score head", {"files"}, [&] { return head(); });
    check("memory", {"config"}, [&] { return memory(); });
    check("weights", {"config", "encoding record"}, [&] { return weights(); });
    check("one pass", {"weights", "conversation"}, [&] { return one_pass(); });
    return std::move(checks_);
  }

 private:
  using Finding = std::pair<CheckLevel, std::string>;

  void check(const char* name, const std::vector<std::string>& needs, const std::function<Finding()>& work) {
    for (const std::string& need : needs) {
      const auto it = std::ranges::find(checks_, need, &Check::name);
      if (it->level == CheckLevel::kOk || it->level == CheckLevel::kNote) continue;
      checks_.push_back({name, CheckLevel::kSkipped, "not checked: " + need + " failed", {}});
      return;
    }
    try {
      auto [level, finding] = work();
      checks_.push_back({name, level, std::move(finding), std::exchange(details_, {})});
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::kInterrupted) throw;
      checks_.push_back({name, CheckLevel::kFailure, e.what(), {}});
    }
  }

  Finding files() {
    base_ = nn::base_of(path_);
    source_ = formats::open_weights(base_);
    std::map<std::string, std::pair<uint64_t, uint64_t>> types;
    for (const formats::TensorView& tensor : source_->tensors()) {
      auto& [count, bytes] = types[std::string(formats::name(tensor.dtype))];
      ++count;
      bytes += tensor.bytes.size();
    }
    std::vector<std::string> parts;
    for (const auto& [name, entry] : types) {
      parts.push_back(fmt::format("{} {} ({:.1f} MB)", entry.first, name, static_cast<double>(entry.second) / 1e6));
    }
    return {CheckLevel::kOk,
            fmt::format("{}{} tensors: {}", base_ == path_ ? "" : "an adapter on " + base_.string() + ": ",
                        source_->tensors().size(), join(parts, ", "))};
  }

  Finding config() {
    const fs::path file = base_ / "config.json";
    const Json json = fs::is_directory(base_) ? parse_json(read_file(file), file.string()) : Json();
    is_encoder_ = nn::is_encoder_config(json);
    config_ =
        is_encoder_ ? nn::sizes_of(nn::encoder_config_from_hf(json, file.string())) : nn::load_config(base_, *source_);
    return {CheckLevel::kOk, fmt::format("{}, {} layers of {}, {} positions", config_.architecture, config_.layers,
                                         config_.hidden_size, config_.max_positions)};
  }

  Finding tokenizer() {
    tokenizer_.emplace(text::load_tokenizer(base_));
    const auto ids = static_cast<int64_t>(tokenizer_->vocab_size());
    if (config_.vocab_size == 0) return {CheckLevel::kOk, fmt::format("{} ids", ids)};
    if (ids > config_.vocab_size) {
      return {CheckLevel::kFailure,
              fmt::format("{} ids and the model embeds {}: texts with the last {} cannot be read; another tokenizer's "
                          "files, or an embedding that was not resized",
                          ids, config_.vocab_size, ids - config_.vocab_size)};
    }
    if (ids < config_.vocab_size) {
      return {CheckLevel::kOk, fmt::format("{} ids; the model embeds {}, padded", ids, config_.vocab_size)};
    }
    return {CheckLevel::kOk, fmt::format("{} ids, as the model embeds", ids)};
  }

  Finding round_trip() {
    std::vector<std::string> changed;
    for (const char* text : kTexts) {
      const std::string back = tokenizer_->decode(tokenizer_->encode(text, {.add_special_tokens = false}));
      if (back != text) changed.push_back(fmt::format("{} comes back as {}", quote(text), quote(back)));
    }
    if (changed.empty()) return {CheckLevel::kOk, fmt::format("{} texts come back as they were", std::size(kTexts))};
    return {CheckLevel::kNote,
            fmt::format("{} of {} texts change: {}", changed.size(), std::size(kTexts), join(changed, "; "))};
  }

  Finding record() {
    text::EncodingRecord record = text::load_encoding(base_.string(), *tokenizer_);
    Finding finding{CheckLevel::kOk, fmt::format("read from {}", text::encoding_path(base_.string()))};
    if (record.derived) {
      finding = {CheckLevel::kNote, "derived, as no record is there:"};
      details_ = record.reasons;
    }
    encoder_.emplace(*tokenizer_, std::move(record));
    return finding;
  }

  Finding conversation() {
    const OrderedJson user = {{"role", "user"}, {"content", "Is 91 prime?"}};
    const OrderedJson answer = {{"role", "assistant"}, {"content", "No: 7 times 13."}};
    const Content asked = OrderedJson::array({user}), answered = OrderedJson::array({answer});
    const bool pair = is_encoder_ && encoder_->record().chat_template.empty();
    encoded_ =
        (pair ? encode_pair(*encoder_, asked, answered, config_.max_positions) : encoder_->encode(asked, answered))
            .value();
    std::string finding =
        fmt::format("two turns are {} tokens, the answer from {}", encoded_.ids.size(), encoded_.boundary);
    if (pair) return {CheckLevel::kOk, finding + "; prompt and response are a pair of texts"};
    if (encoder_->record().chat_template.empty()) {
      return {CheckLevel::kNote, finding + "; no chat template: turns are joined as plain text"};
    }
    const OrderedJson system = {{"role", "system"}, {"content", "Be brief."}};
    const auto with_system = encoder_->encode_prompt(OrderedJson::array({system, user}));
    if (with_system.ok()) return {CheckLevel::kOk, std::move(finding)};
    return {CheckLevel::kNote, finding + "; refuses a system message: " + with_system.error().what()};
  }

  Finding bos() {
    const text::EncodingRecord& record = encoder_->record();
    const auto id = tokenizer_->token_to_id(record.bos_token);
    if (record.bos_token.empty() || !id) return {CheckLevel::kOk, "the model has none"};
    const auto count = std::ranges::count(encoded_.ids, *id);
    if (!record.add_bos) return {CheckLevel::kOk, fmt::format("{} is not added", quote(record.bos_token))};
    // In families like SmolLM the same token opens every turn.
    if (count >= 1 && encoded_.ids.front() == *id) {
      return {CheckLevel::kOk, fmt::format("{} once at the front", quote(record.bos_token))};
    }
    return {CheckLevel::kFailure, fmt::format("{} should stand at the front and does not", quote(record.bos_token))};
  }

  Finding ends() {
    if (encoder_->stop_ids().empty()) {
      return {CheckLevel::kNote, "no end of turn and no EOS: sampling stops at its limit only"};
    }
    std::vector<std::string> tokens;
    for (const text::TokenId id : encoder_->stop_ids()) {
      tokens.push_back(quote(tokenizer_->id_to_token(id).value_or("?")));
    }
    const std::string stops = "sampling stops at " + join(tokens, ", ");
    if (!encoded_.closed) return {CheckLevel::kNote, stops + "; answers are scored without an end of turn"};
    return {CheckLevel::kOk, stops + "; an answer ends with " + quote(encoder_->record().end_of_turn)};
  }

  Finding head() {
    if (!fs::is_directory(path_) || !nn::has_head(path_))
      return {CheckLevel::kOk, is_encoder_ ? "none: an encoder" : "none: a language model"};
    const nn::ScalarHead head = nn::load_head(path_);
    return {CheckLevel::kOk, fmt::format("{} value{} from {} features, pooling {}", head.outputs(),
                                         head.outputs() == 1 ? "" : "s", head.hidden_size(), head.record().pooling)};
  }

  Finding memory() {
    const auto element = static_cast<double>(c10::elementSize(options_.dtype));
    const double embedding = static_cast<double>(config_.vocab_size * config_.hidden_size);
    const double weights = static_cast<double>(config_.non_embedding_parameters()) +
                           embedding * (config_.tie_embeddings || config_.num_labels > 0 ? 1 : 2);
    const double keys = static_cast<double>(2 * config_.layers * config_.kv_size()) * element;
    return {CheckLevel::kOk, fmt::format("{:.0f} MB of weights in {}, {:.1f} MB for a thousand tokens of context",
                                         weights * element / 1e6, dtype_name(options_.dtype), keys * 1000 / 1e6)};
  }

  Finding weights() {
    model_.emplace(path_, options_);
    model_->read({}, {}, nullptr);
    return {CheckLevel::kOk, "every tensor is there, in its shape; products keep a row's bits on this machine"};
  }

  Finding one_pass() {
    const auto last = static_cast<int32_t>(encoded_.ids.size()) - 1;
    const bool language_model = !is_encoder_ && model_->transformer().weights().vocab.defined();
    nn::PathRequest path = {.ids = encoded_.ids, .hidden_at = {last}};
    if (language_model) path.logps_from = std::max(1, encoded_.boundary);
    const auto result = std::move(model_->read({&path, 1}, {}, nullptr).front());
    const auto* state = result.hidden.const_data_ptr<float>();
    const bool finite = std::all_of(state, state + result.hidden.numel(), [](float v) { return std::isfinite(v); }) &&
                        std::ranges::all_of(result.logps, [](float v) { return std::isfinite(v); });
    if (!finite) return {CheckLevel::kFailure, "values that are not finite: the weights or the dtype are at fault"};
    if (!language_model) return {CheckLevel::kOk, "finite"};
    double sum = 0;
    for (const float logp : result.logps) sum += logp;
    const double mean = sum / static_cast<double>(result.logps.size());
    const double chance = -std::log(static_cast<double>(config_.vocab_size));
    const std::string finding =
        fmt::format("ln p of the answer's tokens is {:.2f} on average; chance is {:.2f}", mean, chance);
    if (mean < chance)
      return {CheckLevel::kNote, finding + ": worse than chance, so weights and tokenizer may not fit"};
    return {CheckLevel::kOk, finding};
  }

  fs::path path_;
  fs::path base_;  // what path_ stands on, if it is an adapter
  ModelOptions options_;
  std::vector<Check> checks_;
  std::vector<std::pair<std::string, std::string>> details_;  // of the check at hand

  std::shared_ptr<const formats::WeightSource> source_;
  nn::ModelConfig config_;
  bool is_encoder_ = false;
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<text::Encoder> encoder_;
  text::Encoded encoded_;
  std::optional<Model> model_;
};

}  // namespace

std::vector<Check> check_model(const fs::path& path, const ModelOptions& options) {
  return Checker(path, options).run();
}

}  // namespace merit::reward
