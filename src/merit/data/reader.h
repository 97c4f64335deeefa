// Reading records: rows of JSONL or of a JSON array, plain or gzip, from a file, a pipe or standard input ("-"), one
// at a time, and the groups they hold. Memory is bounded by the longest row (and by the ids, kept to refuse repeats).
//
// A first UTF-8 byte order mark, CRLF line ends, blank lines and a missing last newline change nothing. A byte order
// mark further on is an error of its row. Not thread-safe; one reader per thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "merit/core/result.h"
#include "merit/data/group.h"
#include "merit/data/id_set.h"

namespace merit::data {

struct Row {
  OrderedJson value;  // an object
  std::string where;  // "file:line", the line the row starts at
  uint64_t number;    // from 1, bad rows counted
};

// The rows as they stand, whatever their columns.
class RowReader {
 public:
  // Error(kIo) if the path is missing, a folder or unreadable.
  explicit RowReader(const std::string& path, uint64_t max_row_bytes = uint64_t{64} << 20);
  ~RowReader();
  RowReader(const RowReader&) = delete;
  RowReader& operator=(const RowReader&) = delete;

  // The next row, the error that stands in its place (kLimit: too long or too deep, kData: not a JSON object), or
  // nothing at the end. After an error the reader goes on with the next row where the
  // rest can still be told apart; a JSON array that is broken between its rows, a gzip stream that is damaged and a
  // failed read are thrown, as Error(kData) or Error(kIo).
  std::optional<Result<Row>> next();

  // XXH3-128 of the bytes read so far, after decompression: hash_file() of the plain file once next() gave nothing.
  std::string content_hash() const;
  const std::string& name() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

enum class BadRowPolicy {
  kFail,  // next() hands out the error
  kSkip,  // next() counts the row and goes on
};

struct ReadOptions {
  BadRowPolicy bad_rows = BadRowPolicy::kFail;
  ColumnMap columns;
  uint64_t max_row_bytes = uint64_t{64} << 20;
};

struct ReadCounts {
  uint64_t read = 0;                        // rows seen
  uint64_t used = 0;                        // groups handed out
  std::map<std::string, uint64_t> dropped;  // reason -> rows
  std::vector<std::string> examples;        // messages of the first five dropped rows
  uint64_t dropped_total() const;
};

// {"read":..,"used":..,"dropped":{..}} for results and run records.
OrderedJson to_json(const ReadCounts& counts);

class Reader {
 public:
  explicit Reader(const std::string& path, ReadOptions options = {});

  // The next group; a bad row's error under kFail; nothing at the end. Throws Error(kData) "no records" if the file
  // ends without a row, and what RowReader::next throws. Every group of a file has one layout and an id of its own.
  std::optional<Result<Group>> next();

  const ReadCounts& counts() const { return counts_; }
  std::string content_hash() const { return rows_.content_hash(); }

 private:
  Group group_of(Row row);

  RowReader rows_;
  ReadOptions options_;
  ReadCounts counts_;
  std::optional<Layout> layout_;
  std::string layout_where_;
  IdSet ids_;
};

struct GroupFile {
  std::vector<Group> groups;
  ReadCounts counts;
  std::string content_hash;
};
// Every group of the file; under kFail the first bad row is thrown.
GroupFile read_groups(const std::string& path, const ReadOptions& options = {});

}  // namespace merit::data
