#include <fmt/format.h>

#include <cstring>

#include "merit/core/error.h"
#include "merit/core/strings.h"
#include "merit/data/byte_source.h"
#include "merit/data/reader.h"

namespace merit::data {
namespace {

constexpr std::string_view kBom = "\xef\xbb\xbf";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

struct RowReader::Impl {
  Impl(const std::string& path, uint64_t max_row_bytes) : source(path), max_bytes(max_row_bytes) {}

  void start();
  std::optional<Result<Row>> next_line();
  std::optional<Result<Row>> next_item();

  void skip_space();
  void add(std::string_view bytes);
  void scan_item();
  void scan_string();
  void end_array();
  Result<Row> parse_row();
  std::string here() const { return fmt::format("{}:{}", source.name(), line); }

  enum class Form { kUnknown, kLines, kArray };

  ByteSource source;
  uint64_t max_bytes;
  Form form = Form::kUnknown;
  uint64_t line = 1;    // of the next byte
  uint64_t number = 0;  // rows so far
  bool ended = false;

  // The row being read.
  std::string text;
  std::string where;
  bool too_long = false;
};

void RowReader::Impl::start() {
  const std::string_view head = source.ahead(3);
  if (head.starts_with("\xff\xfe") || head.starts_with("\xfe\xff")) {
    fail(ErrorKind::kData, "{}: the file is UTF-16; expected UTF-8: convert it first", source.name());
  }
  if (head.starts_with(kBom)) source.consume(kBom.size());
  skip_space();
  const std::string_view ahead = source.ahead();
  if (!ahead.empty() && ahead[0] == '[') {
    form = Form::kArray;
    source.consume(1);
  } else {
    form = Form::kLines;
  }
}

void RowReader::Impl::skip_space() {
  for (std::string_view ahead; !(ahead = source.ahead()).empty();) {
    size_t i = 0;
    while (i < ahead.size() && is_space(ahead[i])) line += ahead[i++] == '\n';
    source.consume(i);
    if (i < ahead.size()) return;
  }
}

// Keeps the bytes of the row up to the limit; of a longer row only the fact.
void RowReader::Impl::add(std::string_view bytes) {
  if (text.size() + bytes.size() > max_bytes) {
    too_long = true;
    text.clear();
  }
  if (!too_long) text += bytes;
}

Result<Row> RowReader::Impl::parse_row() {
  ++number;
  try {
    if (too_long) {
      fail(ErrorKind::kLimit, "{}: the row is longer than {} bytes; raise the limit or split it", where, max_bytes);
    }
    if (text.starts_with(kBom)) {
      fail(ErrorKind::kData, "{}: a UTF-8 byte order mark inside the file; expected it at the start only", where);
    }
    OrderedJson value = parse_ordered_json(text, where);
    if (!value.is_object()) {
      fail(ErrorKind::kData, "{}: expected a JSON object, got {}", where, quote(dump_json(value)));
    }
    return Row{std::move(value), where, number};
  } catch (const Error& e) {
    return e;
  }
}

std::optional<Result<Row>> RowReader::Impl::next_line() {
  for (;;) {
    text.clear();
    too_long = false;
    where = here();
    std::string_view ahead = source.ahead();
    if (ahead.empty()) return std::nullopt;
    for (bool whole = false; !whole && !ahead.empty(); ahead = source.ahead()) {
      const void* end = std::memchr(ahead.data(), '\n', ahead.size());
      whole = end != nullptr;
      const size_t length = whole ? static_cast<size_t>(static_cast<const char*>(end) - ahead.data()) : ahead.size();
      add(ahead.substr(0, length));
      source.consume(length + whole);
      line += whole;
      if (whole) break;
    }
    if (!too_long && trim(text).empty()) continue;
    return parse_row();
  }
}

// The string that starts at the next byte, with both quotes.
void RowReader::Impl::scan_string() {
  bool escaped = true;  // the first quote does not end it
  for (std::string_view ahead; !(ahead = source.ahead()).empty();) {
    size_t i = 0;
    bool closed = false;
    while (i < ahead.size() && !closed) {
      const char c = ahead[i++];
      if (escaped) {
        escaped = false;
      } else if (c == '\\') {
        escaped = true;
      } else {
        closed = c == '"';
      }
      line += c == '\n';
    }
    add(ahead.substr(0, i));
    source.consume(i);
    if (closed) return;
  }
  fail(ErrorKind::kData, "{}: the file ends inside this row", where);
}

// One item of the array: found by its brackets and strings, judged by the parser later.
void RowReader::Impl::scan_item() {
  uint64_t depth = 0;
  for (std::string_view ahead; !(ahead = source.ahead()).empty();) {
    const char c = ahead[0];
    if (c == '"') {
      scan_string();
    } else {
      const bool ends = depth == 0 && (c == ',' || c == ']' || is_space(c));
      if (ends) return;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && depth > 0) --depth;
      line += c == '\n';
      add(ahead.substr(0, 1));
      source.consume(1);
      if (depth == 0 && (c == '}' || c == ']')) return;
    }
  }
  fail(ErrorKind::kData, "{}: the file ends inside this row", where);
}

void RowReader::Impl::end_array() {
  ended = true;
  source.consume(1);
  skip_space();
  if (!source.ahead().empty()) fail(ErrorKind::kData, "{}: expected the end of the file after the array", here());
}

std::optional<Result<Row>> RowReader::Impl::next_item() {
  if (ended) return std::nullopt;
  skip_space();
  std::string_view ahead = source.ahead();
  if (number == 0 && ahead.starts_with(']')) {
    end_array();
    return std::nullopt;
  }
  text.clear();
  too_long = false;
  where = here();
  scan_item();
  if (text.empty() && !too_long) fail(ErrorKind::kData, "{}: expected a row of the array", where);
  Result<Row> row = parse_row();
  skip_space();
  ahead = source.ahead();
  if (ahead.starts_with(',')) {
    source.consume(1);
  } else if (ahead.starts_with(']')) {
    end_array();
  } else {
    fail(ErrorKind::kData, "{}: expected \",\" or \"]\" after a row of the array, got {}", here(),
         ahead.empty() ? "the end of the file" : quote(ahead.substr(0, 10)));
  }
  return row;
}

RowReader::RowReader(const std::string& path, uint64_t max_row_bytes)
    : impl_(std::make_unique<Impl>(path, max_row_bytes)) {}
RowReader::~RowReader() = default;

std::optional<Result<Row>> RowReader::next() {
  if (impl_->form == Impl::Form::kUnknown) impl_->start();
  return impl_->form == Impl::Form::kArray ? impl_->next_item() : impl_->next_line();
}

std::string RowReader::content_hash() const { return impl_->source.content_hash(); }
const std::string& RowReader::name() const { return impl_->source.name(); }

}  // namespace merit::data
