#include "merit/nn/sample.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <deque>
#include <optional>

#include "merit/core/error.h"
#include "merit/core/rng.h"
#include "merit/nn/engine.h"
#include "merit/nn/read.h"
#include "merit/nn/vocab_ops.h"
#include "merit/text/tokenizer.h"

namespace merit::nn {
namespace {

constexpr int64_t kPromptTokens = 1024;          // of prompts read in one step, so that a step stays short
constexpr int64_t kLogitRows = 64;               // rows of logits held at once
constexpr int64_t kKeyBytes = int64_t{1} << 30;  // of keys and values, where max_live is to be found

// A prompt whose continuations have not all begun.
struct Prompt {
  size_t group = 0;
  PathHandle path = 0;
  size_t fed = 0;     // tokens queued or computed
  int64_t begun = 0;  // continuations
  at::Tensor logits;  // [V] behind its last token; undefined until computed
};

struct Sequence {
  size_t group = 0;
  int64_t index = 0;
  PathHandle path = 0;
  Philox philox;
  int64_t length = 0;  // tokens of the path, the last drawn one included
  int64_t regime = 0;  // of the path (ModelConfig::rope_regime)
  Sample sample;
  text::StreamDecoder decoder;
};

struct Group {
  std::vector<Sample> samples;
  int64_t open = 0;  // continuations not finished
  std::optional<Error> error;
};

int64_t fitting_live(const Transformer& model, std::span<const SampleRequest> requests, int64_t max_new_tokens) {
  const ModelConfig& config = model.config();
  int64_t longest = 1;
  for (const SampleRequest& request : requests)
    longest = std::max(longest, static_cast<int64_t>(request.prompt.size()));
  const int64_t tokens = std::min(longest + max_new_tokens, config.max_positions);
  const auto element = static_cast<int64_t>(at::elementSize(model.dtype()));
  return std::clamp<int64_t>(kKeyBytes / (tokens * 2 * config.layers * config.kv_size() * element), 16, 256);
}

class Sampling {
 public:
  Sampling(const Transformer& model, const text::Tokenizer& tokenizer, std::span<const SampleRequest> requests,
           const SamplingParams& params, const SampleOptions& options, const GroupDone& on_group_done)
      : model_(model),
        tokenizer_(tokenizer),
        requests_(requests),
        params_(params),
        max_live_(options.max_live != 0 ? options.max_live : fitting_live(model, requests, params.max_new_tokens)),
        on_group_done_(on_group_done),
        state_(model),
        samplers_(static_cast<size_t>(at::get_num_threads()), Sampler(params)),
        groups_(requests.size()) {
    if (max_live_ < 1) fail(ErrorKind::kUsage, "max_live: expected at least 1, or 0 to choose, got {}", max_live_);
    for (const std::string& stop : params.stop) longest_stop_ = std::max(longest_stop_, stop.size());
  }

  SampleReport run(const std::function<bool()>& should_stop) {
    for (;;) {
      deliver();
      if (delivered_ == groups_.size()) return report_;
      if (should_stop && should_stop()) {
        report_.stopped = true;
        return report_;
      }
      begin_sequences();
      open_prompts();
      step();
    }
  }

 private:
  std::optional<Error> refusal(const SampleRequest& request) const;
  void deliver();
  void begin_sequences();
  void open_prompts();
  void feed(Prompt& prompt, int64_t& budget);
  void step();
  template <typename T>
  void draw_rows(const at::Tensor& logits, std::span<Sequence> sequences);
  void draw(const at::Tensor& logits, std::span<Sequence> sequences);
  void grow(Sequence& sequence);
  bool take(Sequence& sequence);
  bool cut_at_stop(Sample& sample, size_t searched) const;
  void finish(Sequence& sequence, Finish how);
  int64_t limit(const Sequence& sequence) const;
  int64_t prompt_regime(size_t group) const {
    return model_.config().rope_regime(static_cast<int64_t>(requests_[group].prompt.size()));
  }

