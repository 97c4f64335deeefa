#include "merit/data/reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>

#include <thread>

#include "merit/core/hash.h"
#include "tests/data/temp_support.h"

namespace merit::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

const std::string kTwo = "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n";

std::string gzip(std::string_view bytes) {
  z_stream stream = {};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class ReaderTest : public ::testing::Test {
 protected:
  std::vector<std::string> prompts(std::string_view bytes) {
    std::vector<std::string> out;
    for (const Group& group : read_groups(dir_.file("rows", bytes)).groups) {
      out.push_back(std::get<std::string>(*group.prompt));
    }
    return out;
  }
  std::string refusal(std::string_view bytes, ReadOptions options = {}) {
    const std::string path = dir_.file("rows", bytes);
    std::string message = error_of([&] { read_groups(path, options); }).what();
    if (message.starts_with(path)) message.replace(0, path.size(), "rows");
    return message;
  }
  TempFolder dir_;
};

TEST_F(ReaderTest, F72_ByteOrderMarkCrlfAndNoLastNewlineChangeNothing) {
  for (const std::string& bytes : std::vector<std::string>{
           kTwo, "\xef\xbb\xbf" + kTwo, "{\"prompt\":\"a\"}\r\n{\"prompt\":\"b\"}\r\n",
           "\xef\xbb\xbf{\"prompt\":\"a\"}\r\n{\"prompt\":\"b\"}", "\n\n{\"prompt\":\"a\"}\n  \r\n{\"prompt\":\"b\"}",
           "[{\"prompt\":\"a\"},{\"prompt\":\"b\"}]",
           "\xef\xbb\xbf [\r\n {\"prompt\":\"a\"}\n,{\"prompt\":\"b\"} ]\r\n"}) {
    EXPECT_THAT(prompts(bytes), ElementsAre("a", "b")) << bytes;
  }
}

TEST_F(ReaderTest, F72_ByteOrderMarkInsideIsAnErrorWithItsLine) {
  EXPECT_THAT(refusal("{\"prompt\":\"a\"}\n\xef\xbb\xbf{\"prompt\":\"b\"}\n"),
              StartsWith("rows:2: a UTF-8 byte order mark inside the file"));
  EXPECT_THAT(refusal("[{\"prompt\":\"a\"},\n\xef\xbb\xbf{\"prompt\":\"b\"}]"),
              StartsWith("rows:2: a UTF-8 byte order"));
  EXPECT_THAT(refusal(std::string("\xff\xfe{\0", 4)), HasSubstr("UTF-16"));
}

TEST_F(ReaderTest, NamesTheLineARowStartsAt) {
  const std::string array = "[\n{\"prompt\":\n\"a\"},\n\n{\"prompt\":3}]";
  EXPECT_THAT(refusal(array), StartsWith("rows:5: prompt: expected a string"));
  EXPECT_THAT(refusal("\n{\"prompt\":\"a\"}\n\n{broken\n"), StartsWith("rows:4: not valid JSON at byte 2"));
}

TEST_F(ReaderTest, ArrayRowsMayHoldBracketsAndQuotesInStrings) {
  EXPECT_THAT(prompts(R"([{"prompt":"]},{\"[\\"},{"prompt":"{","x":[[1],{"y":"\\"}]}])"),
              ElementsAre("]},{\"[\\", "{"));
}

TEST_F(ReaderTest, RefusesABrokenArray) {
  EXPECT_THAT(refusal("[{\"prompt\":\"a\"}"), HasSubstr("expected \",\" or \"]\" after a row"));
  EXPECT_THAT(refusal("[{\"prompt\":\"a\"} {"), HasSubstr("got \"{\""));
  EXPECT_THAT(refusal("[{\"prompt\":\"a"), HasSubstr("ends inside this row"));
  EXPECT_THAT(refusal("[{\"prompt\":\"a\"},]"), HasSubstr("expected a row"));
  EXPECT_THAT(refusal("[{\"prompt\":\"a\"}] x"), HasSubstr("expected the end of the file"));
  EXPECT_THAT(refusal("[3]"), HasSubstr("expected a JSON object, got \"3\""));
}

TEST_F(ReaderTest, SaysWhenThereIsNothing) {
  for (const char* nothing : {"", "\n \n", "\xef\xbb\xbf", "[]", " [ ] \n"}) {
    EXPECT_EQ(refusal(nothing), "rows: no records") << nothing;
  }
}

TEST_F(ReaderTest, MissingFileAndFolderAreIoErrors) {
  EXPECT_EQ(error_of([&] { read_groups(dir_.path("absent")); }).kind(), ErrorKind::kIo);
  const Error folder = error_of([&] { read_groups(dir_.path("")); });
  EXPECT_EQ(folder.kind(), ErrorKind::kIo);
  EXPECT_THAT(folder.what(), HasSubstr("is a folder"));
}

