#include "merit/data/group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/temp_support.h"

namespace merit::data {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Group group(const std::string& json, const ColumnMap& names = {}) {
  return group_of_row(parse_ordered_json(json, "x"), names, 4, "rows.jsonl:9");
}
std::string refusal(const std::string& json) {
  try {
    const Group accepted = group(json);
    return std::string("accepted as ") + name_of(accepted.layout);
  } catch (const RowError& e) {
    return e.reason + " | " + e.what();
  }
}
std::string text(const Content& content) { return std::get<std::string>(content); }
std::string json(const Content& content) { return dump_json(to_json(content)); }

TEST(Group, RecognisesEveryLayoutByItsColumns) {
  const std::pair<const char*, Layout> cases[] = {
      {R"({"prompt":"p"})", Layout::kPrompt},
      {R"({"prompt":"p","completion":"c"})", Layout::kCompletion},
      {R"({"prompt":"p","completion":"c","label":true})", Layout::kUnpaired},
      {R"({"prompt":"p","responses":["a","b"]})", Layout::kResponses},
      {R"({"prompt":"p","chosen":"a","rejected":"b"})", Layout::kPreference},
      {R"({"chosen":"pa","rejected":"pb"})", Layout::kImplicitPreference},
      {R"({"prompt":"p","completions":["s","t"],"labels":[true,false]})", Layout::kStepwise},
  };
  for (const auto& [row, layout] : cases) EXPECT_EQ(group(row).layout, layout) << row;
}

TEST(Group, IdIsTheColumnOrTheRowNumber) {
  EXPECT_EQ(group(R"({"prompt":"p","id":"q7"})").id, "q7");
  EXPECT_EQ(group(R"({"prompt":"p","id":18446744073709551615})").id, "18446744073709551615");
  EXPECT_EQ(group(R"({"prompt":"p"})").id, "row-4");
  EXPECT_THAT(refusal(R"({"prompt":"p","id":1.5})"), HasSubstr("wrong type | rows.jsonl:9: id: expected"));
  EXPECT_THAT(refusal(R"({"prompt":"p","id":null})"), HasSubstr("got \"null\""));
}

TEST(Group, KeepsOtherColumnsInOrder) {
  const Group g = group(R"({"zeta":1,"prompt":"p","answer":"18","tools":[]})");
  EXPECT_EQ(dump_json(g.columns), R"({"zeta":1,"answer":"18","tools":[]})");
}

TEST(Group, RenamesColumns) {
  const ColumnMap names = parse_column_map("prompt=question, answer=final");
  const Group g = group(R"({"question":"q","final":"18","note":"n"})", names);
  EXPECT_EQ(text(*g.prompt), "q");
  EXPECT_EQ(g.columns["answer"], "18");
  EXPECT_FALSE(g.columns.contains("final"));
  EXPECT_THAT(error_of([&] { group(R"({"prompt":"p","question":"q"})", names); }).what(),
              HasSubstr("answer=final was asked for and the row has no \"final\"; it has \"prompt\", \"question\""));
  for (const char* broken : {"prompt", "prompt=", "=q", "a=b,a=c", "a=b,"}) {
    EXPECT_EQ(error_of([&] { parse_column_map(broken); }).kind(), ErrorKind::kUsage) << broken;
  }
  EXPECT_TRUE(parse_column_map("").empty());
}

TEST(Group, ResponsesCarryLabelsScoresAndRewards) {
  const Group g = group(
      R"({"prompt":"p","responses":["a",{"completion":"b","finish":"stop","label":true}],"scores":[0.5,null],"rewards":[1,2]})");
  ASSERT_EQ(g.candidates.size(), 2u);
  EXPECT_EQ(text(g.candidates[0].content), "a");
  EXPECT_EQ(dump_json(g.candidates[0].columns), R"({"score":0.5,"reward":1.0})");
  EXPECT_FALSE(g.candidates[0].label.has_value());
  EXPECT_EQ(text(g.candidates[1].content), "b");
  EXPECT_EQ(dump_json(g.candidates[1].columns), R"({"finish":"stop","reward":2.0})");
  EXPECT_EQ(g.candidates[1].label, 1.0);
  const Group labelled = group(R"({"prompt":"p","responses":["a",""],"labels":[true,0.25]})");
  EXPECT_EQ(labelled.candidates[0].label, 1.0);
  EXPECT_EQ(labelled.candidates[1].label, 0.25);
  EXPECT_EQ(text(labelled.candidates[1].content), "") << "a model may answer nothing, and that is to be scored";
}

TEST(Group, PreferencePutsTheChosenFirst) {
  const Group g = group(R"({"prompt":"p","chosen":"good","rejected":"bad","margin":2})");
  ASSERT_EQ(g.candidates.size(), 2u);
  EXPECT_EQ(text(g.candidates[0].content), "good");
  EXPECT_EQ(g.candidates[0].label, 1.0);
  EXPECT_EQ(text(g.candidates[1].content), "bad");
  EXPECT_EQ(g.candidates[1].label, 0.0);
  EXPECT_EQ(g.columns["margin"], 2);
}

TEST(Group, StepsAreOneAnswer) {
  const Group g = group(R"({"prompt":"p","completions":["s","t"],"labels":[true,false]})");
  ASSERT_EQ(g.candidates.size(), 1u);
  EXPECT_EQ(text(g.candidates[0].content), "s\nt");
  EXPECT_EQ(dump_json(g.candidates[0].columns), R"({"steps":["s","t"],"labels":[true,false]})");
}

TEST(Group, PlainAnswerUnderMessagesIsTheAssistants) {
  const Group g = group(R"({"prompt":[{"role":"user","content":"q"}],"responses":["a"]})");
  EXPECT_EQ(json(g.candidates[0].content), R"([{"role":"assistant","content":"a"}])");
  EXPECT_THAT(refusal(R"({"prompt":"p","completion":[{"role":"assistant","content":"a"}]})"),
              HasSubstr("completion: expected text, as the prompt is text"));
}

TEST(Group, F69_RecoversTheImplicitPrompt) {
  const SplitPair prefix = split_pair(std::string("Go on"), std::string("Go on then"));
  EXPECT_EQ(text(prefix.prompt), "Go on");
  EXPECT_EQ(text(prefix.chosen), "");
  EXPECT_EQ(text(prefix.rejected), " then");
  const SplitPair at_once = split_pair(std::string("Rome "), std::string("Oslo"));
  EXPECT_EQ(text(at_once.prompt), "");
  EXPECT_EQ(text(at_once.chosen), "Rome ");
  EXPECT_EQ(text(at_once.rejected), "Oslo");
  EXPECT_THAT(refusal(R"({"chosen":"Go on","rejected":"Go on then"})"),
              HasSubstr("empty | rows.jsonl:9: chosen after"));
  EXPECT_THAT(refusal(R"({"chosen":"same","rejected":"same"})"), HasSubstr("equal answers | "));
  EXPECT_THAT(refusal(R"({"chosen":"","rejected":""})"), HasSubstr("empty | rows.jsonl:9: chosen"));
  const Group g = group(R"({"chosen":"Rome ","rejected":"Oslo"})");
  EXPECT_EQ(text(*g.prompt), "");
  EXPECT_EQ(text(g.candidates[0].content), "Rome ");
}

TEST(Group, SharedSpaceStaysWithTheAnswers) {
  const SplitPair split = split_pair(std::string("The sky is blue."), std::string("The sky is green."));
  EXPECT_EQ(text(split.prompt), "The sky is");
  EXPECT_EQ(text(split.chosen), " blue.");
  EXPECT_EQ(text(split.rejected), " green.");
}

TEST(Group, NeverSplitsInsideACharacter) {
  // U+00E9 is C3 A9, U+00E8 is C3 A8: the shared C3 is no character.
  const SplitPair split = split_pair(std::string("caf\xc3\xa9"), std::string("caf\xc3\xa8"));
  EXPECT_EQ(text(split.prompt), "caf");
  EXPECT_EQ(text(split.chosen), "\xc3\xa9");
}

TEST(Group, SplitsConversationsByMessage) {
  const Group g = group(R"({"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],
                            "rejected":[{"content":"q","role":"user"},{"role":"assistant","content":"b"}]})");
  EXPECT_EQ(json(*g.prompt), R"([{"role":"user","content":"q"}])") << "the order of members is no difference";
  EXPECT_EQ(json(g.candidates[1].content), R"([{"role":"assistant","content":"b"}])");
  EXPECT_THAT(refusal(R"({"chosen":[{"role":"user","content":"a"}],"rejected":[{"role":"user","content":"b"}]})"),
              HasSubstr("share no first message"));
}

