#include "merit/core/content.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "merit/core/error.h"

namespace merit {
namespace {

using ::testing::HasSubstr;

std::string refusal(const char* json) {
  try {
    content_of(parse_ordered_json(json, "x"), "rows.jsonl:7: prompt");
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Content, TakesTextAndMessages) {
  EXPECT_EQ(text_of(content_of(OrderedJson("hi"), "x")), "hi");
  const char* accepted[] = {
      R"([{"role":"user","content":"a"}])",
      R"([{"role":"assistant","content":null,"tool_calls":[]}])",
      R"([{"role":"assistant","tool_calls":[]}])",
      R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","url":"u"}]}])",
  };
  for (const char* json : accepted) EXPECT_EQ(refusal(json), "accepted") << json;
}

TEST(Content, NamesTheMessageThatIsWrong) {
  EXPECT_THAT(refusal("[]"), HasSubstr("rows.jsonl:7: prompt: expected at least one message"));
  EXPECT_THAT(refusal("3"), HasSubstr("expected a string or a list of messages, got \"3\""));
  EXPECT_THAT(refusal("null"), HasSubstr("got \"null\""));
  EXPECT_THAT(refusal(R"(["a"])"), HasSubstr("prompt[0]: expected a message object"));
  EXPECT_THAT(refusal(R"([{"role":"user","content":"a"},{"content":"a"}])"), HasSubstr("prompt[1]: expected a string"));
  EXPECT_THAT(refusal(R"([{"role":"","content":"a"}])"), HasSubstr("\\\"role\\\""));
  EXPECT_THAT(refusal(R"([{"role":"user"}])"), HasSubstr("no \"content\""));
  EXPECT_THAT(refusal(R"([{"role":"user","content":4}])"), HasSubstr("list of parts"));
  EXPECT_THAT(refusal(R"([{"role":"user","content":[{"text":"a"}]}])"), HasSubstr("content[0]"));
  EXPECT_THAT(refusal(R"([{"role":"user","content":[{"type":"text"}]}])"), HasSubstr("text part"));
}

TEST(Content, ShowsMessagesAsText) {
  const auto text = [](const char* json) { return text_of(content_of(parse_ordered_json(json, "x"), "x")); };
  EXPECT_EQ(text(R"([{"role":"assistant","content":"42"}])"), "42");
  EXPECT_EQ(text(R"([{"role":"user","content":"a"},{"role":"assistant","content":null}])"), "user: a\nassistant: ");
  EXPECT_EQ(text(R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"image"}]}])"), "a[image]");
}

}  // namespace
}  // namespace merit
