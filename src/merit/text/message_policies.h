// What the encoding record says about messages that a template may refuse: system messages, and several turns of one
// role in a row.
#pragma once

#include "merit/core/json.h"
#include "merit/text/encoding_record.h"

namespace merit::text {

// The messages with the record's system_role and repeated_turns carried out. Merged texts have an empty line between
// them; lists of parts are joined as lists. Only user and assistant turns that hold nothing but their content are
// merged. Error(kData) for a system message that no user message follows.
OrderedJson with_policies(const OrderedJson& messages, const EncodingRecord& record);

}  // namespace merit::text
