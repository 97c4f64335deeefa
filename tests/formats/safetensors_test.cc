#include "merit/formats/safetensors.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "merit/core/file.h"
#include "merit/core/json.h"
#include "tests/formats/formats_support.h"

namespace merit::formats {
namespace {

using testing::as_bytes;
using ::testing::ElementsAre;
using testing::error_of;
using testing::Exact;
using ::testing::HasSubstr;
using testing::le;
using testing::safetensors_file;
using testing::TemporaryFolder;

Error refusal(const std::string& bytes) {
  const Exact exact(bytes);
  return error_of([&] { SafetensorsFile(exact.bytes(), "m.safetensors"); });
}

// The refusal of a file with this header and `size` bytes of data; it must be of kind kData and name the file.
std::string complaint(const std::string& header, size_t size) {
  const Error error = refusal(safetensors_file(header, std::string(size, '\0')));
  EXPECT_EQ(error.kind(), ErrorKind::kData) << error.what();
  EXPECT_THAT(error.what(), HasSubstr("m.safetensors"));
  return error.what();
}

const char kTwoTensors[] = R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                           R"("a":{"dtype":"I8","shape":[],"data_offsets":[8,9]}}  )";

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirBytes) {
  const std::string bytes = safetensors_file(kTwoTensors, le(1.5F) + le(-2.0F) + "\x07");
  const SafetensorsFile file(as_bytes(bytes), "m");
  ASSERT_EQ(file.tensors().size(), 2);
  EXPECT_EQ(file.tensors()[0].name, "b");
  EXPECT_THAT(file.at("b").shape, ElementsAre(2, 1));
  std::vector<float> out(2);
  to_float(file.at("b"), out);
  EXPECT_THAT(out, ElementsAre(1.5F, -2.0F));
  EXPECT_EQ(file.at("a").dtype, DType::kI8);
  EXPECT_EQ(file.at("a").numel(), 1);
  EXPECT_EQ(file.at("a").bytes[0], std::byte{7});
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.find("c"), nullptr);
}

TEST(Safetensors, TensorsWithoutElementsTakeNoBytes) {
  const std::string bytes = safetensors_file(
      R"({"e":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
      "\x05");
  const SafetensorsFile file(as_bytes(bytes), "m");
  EXPECT_EQ(file.at("e").numel(), 0);
  EXPECT_EQ(file.at("x").bytes[0], std::byte{5});
  EXPECT_TRUE(SafetensorsFile(as_bytes(safetensors_file("{}", "")), "m").tensors().empty());
}

TEST(Safetensors, TruncationAtEveryByteIsATypedError) {
  const std::string whole = safetensors_file(kTwoTensors, le(1.5F) + le(-2.0F) + "\x07");
  for (size_t size = 0; size < whole.size(); ++size) {
    const Error error = refusal(whole.substr(0, size));
    EXPECT_EQ(error.kind(), ErrorKind::kData) << size << ": " << error.what();
  }
  EXPECT_THAT(refusal(whole + "x").what(), HasSubstr("1 bytes follow the last tensor"));
}

TEST(Safetensors, HeaderLengthIsBounded) {
  EXPECT_THAT(refusal(le<uint64_t>(0xffffffffffffffff) + "{}").what(), HasSubstr("cut short"));
  EXPECT_THAT(refusal(le<uint64_t>(3) + "{}").what(), HasSubstr("cut short"));
  const Error large = refusal(le<uint64_t>(100'000'001) + std::string(100'000'001, ' '));
  EXPECT_EQ(large.kind(), ErrorKind::kLimit);
}

TEST(Safetensors, HeaderIsAStrictObject) {
  EXPECT_THAT(complaint("", 0), HasSubstr("must start with '{'"));
  EXPECT_THAT(complaint(" {}", 0), HasSubstr("must start with '{'"));
  EXPECT_THAT(complaint("[]", 0), HasSubstr("must start with '{'"));
  complaint("{", 0);
  complaint("{}x", 0);
  complaint(R"({"a":1})", 0);
  complaint(R"({"a":{"dtype":"F32","shape":[1]}})", 4);
  complaint(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}})", 4);
}

TEST(Safetensors, NameTwiceIsRefused) {
  EXPECT_THAT(complaint(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                        R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                        2),
              HasSubstr("\"a\""));
}

