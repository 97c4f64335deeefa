// Post-processors of tokenizer.json: the special tokens around one text. Types: ByteLevel, TemplateProcessing,
// BertProcessing, RobertaProcessing, Sequence.
#pragma once

#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/text/tokenizer.h"

namespace merit::text {

struct PostProcessor {
  std::vector<TokenId> before, after;
};

// From the "post_processor" member; null gives nothing. Error(kUnsupported) for an unknown type or member, and for a
// template that does not hold the text exactly once.
PostProcessor make_post_processor(const Json& json, const std::string& where);

}  // namespace merit::text
