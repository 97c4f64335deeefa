#include "merit/formats/gguf.h"

#include <gmock/gmock.h>

#include "merit/core/file.h"
#include "tests/formats/formats_support.h"

namespace merit::formats {
namespace {

using namespace testing;  // NOLINT: the byte builders
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string u32_entry(uint32_t value) { return le(uint32_t{kU32}) + le(value); }
std::string text_entry(std::string_view text) { return le(uint32_t{kString}) + gguf_text(text); }
std::string array(uint32_t element, uint64_t count, std::string_view elements) {
  return le(element) + le(count) + std::string(elements);
}
std::string array_entry(uint32_t element, uint64_t count, std::string_view elements) {
  return le(uint32_t{kArray}) + array(element, count, elements);
}

// Two tensors, one of them quantised, and metadata of several types.
GgufBytes small() {
  GgufBytes file;
  file.entries = {{"general.architecture", text_entry("llama")},
                  {"llama.block_count", u32_entry(2)},
                  {"tokens", array_entry(kString, 2, gguf_text("a") + gguf_text(""))}};
  file.tensors = {{"w", {2, 3}, 0, 0}, {"q", {32}, 8, 32}};
  for (int i = 0; i < 6; ++i) file.data += le(static_cast<float>(i));
  file.data.resize(32);
  file.data += le<uint16_t>(0x3c00) + std::string(32, '\x03');
  return file;
}

Error refusal(const GgufBytes& file) {
  const Exact exact(file.bytes());
  return error_of([&] { GgufFile(exact.bytes(), "m.gguf"); });
}

// The message of a refusal, which must be of kind kData and name the file.
std::string complaint(const GgufBytes& file) {
  const Error error = refusal(file);
  EXPECT_EQ(error.kind(), ErrorKind::kData) << error.what();
  EXPECT_THAT(error.what(), HasSubstr("m.gguf"));
  return error.what();
}

TEST(Gguf, ReadsTensorsOutermostFirst) {
  for (const uint32_t version : {2U, 3U}) {
    GgufBytes bytes = small();
    bytes.version = version;
    const std::string text = bytes.bytes();
    const GgufFile file(as_bytes(text), "m");
    EXPECT_EQ(file.version(), version);
    EXPECT_THAT(file.at("w").shape, ElementsAre(3, 2));
    std::vector<float> out(6);
    to_float(file.at("w"), out);
    EXPECT_THAT(out, ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_EQ(file.at("q").dtype, DType::kQ8_0);
    out.resize(32);
    to_float(file.at("q"), out);
    EXPECT_THAT(out, ::testing::Each(3.0F));
    EXPECT_EQ(file.get_string("general.architecture"), "llama");
  }
}

TEST(Gguf, MetadataKeepsItsTypes) {
  GgufBytes bytes;
  bytes.entries = {
      {"u8", le(uint32_t{kU8}) + le<uint8_t>(200)},
      {"i8", le(uint32_t{kI8}) + le<int8_t>(-3)},
      {"u16", le(uint32_t{kU16}) + le<uint16_t>(60000)},
      {"i16", le(uint32_t{kI16}) + le<int16_t>(-300)},
      {"u32", u32_entry(4000000000)},
      {"i32", le(uint32_t{kI32}) + le<int32_t>(-70000)},
      {"u64", le(uint32_t{kU64}) + le<uint64_t>(5)},
      {"u64 large", le(uint32_t{kU64}) + le<uint64_t>(0xffffffffffffffff)},
      {"i64", le(uint32_t{kI64}) + le<int64_t>(-9000000000)},
      {"f32", le(uint32_t{kF32}) + le(0.5F)},
      {"f64", le(uint32_t{kF64}) + le(1e-5)},
      {"yes", le(uint32_t{kBoolean}) + "\x01"},
      {"text", text_entry("\xff\n")},
      {"ints", array_entry(kI32, 2, le<int32_t>(-1) + le<int32_t>(7))},
      {"floats", array_entry(kF32, 1, le(0.25F))},
      {"bools", array_entry(kBoolean, 2, std::string("\0\1", 2))},
      {"empty", array_entry(kString, 0, "")},
      {"nested", array_entry(kArray, 2, array(kU8, 2, "\x01\x02") + array(kString, 1, gguf_text("x")))},
  };
  const std::string text = bytes.bytes();
  const GgufFile file(as_bytes(text), "m.gguf");
  EXPECT_EQ(file.get_int("u8"), 200);
  EXPECT_EQ(file.get_int("i8"), -3);
  EXPECT_EQ(file.get_int("u16"), 60000);
  EXPECT_EQ(file.get_int("i16"), -300);
  EXPECT_EQ(file.get_int("u32"), 4000000000);
  EXPECT_EQ(file.get_int("i32"), -70000);
  EXPECT_EQ(file.get_int("u64"), 5);
  EXPECT_EQ(std::get<uint64_t>(file.metadata().find("u64 large")->second.value), 0xffffffffffffffff);
  EXPECT_EQ(file.get_int("i64"), -9000000000);
  EXPECT_EQ(file.get_double("f32"), 0.5);
  EXPECT_EQ(file.get_double("f64"), 1e-5);
  EXPECT_EQ(file.get_double("i8"), -3.0);
  EXPECT_TRUE(file.get_bool("yes"));
  EXPECT_EQ(file.get_string("text"), "\xff\n");
  EXPECT_THAT(file.get_ints("ints"), ElementsAre(-1, 7));
  EXPECT_THAT(file.get_doubles("floats"), ElementsAre(0.25));
  EXPECT_THAT(file.get_ints("bools"), ElementsAre(0, 1));
  EXPECT_TRUE(file.get_strings("empty").empty());
  const auto& nested = std::get<std::vector<GgufValue>>(file.metadata().find("nested")->second.value);
  ASSERT_EQ(nested.size(), 2);
  EXPECT_THAT(std::get<std::vector<int64_t>>(nested[0].value), ElementsAre(1, 2));
  EXPECT_THAT(std::get<std::vector<std::string>>(nested[1].value), ElementsAre("x"));
}

TEST(Gguf, AccessorsNameFileAndKey) {
  const std::string text = small().bytes();
  const GgufFile file(as_bytes(text), "m.gguf");
  const auto message = [](auto call) {
    const Error error = error_of(call);
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return std::string(error.what());
  };
  EXPECT_EQ(message([&] { file.get_int("none"); }), "m.gguf: there is no key \"none\"");
  EXPECT_EQ(message([&] { file.get_int("tokens"); }), "m.gguf: key \"tokens\": expected an integer that int64 holds");
  EXPECT_EQ(message([&] { file.get_string("llama.block_count"); }), "m.gguf: key \"llama.block_count\": expected text");
  EXPECT_EQ(message([&] { file.get_bool_or("llama.block_count", true); }),
            "m.gguf: key \"llama.block_count\": expected a bool");
  EXPECT_EQ(file.get_string_or("none", "x"), "x");
  EXPECT_EQ(file.get_int_or("none", -4), -4);
  EXPECT_EQ(file.get_int_or("llama.block_count", -4), 2);
  EXPECT_EQ(file.get_double_or("none", 0.5), 0.5);
  EXPECT_FALSE(file.get_bool_or("none", false));
}

TEST(Gguf, TruncationAtEveryByteIsATypedError) {
  const std::string whole = small().bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    const Exact exact(whole.substr(0, size));
    const Error error = error_of([&] { GgufFile(exact.bytes(), "m"); });
    EXPECT_EQ(error.kind(), ErrorKind::kData) << size << ": " << error.what();
  }
}

TEST(Gguf, OtherVersionsOrdersAndFilesAreRefused) {
  GgufBytes file = small();
  file.version = 1;
  EXPECT_EQ(refusal(file).kind(), ErrorKind::kUnsupported);
  file.version = 4;
  EXPECT_THAT(refusal(file).what(), HasSubstr("GGUF version 4"));
  file.version = 0x03000000;
  EXPECT_EQ(refusal(file).kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(refusal(file).what(), HasSubstr("big-endian"));
  const Error other = error_of([] { GgufFile(as_bytes("GGML and more"), "m"); });
  EXPECT_EQ(other.kind(), ErrorKind::kData);
  EXPECT_THAT(other.what(), HasSubstr("starts with \"GGML\""));
}

TEST(Gguf, F75_ZeroDimension) {
  GgufBytes file = small();
  file.tensors[0].dims = {1, 0};
  EXPECT_THAT(complaint(file), HasSubstr("tensor \"w\": at byte"));
  EXPECT_THAT(complaint(file), HasSubstr("a dimension must be from 1 to 2^63 - 1, got 0"));
}

TEST(Gguf, F75_TooManyDimensions) {
  GgufBytes file = small();
  file.tensors[0].dims = {1, 1, 1, 1};
  EXPECT_EQ(error_of([&] { GgufFile(as_bytes(file.bytes()), "m"); }).kind(), ErrorKind::kUsage);  // accepted
  for (const size_t count : {5U, 9U}) {
    file.tensors[0].dims.assign(count, 1);
    EXPECT_THAT(complaint(file), HasSubstr(fmt::format("{} dimensions, at most 4", count)));
  }
}

TEST(Gguf, F75_WrappingProducts) {
  GgufBytes file = small();
  file.tensors[0].dims = {uint64_t{1} << 63, 2};  // the product wraps to 0
  EXPECT_THAT(complaint(file), HasSubstr("a dimension must be"));
  file.tensors[0].dims = {uint64_t{1} << 62, 4};  // wraps to 0 inside int64
  EXPECT_THAT(complaint(file), HasSubstr("overflow"));
  file.tensors[0].dims = {uint64_t{1} << 62};  // the bytes wrap
  EXPECT_THAT(complaint(file), HasSubstr("overflow"));
  file.tensors[0].dims = {uint64_t{1} << 32, uint64_t{1} << 16, uint64_t{1} << 16, 1};
  EXPECT_THAT(complaint(file), HasSubstr("overflow"));
}

TEST(Gguf, F75_AlignmentIsAPowerOfTwo) {
  GgufBytes file = small();
  for (const uint32_t alignment : {0U, 3U, 24U, 0xffffffffU}) {
    file.entries.resize(3);
    file.entries.emplace_back("general.alignment", u32_entry(alignment));
    EXPECT_THAT(complaint(file), HasSubstr("\"general.alignment\": expected a power of two"));
  }
  file.entries[3].second = text_entry("32");
  EXPECT_THAT(complaint(file), HasSubstr("\"general.alignment\": expected an integer"));
  file.entries[3].second = le(uint32_t{kI64}) + le<int64_t>(INT64_MIN);
  EXPECT_THAT(complaint(file), HasSubstr("\"general.alignment\""));
}

TEST(Gguf, AlignmentOfTheMetadataPlacesTheData) {
  GgufBytes file;
  file.alignment = 64;
  file.entries = {{"general.alignment", u32_entry(64)}};
  file.tensors = {{"a", {1}, 0, 0}, {"b", {1}, 0, 64}};
  file.data = le(1.0F) + std::string(60, '\0') + le(2.0F);
  const std::string text = file.bytes();
  const GgufFile read(as_bytes(text), "m");
  float out = 0;
  to_float(read.at("b"), {&out, 1});
  EXPECT_EQ(out, 2.0F);
}

TEST(Gguf, F75_TextBeyondTheFile) {
  GgufBytes file = small();
  file.entries[0].second = le(uint32_t{kString}) + le<uint64_t>(100'000);
  EXPECT_THAT(complaint(file), HasSubstr("key \"general.architecture\""));
  EXPECT_THAT(complaint(file), HasSubstr("a text of 100000 bytes"));
  file.entries[0].second = le(uint32_t{kString}) + le<uint64_t>(0xffffffffffffffff);
  EXPECT_THAT(complaint(file), HasSubstr("a text of 18446744073709551615 bytes"));
}

TEST(Gguf, F75_EmptyAndRepeatedNames) {
  GgufBytes file = small();
  file.entries[1].first = "";
  EXPECT_THAT(complaint(file), HasSubstr("metadata entry 1: at byte"));
  EXPECT_THAT(complaint(file), HasSubstr("the name is empty"));
  file = small();
  file.entries[1].first = "tokens";
  EXPECT_THAT(complaint(file), HasSubstr("key \"tokens\""));
  EXPECT_THAT(complaint(file), HasSubstr("the key is there twice"));
  file = small();
  file.tensors[1].name = "";
  EXPECT_THAT(complaint(file), HasSubstr("the name is empty"));
  file.tensors[1].name = "w";
  EXPECT_THAT(complaint(file), HasSubstr("tensor \"w\" is there twice"));
  file.tensors[1].name = std::string(65536, 'n');
  EXPECT_THAT(complaint(file), HasSubstr("a name of 65536 bytes"));
}

TEST(Gguf, F75_NestedArraysAreBounded) {
  GgufBytes file = small();
  std::string value = array(kU8, 1, "\x01");
  for (int depth = 1; depth < 4; ++depth) value = array(kArray, 1, value);
  file.entries[0].second = le(uint32_t{kArray}) + value;
  EXPECT_EQ(refusal(file).kind(), ErrorKind::kUsage);  // accepted: four deep
  file.entries[0].second = le(uint32_t{kArray}) + array(kArray, 1, value);
  EXPECT_EQ(refusal(file).kind(), ErrorKind::kLimit);
  std::string deep;
  for (int depth = 0; depth < 100'000; ++depth) deep += le(uint32_t{kArray}) + le<uint64_t>(1);
  file.entries[0].second = le(uint32_t{kArray}) + deep;
  EXPECT_EQ(refusal(file).kind(), ErrorKind::kLimit);
}

TEST(Gguf, F75_HugeCountsAreRefusedBeforeAnyAllocation) {
  GgufBytes file = small();
  for (const int64_t count : {int64_t{1'000'000}, INT64_MAX}) {
    file.tensor_count = count;
    EXPECT_THAT(complaint(file), HasSubstr(fmt::format("{} tensors, more than", count)));
  }
  file = small();
  file.entry_count = INT64_MAX;
  EXPECT_THAT(complaint(file), HasSubstr("metadata entries, more than"));
  file = small();
  for (const uint32_t element : {uint32_t{kU8}, uint32_t{kString}, uint32_t{kArray}}) {
    file.entries[2].second = array_entry(element, 0xffffffffffffffff, "");
    EXPECT_THAT(complaint(file), HasSubstr("18446744073709551615 array elements, more than"));
  }
  // A count that would fit as bytes, but not as texts.
  file.entries[2].second = array_entry(kString, 100, gguf_text("a"));
  EXPECT_THAT(complaint(file), HasSubstr("100 array elements, more than"));
}

TEST(Gguf, F75_OffsetsAreAlignedApartAndInside) {
  GgufBytes file = small();
  file.tensors[1].offset = 33;
  EXPECT_THAT(complaint(file), HasSubstr("tensor \"q\": its offset 33 is no multiple of the alignment 32"));
  file.tensors[1].offset = 0;
  EXPECT_THAT(complaint(file), HasSubstr("overlaps the tensor before it"));
  file.tensors[1].offset = 64;
  EXPECT_THAT(complaint(file), HasSubstr("reach past the file's 66 bytes of data"));
  file.tensors[1].offset = 0xffffffffffffffe0;
  EXPECT_THAT(complaint(file), HasSubstr("reach past the file"));
}

TEST(Gguf, QuantisedRowsAreWholeBlocks) {
  GgufBytes file = small();
  file.tensors[1].dims = {16, 2};
  EXPECT_THAT(complaint(file), HasSubstr("no whole number of blocks of 32"));
}

TEST(Gguf, UnknownTypesAreRefused) {
  GgufBytes file = small();
  for (const uint32_t type : {4U, 16U, 1000U}) {
    file.tensors[0].type = type;
    EXPECT_EQ(refusal(file).kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(refusal(file).what(), HasSubstr(fmt::format("tensor \"w\": ggml type {} is not read", type)));
  }
  file = small();
  file.entries[0].second = le<uint32_t>(13) + "x";
  EXPECT_THAT(complaint(file), HasSubstr("there is no value type 13"));
  file.entries[0].second = le(uint32_t{kBoolean}) + "\x02";
  EXPECT_THAT(complaint(file), HasSubstr("a bool must be 0 or 1, got 2"));
  file.entries[0].second = array_entry(kU64, 1, le<uint64_t>(0xffffffffffffffff));
  EXPECT_THAT(complaint(file), HasSubstr("larger than int64 holds"));
}

TEST(Gguf, AFileWithoutTensorsNeedsNoData) {
  GgufBytes file = small();
  file.tensors.clear();
  file.data.clear();
  const std::string text = file.bytes();
  EXPECT_TRUE(GgufFile(as_bytes(text), "m").tensors().empty());
}

// One part of a model split into `count`, holding one tensor.
std::string part(uint16_t number, uint16_t count, const std::string& name, float value, int32_t total = 2) {
  GgufBytes file;
  file.entries = {{"split.no", le(uint32_t{kU16}) + le(number)},
                  {"split.count", le(uint32_t{kU16}) + le(count)},
                  {"split.tensors.count", le(uint32_t{kI32}) + le(total)}};
  file.tensors = {{name, {1}, 0, 0}};
  file.data = le(value);
  return file.bytes();
}

TEST(GgufSplit, TheFirstPartOpensAll) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "m-00001-of-00002.gguf", part(0, 2, "a", 1.0F));
  write_file_atomic(folder / "m-00002-of-00002.gguf", part(1, 2, "b", 2.0F));
  const GgufFile file(folder / "m-00001-of-00002.gguf");
  float out = 0;
  to_float(file.at("b"), {&out, 1});
  EXPECT_EQ(out, 2.0F);
  EXPECT_EQ(file.tensors().size(), 2);
  EXPECT_THAT(error_of([&] { GgufFile(folder / "m-00002-of-00002.gguf"); }).what(), HasSubstr("open the first part"));
}

TEST(GgufSplit, PartsMustAgree) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& first, const std::string& second) {
    write_file_atomic(folder / "m-00001-of-00002.gguf", first);
    write_file_atomic(folder / "m-00002-of-00002.gguf", second);
    const Error error = error_of([&] { GgufFile(folder / "m-00001-of-00002.gguf"); });
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return std::string(error.what());
  };
  const std::string first = part(0, 2, "a", 1.0F);
  EXPECT_THAT(message(first, part(0, 2, "b", 2.0F)), HasSubstr("it says it is part 1 of 2"));
  EXPECT_THAT(message(first, part(1, 3, "b", 2.0F)), HasSubstr("it says it is part 2 of 3"));
  EXPECT_THAT(message(first, part(1, 2, "a", 2.0F)), HasSubstr("tensor \"a\" is there twice"));
  EXPECT_THAT(message(part(0, 2, "a", 1.0F, 3), part(1, 2, "b", 2.0F)),
              HasSubstr("the parts hold 2 tensors, expected 3"));
  EXPECT_THAT(message(part(0, 3, "a", 1.0F), part(1, 3, "b", 2.0F)), HasSubstr("-00001-of-00003.gguf"));
  std::filesystem::remove(folder / "m-00002-of-00002.gguf");
  write_file_atomic(folder / "m-00001-of-00002.gguf", first);
  EXPECT_EQ(error_of([&] { GgufFile(folder / "m-00001-of-00002.gguf"); }).kind(), ErrorKind::kIo);
}

}  // namespace
}  // namespace merit::formats