TEST(Safetensors, HolesAndOverlapsAreRefused) {
  const auto two = [](const char* first, const char* second) {
    return std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + first +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  EXPECT_THAT(complaint(two("[0,4]", "[3,7]"), 7),
              HasSubstr("\"b\": its bytes start at 3, expected 4: the data has an overlap"));
  EXPECT_THAT(complaint(two("[0,4]", "[0,4]"), 8), HasSubstr("an overlap"));
  EXPECT_THAT(complaint(two("[0,4]", "[5,9]"), 9), HasSubstr("a hole"));
  EXPECT_THAT(complaint(two("[1,5]", "[5,9]"), 9), HasSubstr("\"a\": its bytes start at 1, expected 0"));
  EXPECT_THAT(complaint(two("[0,4]", "[4,8]"), 7), HasSubstr("its bytes end at 8, the file has 7"));
  EXPECT_THAT(complaint(two("[0,4]", "[4,8]"), 9), HasSubstr("1 bytes follow"));
}

TEST(Safetensors, SizesMatchShapeTimesDtype) {
  const auto one = [](const char* dtype, const char* shape, const char* offsets) {
    return fmt::format(R"({{"t":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape, offsets);
  };
  EXPECT_THAT(complaint(one("\"F32\"", "[2]", "[0,4]"), 4), HasSubstr("F32 [2] takes 8 bytes, data_offsets give 4"));
  EXPECT_THAT(complaint(one("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0), HasSubstr("overflow"));
  EXPECT_THAT(complaint(one("\"F32\"", "[9223372036854775807]", "[0,0]"), 0), HasSubstr("overflow"));
  EXPECT_THAT(complaint(one("\"F32\"", "[18446744073709551615]", "[0,0]"), 0), HasSubstr("shape must be"));
  EXPECT_THAT(complaint(one("\"F32\"", "[-1]", "[0,0]"), 0), HasSubstr("shape must be"));
  EXPECT_THAT(complaint(one("\"F32\"", "[1.0]", "[0,4]"), 4), HasSubstr("shape must be"));
  EXPECT_THAT(complaint(one("\"F32\"", "1", "[0,4]"), 4), HasSubstr("shape must be"));
  EXPECT_THAT(complaint(one("\"F32\"", "[1]", "[4,0]"), 4), HasSubstr("a begin and an end"));
  EXPECT_THAT(complaint(one("\"F32\"", "[1]", "[0,4,4]"), 4), HasSubstr("a begin and an end"));
  EXPECT_THAT(complaint(one("\"F32\"", "[1]", "[0,\"4\"]"), 4), HasSubstr("data_offsets must be"));
  EXPECT_THAT(complaint(one("7", "[1]", "[0,4]"), 4), HasSubstr("dtype must be text"));
  const Error unread = refusal(safetensors_file(one("\"F8_E4M3\"", "[1]", "[0,1]"), "x"));
  EXPECT_EQ(unread.kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(unread.what(), HasSubstr("dtype \"F8_E4M3\" is not read"));
}

TEST(Safetensors, MetadataIsTextOnly) {
  EXPECT_THAT(complaint(R"({"__metadata__":{"n":1}})", 0), HasSubstr("the value of \"n\" must be text"));
  EXPECT_THAT(complaint(R"({"__metadata__":"pt"})", 0), HasSubstr("must be an object of texts"));
}

TensorToWrite tensor(std::string name, DType dtype, std::vector<int64_t> shape, std::string bytes) {
  return {std::move(name), dtype, std::move(shape), [bytes](const ByteSink& sink) {
            // Two pieces, as a large tensor would come.
            sink(as_bytes(bytes).first(bytes.size() / 2));
            sink(as_bytes(bytes).subspan(bytes.size() / 2));
          }};
}

TEST(WriteSafetensors, ReadsBackAndIsAligned) {
  const TemporaryFolder folder;
  const std::vector<TensorToWrite> tensors = {
      tensor("byte", DType::kU8, {3}, "abc"), tensor("half", DType::kF16, {1}, le<uint16_t>(0x3c00)),
      tensor("z", DType::kF32, {}, le(2.5F)), tensor("a\"\n", DType::kF32, {1, 1}, le(-1.0F))};
  write_safetensors(folder / "m.safetensors", tensors, {{"format", "pt"}});
  const SafetensorsFile file(folder / "m.safetensors");
  std::vector<std::string> order;
  for (const TensorView& view : file.tensors()) {
    order.push_back(view.name);
    // The map starts at a page, so the address shows the alignment in the file.
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.bytes.data()) % info(view.dtype).block_bytes, 0) << view.name;
  }
  EXPECT_THAT(order, ElementsAre("a\"\n", "z", "half", "byte"));
  EXPECT_EQ(file.at("byte").bytes[2], std::byte{'c'});
  EXPECT_EQ(file.metadata().at("format"), "pt");
  const std::string bytes = read_file(folder / "m.safetensors");
  EXPECT_EQ(static_cast<unsigned char>(bytes[0]) % 8, 0);
  EXPECT_EQ(bytes[8], '{');
}

TEST(WriteSafetensors, EqualInputGivesEqualBytesInAnyOrder) {
  const TemporaryFolder folder;
  std::vector<TensorToWrite> tensors = {tensor("b", DType::kF32, {1}, le(1.0F)),
                                        tensor("a", DType::kF32, {1}, le(2.0F))};
  write_safetensors(folder / "one", tensors);
  std::swap(tensors[0], tensors[1]);
  write_safetensors(folder / "two", tensors);
  EXPECT_EQ(read_file(folder / "one"), read_file(folder / "two"));
}

TEST(WriteSafetensors, RefusesWhatTheFormatCannotHold) {
  const TemporaryFolder folder;
  const auto path = folder / "m.safetensors";
  const auto write = [&](std::vector<TensorToWrite> tensors) {
    return error_of([&] { write_safetensors(path, tensors); });
  };
  const auto a = tensor("a", DType::kU8, {1}, "x");
  EXPECT_THAT(write({a, a}).what(), HasSubstr("tensor \"a\" is to be written twice"));
  EXPECT_EQ(write({tensor("q", DType::kQ8_0, {32}, std::string(34, 'x'))}).kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(write({tensor("__metadata__", DType::kU8, {1}, "x")}).kind(), ErrorKind::kData);
  EXPECT_EQ(write({tensor("\xff", DType::kU8, {1}, "x")}).kind(), ErrorKind::kData);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(WriteSafetensors, AFailureLeavesTheOldFile) {
  const TemporaryFolder folder;
  const auto path = folder / "m.safetensors";
  write_file_atomic(path, "old");
  TensorToWrite broken = tensor("a", DType::kU8, {4}, "abcd");
  broken.produce = [](const ByteSink& sink) {
    sink(as_bytes("ab"));
    fail(ErrorKind::kIo, "the source broke");
  };
  EXPECT_EQ(error_of([&] { write_safetensors(path, std::vector{broken}); }).kind(), ErrorKind::kIo);
  EXPECT_EQ(read_file(path), "old");
  EXPECT_THROW(write_safetensors(path, std::vector{tensor("a", DType::kU8, {4}, "abc")}), std::logic_error);
  EXPECT_THROW(write_safetensors(path, std::vector{tensor("a", DType::kU8, {4}, "abcde")}), std::logic_error);
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

std::vector<std::string> files_in(const TemporaryFolder& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(WriteModel, ShardsAreFilledInOrderAndReadBack) {
  const TemporaryFolder folder;
  // Five, four and three bytes into shards of eight: 5 | 4 + 3; then nine by itself.
  const std::vector<TensorToWrite> tensors = {tensor("d", DType::kU8, {5}, "ddddd"),
                                              tensor("c", DType::kU8, {4}, "cccc"), tensor("b", DType::kU8, {3}, "bbb"),
                                              tensor("a", DType::kU8, {9}, "aaaaaaaaa")};
  write_model_safetensors(folder.path(), tensors, 8);
  EXPECT_THAT(files_in(folder), ElementsAre("model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                            "model-00003-of-00003.safetensors", "model.safetensors.index.json"));
  const Json index = parse_json(read_file(folder / "model.safetensors.index.json"), "index");
  EXPECT_EQ(index["metadata"]["total_size"], 21);
  EXPECT_EQ(index["weight_map"]["d"], "model-00001-of-00003.safetensors");
  EXPECT_EQ(index["weight_map"]["b"], "model-00002-of-00003.safetensors");
  const auto weights = open_weights(folder.path());
  EXPECT_EQ(weights->tensors().size(), 4);
  EXPECT_EQ(weights->at("a").bytes[8], std::byte{'a'});
}

TEST(WriteModel, WhatAnotherModelLeftIsRemoved) {
  const TemporaryFolder folder;
  const std::vector<TensorToWrite> tensors = {tensor("a", DType::kU8, {1}, "a"), tensor("b", DType::kU8, {1}, "b")};
  write_file_atomic(folder / "config.json", "{}");
  write_model_safetensors(folder.path(), tensors);
  EXPECT_THAT(files_in(folder), ElementsAre("config.json", "model.safetensors"));
  write_model_safetensors(folder.path(), tensors, 1);
  EXPECT_THAT(files_in(folder), ElementsAre("config.json", "model-00001-of-00002.safetensors",
                                            "model-00002-of-00002.safetensors", "model.safetensors.index.json"));
  write_model_safetensors(folder.path(), tensors, 2);
  EXPECT_THAT(files_in(folder), ElementsAre("config.json", "model.safetensors"));
}

TEST(WriteModel, ANameTwiceInTwoShardsIsRefusedBeforeAnyIsWritten) {
  const TemporaryFolder folder;
  const auto a = tensor("a", DType::kU8, {1}, "x");
  EXPECT_THAT(error_of([&] {
                write_model_safetensors(folder.path(), std::vector{a, a}, 1);
              }).what(),
              HasSubstr("tensor \"a\" is to be written twice"));
  EXPECT_THAT(files_in(folder), ElementsAre());
}

}  // namespace
}  // namespace merit::formats
