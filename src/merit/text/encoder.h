// From prompts and completions to token ids: the one way text enters a model, in training, scoring and sampling.
//
// The rules, all fixed by the model's EncodingRecord (docs/encoding.md has the reasons):
// - BOS stands once at the front, or not at all, whatever the template prints and the tokenizer's post-processor adds.
// - A conversation is rendered by the chat template; the completion is what the template adds to the prompt's render.
//   A plain-text completion continues the prompt as it stands, as a sampled one does.
// - boundary `split` (the default): prompt and completion are tokenised apart, so a prompt has the same ids under
//   all its completions. `joint`: the whole is tokenised and cut at the longest common prefix of ids.
// - A completion has at least one token of its own and ends with the end-of-turn token, once, unless it was cut.
// - Message text is encoded plain: no part of it can become a control token.
// - What one completion becomes never depends on another.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "merit/core/content.h"
#include "merit/core/json.h"
#include "merit/core/result.h"
#include "merit/text/encoding_record.h"
#include "merit/text/template.h"
#include "merit/text/tokenizer.h"

namespace merit::text {

struct Encoded {
  std::vector<TokenId> ids;
  int boundary = 0;        // index of the first completion token; ids.size() for a prompt alone
  bool truncated = false;  // something was cut to fit max_length
  bool closed = false;     // the last id is the end-of-turn token
  std::vector<bool> mask;  // [ids.size()] true where the assistant wrote: what training learns from
};

struct EncodeContext {
  OrderedJson tools = nullptr;                    // array of tool schemas, or null
  OrderedJson documents = nullptr;                // array, or null
  OrderedJson variables = OrderedJson::object();  // more template variables (enable_thinking and the like)
  int max_length = 0;                             // tokens; 0: the record's
};

// Immutable; safe to use from many threads.
class Encoder {
 public:
  // Error(kData) if the template does not compile, or a token the record names is not in the tokenizer.
  Encoder(Tokenizer tokenizer, EncodingRecord record);

  // Prompt and completion as one path. The failures of one record are values: an empty completion, a template that
  // refuses the messages, a conversation whose render does not continue its prompt's, a length that leaves no room.
  // An empty prompt is none: the completion is then a whole conversation or a whole text.
  Result<Encoded> encode(const Content& prompt, const Content& completion, const EncodeContext& context = {}) const;
  // The prompt as a model continues it: the ids that encode() with a plain-text completion gives before the boundary.
  Result<Encoded> encode_prompt(const Content& prompt, const EncodeContext& context = {}) const;
  // A whole conversation, the mask over all that the assistant wrote in it, exactly: by the template's generation
  // blocks, or else by where the assistant's strings came to stand and the end-of-turn tokens behind them.
  Result<Encoded> encode_conversation(const OrderedJson& messages, const EncodeContext& context = {}) const;
  // A completion that was sampled as ids, behind its prompt: exactly these ids, closed if it finished.
  Result<Encoded> append(const Encoded& prompt, const std::vector<TokenId>& completion, bool finished) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }
  const EncodingRecord& record() const { return record_; }
  // The ids at which sampling stops: end of turn and EOS.
  const std::vector<TokenId>& stop_ids() const { return stop_ids_; }

 private:
  struct Piece;  // ids with the bytes they stand for
  struct Turn;   // a prompt's text and a completion's

  // The template for these tools (the record's tool_template, if there are any); null if the model has none.
  const ChatTemplate* template_for(const EncodeContext& context) const;
  Rendered render(const OrderedJson& messages, bool generation_prompt, const EncodeContext& context) const;
  std::string answer_header(const OrderedJson& messages, const Rendered& prompt, const EncodeContext& context) const;
  Turn make_turn(const Content& prompt, const Content* completion, const EncodeContext& context) const;
  void add_answer(Turn& turn, const OrderedJson& messages, const OrderedJson& answer,
                  const EncodeContext& context) const;
  Piece tokenize(const Rendered& text, bool at_start) const;
  std::vector<bool> assistant_mask(const Rendered& text, const Piece& piece, const EncodeContext& context) const;
  bool close(Piece& completion, const Rendered& text) const;
  void set_bos(std::vector<TokenId>& prompt, Piece& completion) const;
  Encoded fit(std::vector<TokenId> prompt, Piece completion, bool closed, const EncodeContext& context) const;
  int limit(const EncodeContext& context) const {
    return context.max_length > 0 ? context.max_length : record_.max_length;
  }

  Tokenizer tokenizer_;
  EncodingRecord record_;
  std::optional<ChatTemplate> template_;
  std::optional<ChatTemplate> tool_template_;
  Clock clock_;
  std::optional<TokenId> bos_;
  std::optional<TokenId> end_;
  std::vector<TokenId> stop_ids_;
  // Ids of a line break, where a text that stands alone is encoded as if a space were before it; else empty.
  std::vector<TokenId> seam_;
};

}  // namespace merit::text
