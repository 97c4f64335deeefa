#include "merit/data/row_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <thread>

#include "tests/data/temp_support.h"

namespace merit::data {
namespace {

using ::testing::HasSubstr;

const OrderedJson kIdentity = {{"model", "m"}, {"seed", 1}};

OrderedJson row(const std::string& id) { return {{"id", id}, {"score", 0.5}}; }

class RowWriterTest : public ::testing::Test {
 protected:
  Error refusal(const OrderedJson& identity, const std::string& schema = "merit.score/1") {
    return error_of([&] { RowWriter(path_, schema, identity); });
  }
  TempFolder dir_;
  std::string path_ = dir_.path("out/rows.jsonl");
};

TEST_F(RowWriterTest, WritesRowsWithTheirSchemaAndARunRecord) {
  RowWriter writer(path_, "merit.score/1", kIdentity);
  writer.write(row("a"));
  EXPECT_EQ(dir_.text("out/rows.jsonl"), "{\"schema\":\"merit.score/1\",\"id\":\"a\",\"score\":0.5}\n")
      << "a row is in the file before the writer is gone";
  EXPECT_EQ(dir_.text("out/rows.jsonl.run.json"),
            "{\"schema\":\"merit.run/1\",\"rows\":\"merit.score/1\",\"identity\":{\"model\":\"m\",\"seed\":1}}\n");
}

TEST_F(RowWriterTest, ResumedFileEqualsAnUninterruptedOneWhereverItWasCut) {
  {
    RowWriter writer(path_, "merit.score/1", kIdentity);
    for (const char* id : {"a", "b", "c"}) writer.write(row(id));
  }
  const std::string whole = dir_.text("out/rows.jsonl");
  const size_t line = whole.size() / 3;
  for (size_t cut = 0; cut <= whole.size(); ++cut) {
    std::filesystem::resize_file(path_, cut);
    RowWriter writer(path_, "merit.score/1", kIdentity);
    ASSERT_EQ(writer.rows_done(), cut / line);
    EXPECT_EQ(writer.is_done("a"), cut >= line);
    EXPECT_EQ(writer.is_done("c"), cut == whole.size());
    for (const char* id : {"a", "b", "c"}) {
      if (!writer.is_done(id)) writer.write(row(id));
    }
    ASSERT_EQ(dir_.text("out/rows.jsonl"), whole) << cut;
  }
}

TEST_F(RowWriterTest, RefusesRowsOfAnotherRunAndSaysWhatDiffers) {
  RowWriter(path_, "merit.score/1", kIdentity).write(row("a"));
  const std::string before = dir_.text("out/rows.jsonl");
  const Error seed = refusal({{"model", "m"}, {"seed", 2}});
  EXPECT_EQ(seed.kind(), ErrorKind::kUsage);
  EXPECT_THAT(seed.what(), HasSubstr("\"seed\" was \"1\", now \"2\"; use --overwrite or another path"));
  EXPECT_THAT(refusal({{"model", "m"}}).what(), HasSubstr("\"seed\" was \"1\", now not set"));
  EXPECT_THAT(refusal({{"model", "m"}, {"seed", 1}, {"n", 2}}).what(), HasSubstr("\"n\" was not set"));
  EXPECT_THAT(refusal(kIdentity, "merit.verify/1").what(), HasSubstr("expected \"merit.verify/1\""));
  EXPECT_EQ(dir_.text("out/rows.jsonl"), before) << "a refusal changes nothing";
  RowWriter writer(path_, "merit.score/1", {{"seed", 2}}, true);
  EXPECT_EQ(writer.rows_done(), 0u);
  EXPECT_EQ(dir_.text("out/rows.jsonl"), "");
}

TEST_F(RowWriterTest, RefusesAFileThatNoRunWrote) {
  std::filesystem::create_directories(dir_.path("out"));
  dir_.file("out/rows.jsonl", "precious\n");
  EXPECT_EQ(refusal(kIdentity).kind(), ErrorKind::kUsage);
  EXPECT_EQ(dir_.text("out/rows.jsonl"), "precious\n");
}

TEST_F(RowWriterTest, RefusesADamagedFinishedRow) {
  RowWriter(path_, "merit.score/1", kIdentity).write(row("a"));
  std::ofstream(path_, std::ios::app) << "{broken\n{}\n";
  const Error error = refusal(kIdentity);
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr("rows.jsonl:2: not valid JSON"));
}

TEST_F(RowWriterTest, TwoWritersOfOneFileAreRefused) {
  RowWriter first(path_, "merit.score/1", kIdentity);
  EXPECT_THAT(refusal(kIdentity).what(), HasSubstr("another process is writing it"));
}

TEST_F(RowWriterTest, WritesAPipeStraight) {
  const std::string pipe = dir_.path("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] {
    std::ifstream in(pipe);
    std::getline(in, got);
  });
  {
    RowWriter writer(pipe, "merit.score/1", kIdentity);
    writer.write(row("a"));
    EXPECT_EQ(writer.rows_done(), 0u);
  }
  reader.join();
  EXPECT_EQ(got, "{\"schema\":\"merit.score/1\",\"id\":\"a\",\"score\":0.5}");
  EXPECT_FALSE(std::filesystem::exists(pipe + ".run.json"));
}

TEST_F(RowWriterTest, AFullDiskIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  RowWriter writer("/dev/full", "merit.score/1", kIdentity);
  EXPECT_EQ(error_of([&] { writer.write(row("a")); }).kind(), ErrorKind::kIo);
}

TEST_F(RowWriterTest, FolderIsRefused) {
  std::filesystem::create_directories(path_);
  EXPECT_EQ(refusal(kIdentity).kind(), ErrorKind::kIo);
}

}  // namespace
}  // namespace merit::data
