// A small byte-level BPE tokenizer made by hand, for tests of what is built on tokenizers.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "merit/text/tokenizer.h"

namespace merit::text {

// Every byte is a token; `merges` (in the byte-level alphabet, "Ġ" for a space) make more. Added special tokens:
// <s> (BOS unless with_bos is false), </s> (EOS), <|im_start|>, <|im_end|>, <think>, </think> (the last two not
// special). `adds_bos`: the post-processor sets <s> in front.
Tokenizer toy_tokenizer(const std::vector<std::pair<std::string, std::string>>& merges = {}, bool with_bos = true,
                        bool adds_bos = false);

inline constexpr const char* kToyChatml =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

}  // namespace merit::text