TEST_F(ReaderTest, SkipsAndCountsUnderThePolicy) {
  const std::string bytes =
      "{\"prompt\":\"a\",\"id\":\"x\"}\nnot "
      "json\n{\"prompt\":\"b\",\"id\":\"x\"}\n{\"prompt\":\"c\",\"completion\":\"d\"}\n"
      "{\"prompt\":null}\n[1]\n{\"prompt\":\"e\"}\n";
  ReadOptions options;
  options.bad_rows = BadRowPolicy::kSkip;
  const GroupFile file = read_groups(dir_.file("rows", bytes), options);
  ASSERT_EQ(file.groups.size(), 2u);
  EXPECT_EQ(file.groups[1].id, "row-7") << "bad rows keep their numbers";
  EXPECT_EQ(file.counts.read, 7u);
  EXPECT_EQ(file.counts.used, 2u);
  EXPECT_THAT(file.counts.dropped, ElementsAre(Pair("duplicate id", 1), Pair("mixed layouts", 1),
                                               Pair("not a JSON object", 2), Pair("wrong type", 1)));
  EXPECT_EQ(file.counts.dropped_total(), 5u);
  EXPECT_EQ(file.counts.examples.size(), 5u);
  EXPECT_EQ(
      dump_json(to_json(file.counts)),
      R"({"read":7,"used":2,"dropped":{"duplicate id":1,"mixed layouts":1,"not a JSON object":2,"wrong type":1}})");
}

TEST_F(ReaderTest, FailPolicyHandsOutTheErrorAndCanGoOn) {
  Reader reader(dir_.file("rows", "{\"prompt\":\"a\"}\nbad\n{\"prompt\":\"b\"}\n"));
  EXPECT_TRUE(reader.next()->ok());
  EXPECT_FALSE(reader.next()->ok());
  EXPECT_TRUE(reader.next()->ok());
  EXPECT_FALSE(reader.next().has_value());
}

TEST_F(ReaderTest, NamesBothPlacesOfARepeatedId) {
  const std::string path = dir_.path("rows");
  EXPECT_THAT(refusal("{\"prompt\":\"a\",\"id\":7}\n{\"prompt\":\"b\",\"id\":\"7\"}\n"),
              StartsWith("rows:2: row 1 has the id \"7\" already"));
  EXPECT_THAT(refusal("{\"prompt\":\"a\",\"id\":\"row-2\"}\n{\"prompt\":\"b\"}\n"), HasSubstr("\"row-2\""));
}

TEST_F(ReaderTest, OneLayoutAFile) {
  EXPECT_THAT(refusal("{\"prompt\":\"a\"}\n{\"prompt\":\"b\",\"completion\":\"c\"}\n"),
              StartsWith("rows:2: a prompt-completion row; expected prompt-only rows only, as at"));
}

TEST_F(ReaderTest, BoundsTheRow) {
  ReadOptions options;
  options.max_row_bytes = 20;
  options.bad_rows = BadRowPolicy::kSkip;
  const std::string longer = "{\"prompt\":\"" + std::string(600000, 'x') + "\"}";
  for (const std::string& bytes : {longer + "\n" + kTwo, "[" + longer + ",{\"prompt\":\"a\"},{\"prompt\":\"b\"}]"}) {
    const GroupFile file = read_groups(dir_.file("rows", bytes), options);
    EXPECT_EQ(file.groups.size(), 2u);
    EXPECT_THAT(file.counts.dropped, ElementsAre(Pair("over a limit", 1)));
  }
}

TEST_F(ReaderTest, ReadsGzipMembersAsOneFile) {
  const std::string packed = gzip("{\"prompt\":\"a\"}\n") + gzip("{\"prompt\":\"b\"}\n");
  EXPECT_THAT(prompts(packed), ElementsAre("a", "b"));
  EXPECT_EQ(read_groups(dir_.file("rows.gz", packed)).content_hash, hash_hex(kTwo));
  EXPECT_THAT(refusal(packed.substr(0, packed.size() - 6)), HasSubstr("gzip stream is damaged (it ends early)"));
  std::string flipped = packed;
  flipped[flipped.size() - 6] ^= 1;  // the checksum
  EXPECT_THAT(refusal(flipped), HasSubstr("gzip stream is damaged"));
  EXPECT_THAT(refusal(gzip(kTwo) + "tail"), HasSubstr("gzip stream is damaged"));
}

TEST_F(ReaderTest, HashIsTheFiles) {
  const std::string path = dir_.file("rows", "\xef\xbb\xbf" + kTwo);
  EXPECT_EQ(read_groups(path).content_hash, hash_file(path));
}

TEST_F(ReaderTest, ReadsAPipeThatGivesByteAfterByte) {
  const std::string path = dir_.path("pipe");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  for (const std::string& bytes : {"\xef\xbb\xbf" + kTwo, gzip(kTwo)}) {
    std::thread writer([&] {
      const int fd = open(path.c_str(), O_WRONLY);
      for (const char c : bytes) {
        ASSERT_EQ(write(fd, &c, 1), 1);
        if (&c < bytes.data() + 4) usleep(2000);
      }
      close(fd);
    });
    const GroupFile file = read_groups(path);
    writer.join();
    EXPECT_EQ(file.groups.size(), 2u);
  }
}

TEST_F(ReaderTest, RawRowsKeepWhateverColumnsTheyHave) {
  RowReader reader(dir_.file("rows", "{\"b\":1,\"a\":2}\n3\n"));
  const Row row = reader.next()->value();
  EXPECT_EQ(dump_json(row.value), R"({"b":1,"a":2})");
  EXPECT_EQ(row.number, 1u);
  EXPECT_EQ(row.where, dir_.path("rows") + ":1");
  EXPECT_FALSE(reader.next()->ok());
  EXPECT_FALSE(reader.next().has_value());
}

}  // namespace
}  // namespace merit::data
