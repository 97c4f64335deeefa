// Where prompt and completion meet in vocabularies that set a space before a text that stands alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "merit/text/encoder.h"
#include "tests/text/tokenizer_support.h"

namespace merit::text {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;

// Legacy SentencePiece: mark 0, a 1, mark-a 2, line break 3, </s> 4.
Tokenizer legacy() {
  const std::string mark = "\xe2\x96\x81";
  const Json normalizer = {{"type", "Sequence"},
                           {"normalizers",
                            {{{"type", "Prepend"}, {"prepend", mark}},
                             {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", mark}}}}};
  return make_tokenizer(bpe({mark, "a", mark + "a", "\n", "</s>"}, {mark + " a"}),
                        {{"normalizer", normalizer}, {"added_tokens", Json::array({added("</s>", 4)})}},
                        {{"eos_token", "</s>"}});
}

TEST(EncoderSeam, ACompletionGetsNoSpaceThatItDoesNotHave) {
  EncodingRecord record;
  record.eos_token = record.end_of_turn = "</s>";
  for (const Boundary boundary : {Boundary::kSplit, Boundary::kJoint}) {
    record.boundary = boundary;
    const Encoder encoder(legacy(), record);
    EXPECT_THAT(legacy().encode("a"), ElementsAre(2));
    EXPECT_THAT(encoder.encode("a"s, "a"s).value().ids, ElementsAre(2, 1, 4));
    EXPECT_THAT(encoder.encode("a"s, " a"s).value().ids, ElementsAre(2, 2, 4));
    EXPECT_THAT(encoder.encode("a"s, "\na"s).value().ids, ElementsAre(2, 3, 1, 4));
    // A text with nothing before it is read as it stands.
    EXPECT_THAT(encoder.encode(""s, "a"s).value().ids, ElementsAre(2, 4));
  }
}

}  // namespace
}  // namespace merit::text
