// The encoding record: how a model is fed, as one file in its folder. Training, scoring and sampling all encode
// through it, so that the same text is the same ids everywhere; two records that differ are refused, not averaged.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "merit/core/json.h"
#include "merit/text/tokenizer.h"

namespace merit::text {

// Where prompt and completion meet.
enum class Boundary {
  kSplit,  // prompt and completion are tokenised apart: the prompt ids never depend on the completion
  kJoint,  // the whole is tokenised at once and cut where the prompt's ids stop agreeing with it
};
enum class TruncationSide { kLeft, kRight };

struct EncodingRecord {
  static constexpr int kVersion = 1;
  static constexpr const char* kFileName = "merit_encoding.json";

  // Identity: two models fed differently in any of these are two different functions of the text.
  std::string chat_template;  // the source; "" if the model has none
  std::string tool_template;  // the one for records with tools; "": chat_template does for them too
  std::string bos_token;      // text of the token; "" if the model has none
  std::string eos_token;      // likewise; the template may print both
  bool add_bos = false;       // every sequence starts with bos_token, exactly once
  std::string end_of_turn;    // the token that ends a completion; "" appends none
  bool append_end = true;     // a completion that was not cut ends with end_of_turn, exactly once
  Boundary boundary = Boundary::kSplit;
  TruncationSide truncation_side = TruncationSide::kLeft;  // the side of the prompt that is cut first
  std::string pooling = "last";                            // the position a score head reads
  std::string head_activation = "none";                    // what is applied to the head's output
  bool safe_content = true;                                // message text can never become a control token
  std::string raw_prompt = "wrap";  // a plain-text prompt is a user message of the template ("wrap") or itself ("raw")
  // What is done with messages that a template may refuse: "template" leaves them to it, and its refusal is the
  // record's error. "merge" writes a system message before the next user message's text; and turns of one role in a row
  // as one.
  std::string system_role = "template";
  std::string repeated_turns = "template";
  std::string date = "2024-07-26";  // what strftime_now says: YYYY-MM-DD, or "now" for the clock

  // A default, not identity: overridable, recorded by the run.
  int max_length = 0;  // tokens; 0: the model's own limit, unknown here

  // Set when no record was in the folder and one was worked out; `reasons` says for each field why.
  bool derived = false;
  std::vector<std::pair<std::string, std::string>> reasons;

  OrderedJson to_json() const;
  // Error(kData) naming `where` and the member, for a missing or unknown member, a wrong type or an unknown version.
  static EncodingRecord from_json(const Json& json, const std::string& where);
};

// The record of a model folder (its merit_encoding.json) or of a GGUF file (FILE.merit_encoding.json) if there is one,
// else derived. `tokenizer` is the model's, from load_tokenizer(path).
EncodingRecord load_encoding(const std::string& path, const Tokenizer& tokenizer);
// Derived from chat_template.jinja, tokenizer_config.json and config.json, or from the metadata of a GGUF file, and
// from the tokenizer: which token BOS is, and what the template prints before and behind an answer.
EncodingRecord derive_encoding(const std::string& path, const Tokenizer& tokenizer);
// Where the record of a model stands, and writing it there.
std::string encoding_path(const std::string& path);
void save_encoding(const EncodingRecord& record, const std::string& path);

// The first identity field in which the two differ, with both sides, as one line; nothing if they agree.
std::optional<std::string> difference(const EncodingRecord& a, const EncodingRecord& b);
// Error(kData) that names both models and the field if the two records differ.
void require_same(const EncodingRecord& a, const std::string& name_a, const EncodingRecord& b,
                  const std::string& name_b);

}  // namespace merit::text
