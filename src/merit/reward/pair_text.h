// How a cross-encoder is fed: prompt and response as a pair of texts, with the special tokens that its tokenizer sets
// around and between two.
#pragma once

#include <cstdint>

#include "merit/core/content.h"
#include "merit/core/result.h"
#include "merit/text/encoder.h"

namespace merit::reward {

// `boundary` is the second text's first token; without a prompt the response is the one text, and boundary 0. Text that
// spells a control token stays text where the encoding record says so. What is too long loses tokens of the prompt, on
// the record's side, and if there are none left, of the response's end.
// Fails as a value: messages other than one on each side, which have no place in a pair, a tokenizer without a template
// of pairs, token types that do not change where the second text begins.
Result<text::Encoded> encode_pair(const text::Encoder& encoder, const Content& prompt, const Content& response,
                                  int64_t max_length);

}  // namespace merit::reward
