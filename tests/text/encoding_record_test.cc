#include "merit/text/encoding_record.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "tests/text/toy_support.h"

namespace merit::text {
namespace {

using ::testing::HasSubstr;

EncodingRecord sample() {
  EncodingRecord r;
  r.chat_template = "{{ messages[0].content }}";
  r.bos_token = "<s>";
  r.eos_token = "</s>";
  r.add_bos = true;
  r.end_of_turn = "</s>";
  r.boundary = Boundary::kJoint;
  r.truncation_side = TruncationSide::kRight;
  r.max_length = 77;
  return r;
}

TEST(EncodingRecord, ReadsWhatItWrote) {
  const EncodingRecord r = sample();
  const EncodingRecord back = EncodingRecord::from_json(parse_json(r.to_json().dump(), "x"), "x");
  EXPECT_EQ(back.to_json(), r.to_json());
  EXPECT_EQ(back.boundary, Boundary::kJoint);
  EXPECT_EQ(back.max_length, 77);
}

TEST(EncodingRecord, RefusesWhatItDoesNotKnow) {
  const auto with = [](const char* name, OrderedJson value) {
    OrderedJson json = sample().to_json();
    json[name] = std::move(value);
    return parse_json(json.dump(), "x");
  };
  const std::tuple<const char*, OrderedJson, const char*> cases[] = {
      {"version", 2, "version 2"},        {"surprise", 1, "unknown member \"surprise\""},
      {"boundary", "middle", "boundary"}, {"pooling", "mean", "pooling"},
      {"add_bos", "yes", "add_bos"},      {"max_length", -1, "max_length"},
      {"date", "2024-13-01", "date"},     {"head_activation", "sigmoid", "head_activation"},
      {"bos_token", "", "without a bos"}, {"end_of_turn", "", "without an end_of_turn"}};
  for (const auto& [name, value, message] : cases) {
    try {
      EncodingRecord::from_json(with(name, value), "file");
      ADD_FAILURE() << name;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr(message));
      EXPECT_THAT(e.what(), HasSubstr("file"));
    }
  }
  Json missing = parse_json(sample().to_json().dump(), "x");
  missing.erase("raw_prompt");
  EXPECT_THROW(EncodingRecord::from_json(missing, "x"), Error);
}

TEST(EncodingRecord, F10_AMismatchIsNamedWithBothSides) {
  EncodingRecord trained = sample();
  EncodingRecord served = sample();
  EXPECT_EQ(difference(trained, served), std::nullopt);
  served.max_length = 5;  // a default, not identity
  EXPECT_EQ(difference(trained, served), std::nullopt);
  served.add_bos = false;
  EXPECT_EQ(difference(trained, served).value(), "add_bos differs: \"true\" against \"false\"");
  EXPECT_THAT([&] { require_same(trained, "rm", served, "server"); },
              ::testing::ThrowsMessage<Error>(::testing::AllOf(HasSubstr("rm and server"), HasSubstr("add_bos"))));
  served.chat_template = "{{ messages[0].content }}\n";
  EXPECT_THAT(difference(trained, served).value(), HasSubstr("chat_template differs at"));
}

class Derive : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("merit_derive_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  EncodingRecord derive(const std::string& chat_template, const Tokenizer& tokenizer) {
    write_file_atomic((folder_ / "chat_template.jinja").string(), chat_template);
    return load_encoding(folder_.string(), tokenizer);
  }
  std::string reason(const EncodingRecord& r, const std::string& field) {
    for (const auto& [name, why] : r.reasons) {
      if (name == field) return why;
    }
    return "";
  }
  std::filesystem::path folder_;
};

TEST_F(Derive, FindsTheTurnsOwnEndAndSaysWhy) {
  const EncodingRecord r = derive(kToyChatml, toy_tokenizer());
  EXPECT_TRUE(r.derived);
  EXPECT_EQ(r.end_of_turn, "<|im_end|>");
  EXPECT_FALSE(r.add_bos);
  EXPECT_EQ(reason(r, "add_bos"), "the template does not print it");
  EXPECT_EQ(reason(r, "chat_template"), "from chat_template.jinja");
  EXPECT_EQ(r.reasons.size(), 17u);  // every field
}

TEST_F(Derive, F8_ATemplateThatPrintsBosAddsIt) {
  EXPECT_TRUE(derive("{{ bos_token }}{{ messages[0].content }}", toy_tokenizer()).add_bos);
}

TEST_F(Derive, F9_NoBosTokenMeansNone) {
  const EncodingRecord r = derive("{{ bos_token }}{{ messages[0].content }}", toy_tokenizer({}, false));
  EXPECT_FALSE(r.add_bos);
  EXPECT_EQ(r.bos_token, "");
}

TEST_F(Derive, ARecordInTheFolderWins) {
  EncodingRecord r = sample();
  save_encoding(r, folder_.string());
  const EncodingRecord loaded = derive(kToyChatml, toy_tokenizer());
  EXPECT_FALSE(loaded.derived);
  EXPECT_EQ(loaded.to_json(), r.to_json());
}

TEST_F(Derive, NamedTemplatesAndLimitsAreRead) {
  write_file_atomic(
      (folder_ / "tokenizer_config.json").string(),
      R"({"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "{{ messages[0].content }}</s>"}],
                        "model_max_length": 1000000000000000019884624838656})");
  write_file_atomic((folder_ / "config.json").string(), R"({"max_position_embeddings": 4096})");
  const EncodingRecord r = load_encoding(folder_.string(), toy_tokenizer());
  EXPECT_EQ(r.chat_template, "{{ messages[0].content }}</s>");
  EXPECT_EQ(r.tool_template, "x");
  EXPECT_EQ(reason(r, "chat_template"), "from tokenizer_config.json, of default, tool_use");
  EXPECT_EQ(r.max_length, 4096);
}

TEST_F(Derive, AdditionalTemplatesStandInAFolderOfTheirOwn) {
  std::filesystem::create_directories(folder_ / "additional_chat_templates");
  write_file_atomic((folder_ / "additional_chat_templates" / "tool_use.jinja").string(), "t");
  EXPECT_THAT([&] { load_encoding(folder_.string(), toy_tokenizer()); },
              ::testing::ThrowsMessage<Error>(::testing::HasSubstr("named default, but tool_use")));
  const EncodingRecord r = derive("d", toy_tokenizer());
  EXPECT_EQ(r.chat_template, "d");
  EXPECT_EQ(r.tool_template, "t");
}

TEST_F(Derive, ARecordOfBeforeThePoliciesLeavesMessagesToTheTemplate) {
  OrderedJson old = sample().to_json();
  for (const char* name : {"tool_template", "system_role", "repeated_turns"}) old.erase(name);
  const EncodingRecord r = EncodingRecord::from_json(Json::parse(old.dump()), "old");
  EXPECT_EQ(r.system_role, "template");
  EXPECT_EQ(r.repeated_turns, "template");
  EXPECT_EQ(r.tool_template, "");
}

}  // namespace
}  // namespace merit::text
