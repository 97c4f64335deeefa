// From prompts and completions to token ids: the one way text enters a model, in training, scoring and sampling.
//
// The rules, all fixed by the model's EncodingRecord (docs/encoding.md has the reasons):
// - BOS stands once at the front, or not at all, whatever the template prints and the tokenizer's post-processor adds.
// - A conversation is rendered by the chat template; the completion is what the template adds to the prompt's render.
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
  OrderedJson tools = nullptr;      // array of tool schemas, or null
  OrderedJson documents = nullptr;  // array, or null
  OrderedJson variables = OrderedJson::object();  // more template variables (enable_thinking and the like)
  int max_length = 0;               // tokens; 0: the record's
};

// Immutable; safe to use from many threads.
class Encoder {
 public:
  // Error(kData) if the template does not compile, or a token the record names is not in the tokenizer.
  Encoder(Tokenizer tokenizer, EncodingRecord record);

  // Prompt and completion as one path. The failures of one record are values: an empty completion, a template that
  // refuses the messages, a conversation whose render does not continue its prompt, a length that leaves no room.
  Result<Encoded> encode(const Content& prompt, const Content& completion, const EncodeContext& context = {}) const;
  // The prompt as a model continues it: the same ids that encode() gives before the boundary.
  Result<Encoded> encode_prompt(const Content& prompt, const EncodeContext& context = {}) const;
  // A completion that was sampled as ids, behind its prompt: exactly these ids, cut or not.
  Result<Encoded> append(const Encoded& prompt, const std::vector<TokenId>& completion, bool finished) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }
  const EncodingRecord& record() const { return record_; }
  // The ids at which sampling stops.
  const std::vector<TokenId>& stop_ids() const { return stop_ids_; }

 private:
  struct Pieces;
  Pieces render_pair(const Content& prompt, const Content* completion, const EncodeContext& context) const;
  std::vector<TokenId> encode_text(const Rendered& piece) const;

  Tokenizer tokenizer_;
  EncodingRecord record_;
  std::optional<ChatTemplate> template_;
  Clock clock_;
  std::optional<TokenId> bos_;
  std::optional<TokenId> end_;
  std::vector<TokenId> stop_ids_;
};

}  // namespace merit::text
