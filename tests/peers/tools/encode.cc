// tool: DEPS text
// Encodes for the peer tests: one JSON object a line in, one a line out.
//   encode MODEL    {"record": {...}} sets members of the model's encoding record for the lines after it -> the record
//                   {"prompt", "completion", "tools", "variables"} -> {"ids", "boundary", "mask", "closed"}; without a
//                   completion the prompt alone; {"conversation": [...]} a whole one; or {"error"}
#include <iostream>
#include <optional>
#include <string>

#include "merit/core/error.h"
#include "merit/core/json.h"
#include "merit/text/encoder.h"
#include "merit/text/encoding_record.h"

namespace {

using merit::OrderedJson;
using merit::Result;
using merit::text::Encoded;
using merit::text::Encoder;

merit::Content content(const OrderedJson& json) {
  return json.is_string() ? merit::Content(json.get<std::string>()) : merit::Content(json);
}

OrderedJson answer(const Encoder& encoder, const OrderedJson& request) {
  merit::text::EncodeContext context;
  context.tools = request.value("tools", OrderedJson(nullptr));
  context.variables = request.value("variables", OrderedJson::object());
  const Result<Encoded> result =
      request.contains("conversation") ? encoder.encode_conversation(request.at("conversation"), context)
      : request.contains("completion")
          ? encoder.encode(content(request.at("prompt")), content(request.at("completion")), context)
          : encoder.encode_prompt(content(request.at("prompt")), context);
  if (!result.ok()) return {{"error", result.error().what()}};
  const Encoded& encoded = result.value();
  return {{"ids", encoded.ids}, {"boundary", encoded.boundary}, {"mask", encoded.mask}, {"closed", encoded.closed}};
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) merit::fail(merit::ErrorKind::kUsage, "usage: encode MODEL");
    const merit::text::Tokenizer tokenizer = merit::text::load_tokenizer(argv[1]);
    std::optional<Encoder> encoder;
    for (std::string line; std::getline(std::cin, line);) {
      OrderedJson reply;
      try {
        const OrderedJson request = merit::parse_ordered_json(line, "request");
        if (request.contains("record") || !encoder) {
          OrderedJson record = merit::text::load_encoding(argv[1], tokenizer).to_json();
          record.update(request.value("record", OrderedJson::object()));
          encoder.emplace(tokenizer,
                          merit::text::EncodingRecord::from_json(merit::parse_json(record.dump(), "record"), "record"));
          if (request.contains("record")) reply = record;
        }
        if (!request.contains("record")) reply = answer(*encoder, request);
      } catch (const merit::Error& e) {
        reply = {{"error", e.what()}};
      }
      std::cout << merit::dump_json(reply) << "\n" << std::flush;
    }
    return 0;
  } catch (const merit::Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
