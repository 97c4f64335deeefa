// Post-processors of tokenizer.json: the special tokens around one text, and around and between two. Types: ByteLevel,
// TemplateProcessing, BertProcessing, RobertaProcessing, Sequence.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/text/tokenizer.h"

namespace merit::text {

struct PairProcessor {
  std::vector<TokenId> before, between, after;
  // How many of `between` are of the first token type, behind which all is of the second; none: there is one type.
  std::optional<size_t> second_type;
};

struct PostProcessor {
  std::vector<TokenId> before, after;
  std::optional<PairProcessor> pair;  // none where the file has none, or one that is no A then B of types 0 then 1
};

// From the "post_processor" member; null gives nothing. Error(kUnsupported) for an unknown type or member, and for a
// template that does not hold the text exactly once.
PostProcessor make_post_processor(const Json& json, const std::string& where);

}  // namespace merit::text