TEST(Group, ConversationsBesideAPlainPromptHoldIt) {
  const Group g = group(R"({"prompt":"q","chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],
                            "rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]})");
  EXPECT_EQ(g.layout, Layout::kImplicitPreference);
  EXPECT_EQ(json(*g.prompt), R"([{"role":"user","content":"q"}])");
}

TEST(Group, RefusesWhatIsNotWhole) {
  EXPECT_THAT(refusal(R"({"prompt":"p","chosen":"a"})"),
              HasSubstr("missing field | rows.jsonl:9: \"rejected\" is missing"));
  EXPECT_THAT(refusal(R"({"rejected":"a"})"), HasSubstr("\"chosen\" is missing"));
  EXPECT_THAT(
      refusal(R"({"prompt":"p","completion":null})"),
      HasSubstr("wrong type | rows.jsonl:9: completion: expected a string or a list of messages, got \"null\""));
  EXPECT_THAT(refusal(R"({"prompt":[]})"), HasSubstr("empty | rows.jsonl:9: prompt: expected at least one message"));
  EXPECT_THAT(refusal(R"({"prompt":""})"), HasSubstr("empty | "));
  EXPECT_THAT(refusal(R"({"prompt":3})"), HasSubstr("wrong type | rows.jsonl:9: prompt"));
  EXPECT_THAT(refusal(R"({"answer":"a"})"), HasSubstr("missing field | rows.jsonl:9: the field \"prompt\""));
  EXPECT_THAT(refusal(R"({"messages":[]})"), HasSubstr("split it into \"prompt\" and \"completion\""));
  EXPECT_THAT(refusal(R"({"text":"t"})"), HasSubstr("language modeling row"));
  EXPECT_THAT(refusal(R"({"prompt":"p","completions":["a"]})"), HasSubstr("name several answers \"responses\""));
  EXPECT_THAT(refusal(R"({"prompt":"p","completion":"a","responses":["a"]})"), HasSubstr("ambiguous row | "));
  EXPECT_THAT(refusal(R"({"prompt":"p","responses":[]})"), HasSubstr("empty | rows.jsonl:9: responses"));
  EXPECT_THAT(refusal(R"({"prompt":"p","responses":"a"})"), HasSubstr("expected a list"));
  EXPECT_THAT(refusal(R"({"prompt":"p","responses":["a",null]})"), HasSubstr("responses[1]: expected"));
  EXPECT_THAT(refusal(R"({"prompt":"p","responses":[{"text":"a"}]})"), HasSubstr("object with \"completion\""));
  EXPECT_THAT(refusal(R"({"prompt":"p","responses":["a","b"],"scores":[1]})"),
              HasSubstr("lengths differ | rows.jsonl:9: scores: expected 2 items"));
  EXPECT_THAT(refusal(R"({"prompt":"p","responses":["a"],"scores":["x"]})"), HasSubstr("scores[0]: expected true"));
  EXPECT_THAT(refusal(R"({"prompt":"p","completions":["a"],"labels":[1]})"), HasSubstr("labels[0]: expected true"));
  EXPECT_THAT(refusal(R"({"prompt":"p","completions":[1],"labels":[true]})"), HasSubstr("completions[0]: expected"));
  EXPECT_THAT(refusal(R"({"prompt":"p","completion":"a","label":"yes"})"), HasSubstr("label: expected true"));
  EXPECT_THAT(refusal(R"({"prompt":"p","completion":"a","label":2})"), HasSubstr("0 or 1, got \"2\""));
  EXPECT_THAT(refusal(R"({"prompt":"p","completion":"","label":true})"), HasSubstr("empty | "));
  EXPECT_THAT(refusal(R"({"prompt":"p","chosen":"a","rejected":[{"role":"user","content":"b"}]})"),
              HasSubstr("both text or both messages"));
}

}  // namespace
}  // namespace merit::data
