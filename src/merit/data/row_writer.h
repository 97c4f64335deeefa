// Writing results one JSON line a row, so that a stopped run can go on where it was. Beside PATH stands PATH.run.json
// with the row schema and the identity of the run (what its rows depend on: options, input hash, model). Opening the
// same path with the same identity keeps the finished rows; the broken last line of a killed run is cut.
#pragma once

#include <cstdint>
#include <string>

#include "merit/core/json.h"
#include "merit/data/id_set.h"

namespace merit::data {

class RowWriter {
 public:
  // `path`: a file, "-" for standard output, or any writable non-regular file (a pipe, /dev/stdout): those are written
  // straight and never resumed. `schema`: "merit.score/1". `identity`: an object of everything the rows depend on.
  // Error(kUsage) if the file holds rows of another identity, or rows without a run record, and `overwrite` is false;
  // the message names the first member that differs. Error(kUsage) if another process writes the file; Error(kIo) if
  // it cannot be written; Error(kData) if a finished row is not JSON.
  RowWriter(std::string path, std::string schema, const OrderedJson& identity, bool overwrite = false);
  ~RowWriter();
  RowWriter(const RowWriter&) = delete;
  RowWriter& operator=(const RowWriter&) = delete;

  // Rows of an earlier run that were kept.
  uint64_t rows_done() const { return rows_done_; }
  // Whether a kept row has this `id`.
  bool is_done(const std::string& id) const { return ids_done_.contains(id); }

  // Appends {"schema": schema, ...row} as one line, in one write, so that what was written survives this process.
  // Error(kIo) if the bytes cannot be written.
  void write(const OrderedJson& row);

 private:
  void open_regular(const OrderedJson& identity, bool overwrite);
  void check_identity(const OrderedJson& identity) const;
  uint64_t keep_whole_rows();

  std::string path_;
  std::string schema_;
  int fd_ = -1;
  bool owns_fd_ = false;
  uint64_t rows_done_ = 0;
  IdSet ids_done_;
};

}  // namespace merit::data