  const Transformer& model_;
  const text::Tokenizer& tokenizer_;
  std::span<const SampleRequest> requests_;
  const SamplingParams& params_;
  int64_t max_live_;
  const GroupDone& on_group_done_;
  ForestState state_;
  std::vector<Sampler> samplers_;  // one a thread
  std::vector<Group> groups_;
  size_t longest_stop_ = 0;

  size_t next_request_ = 0;
  size_t delivered_ = 0;
  std::deque<Prompt> prompts_;
  std::vector<Sequence> live_;
  std::optional<PathHandle> previous_;  // the prompt opened last, for the prefix the next one shares with it
  size_t previous_request_ = 0;
  SampleReport report_;
};

std::optional<Error> Sampling::refusal(const SampleRequest& request) const {
  const ModelConfig& config = model_.config();
  const auto size = static_cast<int64_t>(request.prompt.size());
  if (request.n < 1)
    return Error(ErrorKind::kData, fmt::format("request: expected n of at least 1, got {}", request.n));
  if (size == 0) return Error(ErrorKind::kData, "prompt: expected at least one token, got none");
  if (size >= config.max_positions) {
    return Error(ErrorKind::kLimit, fmt::format("prompt: {} tokens leave no room for a new one, the model has {} "
                                                "positions; shorten it",
                                                size, config.max_positions));
  }
  for (const int32_t id : request.prompt) {
    if (id >= 0 && id < config.vocab_size) continue;
    return Error(ErrorKind::kData, fmt::format("prompt: expected ids of 0 to {}, got {}", config.vocab_size - 1, id));
  }
  return std::nullopt;
}

void Sampling::deliver() {
  for (; delivered_ < next_request_; ++delivered_) {
    Group& group = groups_[delivered_];
    if (group.error) {
      on_group_done_(delivered_, *group.error);
    } else if (group.open == 0) {
      on_group_done_(delivered_, std::move(group.samples));
    } else {
      return;
    }
    group = Group();
    ++report_.groups;
  }
}

// Branches prompts that are read, while rows are free.
void Sampling::begin_sequences() {
  for (auto prompt = prompts_.begin(); prompt != prompts_.end();) {
    if (!prompt->logits.defined()) {
      ++prompt;
      continue;
    }
    const SampleRequest& request = requests_[prompt->group];
    while (prompt->begun < request.n && static_cast<int64_t>(live_.size()) < max_live_) {
      const uint64_t stream = sequence_stream(request.stream, static_cast<uint64_t>(prompt->begun));
      Sequence sequence{prompt->group,
                        prompt->begun++,
                        state_.branch(prompt->path),
                        Philox(params_.seed, stream),
                        static_cast<int64_t>(request.prompt.size()),
                        prompt_regime(prompt->group),
                        {},
                        text::StreamDecoder(tokenizer_, /*skip_special_tokens=*/true)};
      draw(prompt->logits.unsqueeze(0), {&sequence, 1});
      if (!take(sequence)) live_.push_back(std::move(sequence));
    }
    if (prompt->begun < request.n) return;
    state_.release(prompt->path);
    prompt = prompts_.erase(prompt);
  }
}

// Opens requests until their continuations will fill the free rows, and queues the next tokens of every prompt.
void Sampling::open_prompts() {
  int64_t promised = static_cast<int64_t>(live_.size());
  for (const Prompt& prompt : prompts_) promised += requests_[prompt.group].n - prompt.begun;
  int64_t budget = kPromptTokens;
  for (Prompt& prompt : prompts_) feed(prompt, budget);
  while (promised < max_live_ && budget > 0 && next_request_ < requests_.size()) {
    const size_t group = next_request_++;
    const SampleRequest& request = requests_[group];
    groups_[group].error = refusal(request);
    if (groups_[group].error) continue;
    groups_[group].samples.resize(static_cast<size_t>(request.n));
    groups_[group].open = request.n;
    promised += request.n;
    Prompt prompt{group, 0, 0, 0, {}};
    if (previous_ && prompt_regime(previous_request_) == prompt_regime(group)) {
      // The last token is always computed: its hidden state is wanted.
      const std::vector<int32_t>& before = requests_[previous_request_].prompt;
      const size_t most =
          std::min({request.prompt.size() - 1, before.size(), static_cast<size_t>(state_.length(*previous_))});
      while (prompt.fed < most && request.prompt[prompt.fed] == before[prompt.fed]) ++prompt.fed;
      prompt.path = state_.branch(*previous_, static_cast<int32_t>(prompt.fed));
    } else {
      prompt.path = state_.root(prompt_regime(group));
    }
    feed(prompt, budget);
    if (previous_) state_.release(*previous_);
    previous_ = state_.branch(prompt.path);
    previous_request_ = group;
    prompts_.push_back(std::move(prompt));
  }
}

void Sampling::feed(Prompt& prompt, int64_t& budget) {
  const std::vector<int32_t>& ids = requests_[prompt.group].prompt;
  const size_t count = std::min(ids.size() - prompt.fed, static_cast<size_t>(budget));
  if (count == 0) return;
  const bool last = prompt.fed + count == ids.size();
  const auto wanted = static_cast<int32_t>(count - 1);
  state_.append(prompt.path, std::span(ids).subspan(prompt.fed, count),
                last ? std::span(&wanted, 1) : std::span<const int32_t>());
  prompt.fed += count;
  budget -= static_cast<int64_t>(count);
  report_.prompt_tokens += static_cast<int64_t>(count);
}

// One pass of the model: the queued prompt tokens and the newest token of every live sequence.
void Sampling::step() {
  std::vector<Prompt*> read;
  for (Prompt& prompt : prompts_) {
    if (!prompt.logits.defined() && prompt.fed == requests_[prompt.group].prompt.size()) read.push_back(&prompt);
  }
  for (Sequence& sequence : live_) grow(sequence);
  if (state_.queued() == 0) return;
  const at::Tensor hidden = state_.run();
  ++report_.steps;
  const auto prompts = static_cast<int64_t>(read.size());
  const auto live = static_cast<int64_t>(live_.size());
  MERIT_CHECK(hidden.size(0) == prompts + live);
  const VocabProjection projection = model_.vocab();
  for (int64_t begin = 0; begin < prompts; begin += kLogitRows) {
    const int64_t rows = std::min(kLogitRows, prompts - begin);
    const at::Tensor logits = vocab_logits(hidden.narrow(0, begin, rows), projection);
    for (int64_t r = 0; r < rows; ++r) read[static_cast<size_t>(begin + r)]->logits = logits.select(0, r).clone();
  }
  for (int64_t begin = 0; begin < live; begin += kLogitRows) {
    const int64_t rows = std::min(kLogitRows, live - begin);
    draw(vocab_logits(hidden.narrow(0, prompts + begin, rows), projection),
         std::span(live_).subspan(static_cast<size_t>(begin), static_cast<size_t>(rows)));
  }
  std::erase_if(live_, [this](Sequence& sequence) { return take(sequence); });
}

// Queues the newest token. Where the length changes what the path's rotations depend on, the whole path is computed
// anew: a token is drawn from what the model gives for the sequence as it then is.
void Sampling::grow(Sequence& sequence) {
  const int64_t regime = model_.config().rope_regime(sequence.length);
  if (regime == sequence.regime) return state_.append_one(sequence.path, sequence.sample.ids.back());
  state_.release(sequence.path);
  sequence.path = state_.root(regime);
  sequence.regime = regime;
  std::vector<int32_t> ids = requests_[sequence.group].prompt;
  ids.insert(ids.end(), sequence.sample.ids.begin(), sequence.sample.ids.end());
  const auto last = static_cast<int32_t>(ids.size()) - 1;
  state_.append(sequence.path, ids, {&last, 1});
}

template <typename T>
void Sampling::draw_rows(const at::Tensor& logits, std::span<Sequence> sequences) {
  const auto vocab = static_cast<size_t>(logits.size(1));
  const T* data = logits.const_data_ptr<T>();
  at::parallel_for(0, static_cast<int64_t>(sequences.size()), 1, [&](int64_t begin, int64_t end) {
    Sampler& sampler = samplers_[static_cast<size_t>(at::get_thread_num())];
    for (int64_t i = begin; i < end; ++i) {
      Sequence& sequence = sequences[static_cast<size_t>(i)];
      const double uniform = sequence.philox.uniform(static_cast<uint64_t>(sequence.length));
      const Draw draw = sampler.draw(std::span<const T>(data + static_cast<size_t>(i) * vocab, vocab), uniform);
      sequence.sample.ids.push_back(draw.id);
      sequence.sample.logps.push_back(draw.logp);
      ++sequence.length;
    }
  });
}

// logits [sequences, V] -> one more token and log-prob each.
void Sampling::draw(const at::Tensor& logits, std::span<Sequence> sequences) {
  if (logits.scalar_type() == at::kDouble) {
    draw_rows<double>(logits, sequences);
  } else {
    draw_rows<float>(logits, sequences);
  }
  report_.new_tokens += static_cast<int64_t>(sequences.size());
}

int64_t Sampling::limit(const Sequence& sequence) const {
  const auto prompt = static_cast<int64_t>(requests_[sequence.group].prompt.size());
  return std::min(params_.max_new_tokens, model_.config().max_positions - prompt);
}

// Looks at the token just drawn; true if it was the last.
bool Sampling::take(Sequence& sequence) {
  Sample& sample = sequence.sample;
  const int32_t id = sample.ids.back();
  if (std::find(params_.stop_ids.begin(), params_.stop_ids.end(), id) != params_.stop_ids.end()) {
    finish(sequence, Finish::kStop);
    return true;
  }
  const size_t searched = sample.text.size();
  sample.text += sequence.decoder.push(id);
  const bool stopped = cut_at_stop(sample, searched);
  if (!stopped && static_cast<int64_t>(sample.ids.size()) < limit(sequence)) return false;
  finish(sequence, stopped ? Finish::kStop : Finish::kLength);
  return true;
}

// Ends the text before the first stop string that ends behind byte `searched`.
bool Sampling::cut_at_stop(Sample& sample, size_t searched) const {
  if (params_.stop.empty()) return false;
  const size_t from = searched - std::min(searched, longest_stop_ - 1);
  size_t cut = std::string::npos;
  for (const std::string& stop : params_.stop) cut = std::min(cut, sample.text.find(stop, from));
  if (cut == std::string::npos) return false;
  sample.text.resize(cut);
  return true;
}

void Sampling::finish(Sequence& sequence, Finish how) {
  Sample& sample = sequence.sample;
  sample.finish = how;
  const bool cut = how == Finish::kStop && std::find(params_.stop_ids.begin(), params_.stop_ids.end(),
                                                     sample.ids.back()) == params_.stop_ids.end();
  if (!cut) {
    const size_t searched = sample.text.size();
    sample.text += sequence.decoder.finish();
    if (cut_at_stop(sample, searched)) sample.finish = Finish::kStop;
  }
  state_.release(sequence.path);
  if (model_.config().rope_regime(sequence.length) != prompt_regime(sequence.group)) {
    // Reading takes the finished sequence in one regime, and its log-probs are what is promised.
    PathRequest whole{requests_[sequence.group].prompt, 0, {}};
    whole.logps_from = static_cast<int32_t>(whole.ids.size());
    whole.ids.insert(whole.ids.end(), sample.ids.begin(), sample.ids.end());
    sample.logps = read(model_, {&whole, 1})[0].logps;
  }
  Group& group = groups_[sequence.group];
  group.samples[static_cast<size_t>(sequence.index)] = std::move(sample);
  --group.open;
}

}  // namespace

SampleReport sample(const Transformer& model, const text::Tokenizer& tokenizer, std::span<const SampleRequest> requests,
                    const SamplingParams& params, const SampleOptions& options, const GroupDone& on_group_done,
                    const std::function<bool()>& should_stop) {
  validate(params);
  return Sampling(model, tokenizer, requests, params, options, on_group_done).run(should_stop);
}

}  // namespace merit::nn
