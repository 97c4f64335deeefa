#include "merit/data/row_writer.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "merit/core/error.h"
#include "merit/core/file.h"

namespace merit::data {
namespace {

constexpr const char* kRunSchema = "merit.run/1";

std::string run_path(const std::string& path) { return path + ".run.json"; }

// The first member in which two identities differ, as "name: old, now new".
std::string difference(const OrderedJson& old, const OrderedJson& now) {
  for (const auto& [name, value] : now.items()) {
    const auto it = old.find(name);
    if (it == old.end()) return fmt::format("{} was not set, now {}", quote(name), quote(dump_json(value)));
    if (*it != value) {
      return fmt::format("{} was {}, now {}", quote(name), quote(dump_json(*it)), quote(dump_json(value)));
    }
  }
  for (const auto& [name, value] : old.items()) {
    if (!now.contains(name)) return fmt::format("{} was {}, now not set", quote(name), quote(dump_json(value)));
  }
  return "the order of members differs";
}

}  // namespace

RowWriter::RowWriter(std::string path, std::string schema, const OrderedJson& identity, bool overwrite)
    : path_(std::move(path)), schema_(std::move(schema)) {
  if (path_ == "-") {
    fd_ = STDOUT_FILENO;
    return;
  }
  struct stat status;
  const bool exists = stat(path_.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) fail(ErrorKind::kIo, "{}: is a folder; expected a file to write", path_);
  if (exists && !S_ISREG(status.st_mode)) {
    fd_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd_ < 0) fail(ErrorKind::kIo, "{}: cannot open for writing: {}", path_, std::strerror(errno));
    owns_fd_ = true;
    return;
  }
  open_regular(identity, overwrite);
}

RowWriter::~RowWriter() {
  if (owns_fd_) close(fd_);
}

void RowWriter::open_regular(const OrderedJson& identity, bool overwrite) {
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  std::error_code ignored;  // open() says what is wrong
  if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
  fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(ErrorKind::kIo, "{}: cannot open for writing: {}", path_, std::strerror(errno));
  owns_fd_ = true;
  try {
    if (flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      fail(ErrorKind::kUsage, "{}: another process is writing it; wait for it or choose another path", path_);
    }
    uint64_t kept = 0;
    if (!overwrite && lseek(fd_, 0, SEEK_END) > 0) {
      check_identity(identity);
      kept = keep_whole_rows();
    }
    if (ftruncate(fd_, static_cast<off_t>(kept)) != 0 || lseek(fd_, static_cast<off_t>(kept), SEEK_SET) < 0) {
      fail(ErrorKind::kIo, "{}: cannot shorten: {}", path_, std::strerror(errno));
    }
    const OrderedJson record = {{"schema", kRunSchema}, {"rows", schema_}, {"identity", identity}};
    write_file_atomic(run_path(path_), dump_json(record) + "\n");
  } catch (...) {
    close(fd_);  // a constructor that throws runs no destructor
    throw;
  }
}

void RowWriter::check_identity(const OrderedJson& identity) const {
  const std::string record_path = run_path(path_);
  if (!std::filesystem::exists(record_path)) {
    fail(ErrorKind::kUsage, "{}: exists and was not written by a run ({} is missing); use --overwrite or another path",
         path_, record_path);
  }
  const OrderedJson record = parse_ordered_json(read_file(record_path), record_path);
  const bool whole =
      record.is_object() && record.contains("rows") && record.contains("identity") && record["identity"].is_object();
  if (!whole) {
    fail(ErrorKind::kData, "{}: expected a run record with \"rows\" and \"identity\"; use --overwrite or another path",
         record_path);
  }
  if (record["rows"] != schema_) {
    fail(ErrorKind::kUsage, "{}: holds rows of {}, expected {}; use --overwrite or another path", path_,
         quote(dump_json(record["rows"])), quote(schema_));
  }
  if (record["identity"] != identity) {
    fail(ErrorKind::kUsage, "{}: holds rows of another run: {}; use --overwrite or another path", path_,
         difference(record["identity"], identity));
  }
}

// The length of the part that is whole lines; their ids are noted.
uint64_t RowWriter::keep_whole_rows() {
  std::ifstream in(path_, std::ios::binary);
  uint64_t kept = 0;
  std::string line;
  while (std::getline(in, line) && !in.eof()) {
    const std::string where = fmt::format("{}:{}", path_, rows_done_ + 1);
    const OrderedJson row = parse_ordered_json(line, where);
    if (!row.is_object()) fail(ErrorKind::kData, "{}: expected a row, got {}", where, quote(line));
    const auto id = row.find("id");
    if (id != row.end() && id->is_string()) ids_done_.insert(id->get<std::string>(), rows_done_ + 1);
    ++rows_done_;
    kept += line.size() + 1;
  }
  if (in.bad()) fail(ErrorKind::kIo, "{}: cannot read: {}", path_, std::strerror(errno));
  return kept;
}

void RowWriter::write(const OrderedJson& row) {
  MERIT_CHECK(row.is_object());
  OrderedJson full = {{"schema", schema_}};
  for (const auto& [name, value] : row.items()) full[name] = value;
  const std::string line = dump_json(full) + "\n";
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t count = ::write(fd_, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      fail(ErrorKind::kIo, "{}: cannot write: {}", path_ == "-" ? "standard output" : path_, std::strerror(errno));
    }
    rest.remove_prefix(static_cast<size_t>(count));
  }
}

}  // namespace merit::data
