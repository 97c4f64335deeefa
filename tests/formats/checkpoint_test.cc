#include "merit/formats/checkpoint.h"

#include <gmock/gmock.h>

#include "merit/core/file.h"
#include "merit/formats/pickle.h"
#include "merit/formats/zip.h"
#include "tests/formats/formats_support.h"

namespace merit::formats {
namespace {

using testing::as_bytes;
using ::testing::ElementsAre;
using testing::error_of;
using testing::Exact;
using ::testing::HasSubstr;
using testing::le;
using testing::TemporaryFolder;
using testing::zip_file;
using testing::ZipFile;
namespace pickle = testing::pickle;

// ---- zip

TEST(Zip, StoredEntriesAreRangesOfTheFile) {
  for (const bool zip64 : {false, true}) {
    const std::string bytes = zip_file({{"a/one", "1234"}, {.name = "a/two", .bytes = "56", .zip64 = true}}, zip64);
    const std::vector<ZipEntry> entries = read_stored_zip(as_bytes(bytes), "m");
    ASSERT_EQ(entries.size(), 2);
    EXPECT_EQ(entries[0].name, "a/one");
    EXPECT_EQ(entries[0].bytes.size(), 4);
    EXPECT_EQ(entries[1].bytes[1], std::byte{'6'});
  }
  EXPECT_TRUE(read_stored_zip(as_bytes(zip_file({})), "m").empty());
}

Error zip_refusal(const std::string& bytes) {
  const Exact exact(bytes);
  const Error error = error_of([&] { read_stored_zip(exact.bytes(), "m.bin"); });
  EXPECT_THAT(error.what(), HasSubstr("m.bin"));
  return error;
}

TEST(Zip, CompressedAndEncryptedEntriesAreRefusedByName) {
  const Error deflated = zip_refusal(zip_file({{.name = "x", .bytes = "12", .method = 8}}));
  EXPECT_EQ(deflated.kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(deflated.what(), HasSubstr("\"x\" is compressed (deflate)"));
  EXPECT_THAT(zip_refusal(zip_file({{.name = "x", .bytes = "12", .method = 93}})).what(), HasSubstr("(method 93)"));
  EXPECT_THAT(zip_refusal(zip_file({{.name = "x", .bytes = "12", .flags = 1}})).what(), HasSubstr("is encrypted"));
}

TEST(Zip, EntriesMustLieApartAndInsideTheFile) {
  EXPECT_THAT(zip_refusal(zip_file({{"x", "1"}, {"x", "2"}})).what(), HasSubstr("\"x\": is there twice"));
  EXPECT_THAT(zip_refusal(zip_file({{"x", "1234"}, {.name = "y", .bytes = "1234", .local = 0}})).what(),
              HasSubstr("overlaps"));
  EXPECT_THAT(zip_refusal(zip_file({{.name = "x", .bytes = "1", .local = 3}})).what(), HasSubstr("no local header"));
  EXPECT_THAT(zip_refusal(zip_file({{.name = "x", .bytes = "1", .local = 1 << 30}})).what(),
              HasSubstr("no local header"));
  EXPECT_THAT(zip_refusal(zip_file({{.name = "x", .bytes = "1", .size = 4000}})).what(), HasSubstr("are not inside"));
  EXPECT_THAT(zip_refusal(zip_file({{.name = "x", .bytes = "1", .zip64 = true, .size = INT64_MAX}})).what(),
              HasSubstr("are not inside"));
}

TEST(Zip, CutAnywhereIsRefused) {
  for (const bool zip64 : {false, true}) {
    const std::string whole = zip_file({{.name = "a/b", .bytes = "1234", .zip64 = zip64}}, zip64);
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_EQ(zip_refusal(whole.substr(0, size)).kind(), ErrorKind::kData) << size;
      EXPECT_EQ(zip_refusal(whole.substr(whole.size() - size)).kind(), ErrorKind::kData) << size;
    }
  }
}

// ---- pickle

std::vector<PickledTensor> tensors_of(const std::string& bytes) { return read_pickled_tensors(as_bytes(bytes), "m"); }

Error pickle_refusal(const std::string& bytes) {
  const Exact exact(bytes);
  return error_of([&] { read_pickled_tensors(exact.bytes(), "m.bin"); });
}

TEST(Pickle, NestedDictionariesJoinTheirKeys) {
  const std::string tensor = pickle::tensor("HalfStorage", "0", 6, 2, {2, 2}, {2, 1});
  const std::string inner = "}(" + pickle::text("w") + tensor + pickle::text("n") + pickle::integer(3) + "u";
  const auto tensors = tensors_of(pickle::dictionary(pickle::text("epoch") + "N" + pickle::text("model") + inner +
                                                     pickle::integer(7) + "](" + tensor + "e"));
  ASSERT_EQ(tensors.size(), 2);
  EXPECT_EQ(tensors[0].name, "model.w");
  EXPECT_EQ(tensors[0].storage, "0");
  EXPECT_EQ(tensors[0].dtype, DType::kF16);
  EXPECT_EQ(tensors[0].offset, 2);
  EXPECT_EQ(tensors[0].storage_elements, 6);
  EXPECT_THAT(tensors[0].shape, ElementsAre(2, 2));
  EXPECT_EQ(tensors[1].name, "7.0");
}

TEST(Pickle, ParametersAreTheirTensorsAndAttributesArePassedOver) {
  const std::string tensor = pickle::tensor("FloatStorage", "0", 1, 0, {1}, {1});
  const std::string parameter = pickle::global("torch._utils", "_rebuild_parameter") + "(" + tensor + "\x88" +
                                pickle::global("collections", "OrderedDict") + ")RtR";
  const std::string dictionary = pickle::global("collections", "OrderedDict") + ")R(" + pickle::text("p") + parameter +
                                 "u}" + pickle::text("_metadata") + "}sb.";
  const auto tensors = tensors_of("\x80\x02" + dictionary);
  ASSERT_EQ(tensors.size(), 1);
  EXPECT_EQ(tensors[0].name, "p");
}

TEST(Pickle, EveryOtherGlobalIsRefusedByName) {
  for (const auto& [module, name] : {std::pair("os", "system"),
                                     {"builtins", "eval"},
                                     {"torch", "load"},
                                     {"torch._utils", "_rebuild_tensor_v3"},
                                     {"torch", "FloatStorage.x"},
                                     {"transformers.training_args", "TrainingArguments"}}) {
    const Error error =
        pickle_refusal("\x80\x02" + pickle::global(module, name) + "(X\x02" + std::string(3, '\0') + "lstR.");
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr(fmt::format("asks for \"{}.{}\"", module, name)));
  }
}

TEST(Pickle, OtherObjectsAndProtocolsAreRefused) {
  EXPECT_EQ(pickle_refusal("\x80\x04}.").kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(pickle_refusal("").kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(pickle_refusal("\x80\x02K\x01.").what(), HasSubstr("expected a dictionary of tensors"));
  EXPECT_THAT(pickle_refusal("\x80\x02i.").what(), HasSubstr("byte 2: opcode 0x69"));
}

TEST(Pickle, MalformedStacksAreErrorsWithTheByte) {
  for (const char* body : {".",
                           "0",
                           "t",
                           "e",
                           "u",
                           "s",
                           "R",
                           "b",
                           "Q",
                           "q\x01",
                           "h\x05",
                           "}(K\x01u.",
                           "K\x01K\x02s.",
                           "}K\x01\x86",
                           "(}\x85K",
                           "X\xff\xff\xff\xff",
                           "\x8a\x09",
                           "))R.",
                           "cx",
                           "r\xff\xff\xff\x7f",
                           "}r\xff\xff\xff\x7f",
                           "(.",
                           ")]a."}) {
    const Error error = pickle_refusal("\x80\x02" + std::string(body));
    EXPECT_EQ(error.kind(), ErrorKind::kData) << body;
    EXPECT_THAT(error.what(), HasSubstr("byte ")) << body;
  }
}

TEST(Pickle, CyclesAndDoublingDictionariesEnd) {
  // A dictionary that holds itself: deeper than 16.
  const Error cycle =
      pickle_refusal("\x80\x02}q" + std::string(1, '\0') + pickle::text("a") + "h" + std::string(1, '\0') + "s.");
  EXPECT_EQ(cycle.kind(), ErrorKind::kLimit);
  // Fifteen levels, each a list of a hundred times the one below: 10^30 members.
  std::string lists = "]";
  for (int level = 0; level < 15; ++level) {
    lists +=
        "q\x01"
        "0](";
    for (int i = 0; i < 100; ++i) lists += "h\x01";
    lists += "e";
  }
  const Error doubling = pickle_refusal("\x80\x02}" + pickle::text("a") + lists + "s.");
  EXPECT_EQ(doubling.kind(), ErrorKind::kLimit);
  EXPECT_THAT(doubling.what(), HasSubstr("members"));
}

// ---- checkpoints

std::string checkpoint(const std::string& pickled, const std::vector<ZipFile>& more) {
  std::vector<ZipFile> files = {{"archive/data.pkl", pickled}, {"archive/byteorder", "little"}};
  files.insert(files.end(), more.begin(), more.end());
  return zip_file(files);
}

// Six floats 0 .. 5 under the key 0.
ZipFile six_floats() {
  std::string bytes;
  for (int i = 0; i < 6; ++i) bytes += le(static_cast<float>(i));
  return {"archive/data/0", bytes};
}

std::vector<float> values(const WeightSource& source, const char* name) {
  std::vector<float> out(static_cast<size_t>(source.at(name).numel()));
  to_float(source.at(name), out);
  return out;
}

TEST(Checkpoint, TensorsAreViewsOfTheirStorage) {
  const std::string bytes =
      checkpoint(pickle::dictionary(pickle::text("w") + pickle::tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1}) +
                                    pickle::text("tied") + pickle::tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1}) +
                                    pickle::text("part") + pickle::tensor("FloatStorage", "0", 6, 4, {2}, {1}) +
                                    pickle::text("turned") + pickle::tensor("FloatStorage", "0", 6, 0, {3, 2}, {1, 3}) +
                                    pickle::text("every second") + pickle::tensor("FloatStorage", "0", 6, 1, {3}, {2}) +
                                    pickle::text("scalar") + pickle::tensor("FloatStorage", "0", 6, 5, {}, {}) +
                                    pickle::text("none") + pickle::tensor("FloatStorage", "0", 6, 6, {0, 9}, {9, 1})),
                 {six_floats()});
  const CheckpointFile file(as_bytes(bytes), "m");
  EXPECT_THAT(values(file, "w"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(file.at("w").bytes.data(), file.at("tied").bytes.data());
  EXPECT_THAT(values(file, "part"), ElementsAre(4, 5));
  EXPECT_THAT(values(file, "turned"), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(values(file, "every second"), ElementsAre(1, 3, 5));
  EXPECT_THAT(values(file, "scalar"), ElementsAre(5));
  EXPECT_EQ(file.at("none").numel(), 0);
}

Error refusal(const std::string& bytes) {
  const Exact exact(bytes);
  return error_of([&] { CheckpointFile(exact.bytes(), "m.bin"); });
}

TEST(Checkpoint, TensorsMustLieInTheirStorage) {
  const auto complaint = [](const std::string& tensor) {
    const Error error = refusal(checkpoint(pickle::dictionary(pickle::text("w") + tensor), {six_floats()}));
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return std::string(error.what());
  };
  EXPECT_THAT(complaint(pickle::tensor("FloatStorage", "0", 6, 1, {6}, {1})),
              HasSubstr("\"w\" [6]: it reaches outside"));
  EXPECT_THAT(complaint(pickle::tensor("FloatStorage", "0", 6, 0, {2}, {6})), HasSubstr("it reaches outside"));
  EXPECT_THAT(complaint(pickle::tensor("FloatStorage", "0", 6, 7, {0}, {1})), HasSubstr("it reaches outside"));
  EXPECT_THAT(complaint(pickle::tensor("FloatStorage", "0", 6, -1, {2}, {1})), HasSubstr("strided"));
  EXPECT_THAT(complaint(pickle::tensor("FloatStorage", "0", 6, 0, {2}, {-1})), HasSubstr("sizes from 0"));
  EXPECT_THAT(complaint(pickle::tensor("FloatStorage", "0", 6, 0, {2}, {1, 1})), HasSubstr("strided"));
  EXPECT_THAT(complaint(pickle::tensor("FloatStorage", "0", 7, 0, {2}, {1})), HasSubstr("7 elements of F32"));
  EXPECT_THAT(complaint(pickle::tensor("DoubleStorage", "0", 6, 0, {2}, {1})), HasSubstr("6 elements of F64"));
  EXPECT_THAT(complaint(pickle::tensor("FloatStorage", "1", 6, 0, {2}, {1})), HasSubstr("no entry \"data/1\""));
  // An element repeated without end takes no bytes in the file.
  EXPECT_THAT(complaint(pickle::tensor("FloatStorage", "0", 6, 0, {1 << 30, 1 << 30}, {0, 0})), HasSubstr("expanded"));
  EXPECT_THAT(complaint(pickle::tensor("FloatStorage", "0", 6, 0, std::vector<int32_t>(9, 1 << 30),
                                       std::vector<int32_t>(9, 0))),
              HasSubstr("it reaches outside"));
}

TEST(Checkpoint, OtherFilesAreRefusedByName) {
  const auto unsupported = [](const std::string& bytes) {
    const Error error = refusal(bytes);
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported) << error.what();
    return std::string(error.what());
  };
  EXPECT_THAT(unsupported("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."),
              HasSubstr("before PyTorch 1.6"));
  EXPECT_THAT(unsupported("\x80\x02}."), HasSubstr("expected a checkpoint of torch.save"));
  EXPECT_THAT(unsupported(zip_file({{"a/x", "1"}})), HasSubstr("without data.pkl"));
  const std::string empty = pickle::dictionary("");
  EXPECT_THAT(unsupported(checkpoint(empty, {{"archive/constants.pkl", "1"}})), HasSubstr("TorchScript"));
  EXPECT_THAT(unsupported(zip_file({{"a/data.pkl", empty}, {"a/byteorder", "big"}})), HasSubstr("got \"big\""));
  EXPECT_TRUE(CheckpointFile(as_bytes(checkpoint(empty, {})), "m").tensors().empty());
}

TEST(Checkpoint, FoldersOpenWithPicklesWhereThereIsNothingElse) {
  const TemporaryFolder folder;
  const auto one = [](const std::string& name) {
    return checkpoint(pickle::dictionary(pickle::text(name) + pickle::tensor("FloatStorage", "0", 6, 0, {6}, {1})),
                      {six_floats()});
  };
  write_file_atomic(folder / "p1.bin", one("a"));
  write_file_atomic(folder / "p2.bin", one("b"));
  write_file_atomic(folder / "pytorch_model.bin.index.json", R"({"weight_map":{"a":"p1.bin","b":"p2.bin"}})");
  EXPECT_EQ(values(*open_weights(folder.path()), "b")[5], 5);
  write_file_atomic(folder / "pytorch_model.bin", one("c"));
  EXPECT_NE(open_weights(folder.path())->find("c"), nullptr);
  EXPECT_NE(open_weights(folder / "p1.bin")->find("a"), nullptr);
  write_file_atomic(folder / "pytorch_model.bin.index.json", R"({"weight_map":{"a":"p1.safetensors"}})");
  std::filesystem::remove(folder / "pytorch_model.bin");
  EXPECT_THAT(error_of([&] { open_weights(folder.path()); }).what(), HasSubstr("plain name of a .bin file"));
}

}  // namespace
}  // namespace merit::formats
