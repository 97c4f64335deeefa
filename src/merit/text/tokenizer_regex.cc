#define PCRE2_CODE_UNIT_WIDTH 8
#include "merit/text/tokenizer_regex.h"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "merit/core/error.h"
#include "merit/text/tokenizer_regex_syntax.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

constexpr size_t kMaxPattern = 64 << 10;
constexpr uint32_t kMatchLimit = 4'000'000;
constexpr uint32_t kHeapLimit = 64 << 10;     // KiB
constexpr size_t kWindow = 256;               // bytes
constexpr std::chrono::seconds kMostTime{5};  // for one word, and a second for each megabyte

struct Deleter {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};

std::unique_ptr<pcre2_match_context, Deleter> make_context() {
  std::unique_ptr<pcre2_match_context, Deleter> context(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimit);
  return context;
}

pcre2_code* compile(const std::string& pattern, uint32_t options, const std::string& shown, const std::string& where) {
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &code, &offset, nullptr);
  if (!compiled) {
    std::array<PCRE2_UCHAR, 256> message{};
    pcre2_get_error_message(code, message.data(), message.size());
    fail(ErrorKind::kData, "{}: pattern {} does not compile: {}", where, quote(shown),
         reinterpret_cast<const char*>(message.data()));
  }
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // without it matching is only slower
  return compiled;
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Deleter> code;
  std::string shown;
  std::string where;
};

Regex::Regex(const std::string& pattern, const std::string& where) {
  if (pattern.size() > kMaxPattern)
    fail(ErrorKind::kLimit, "{}: a pattern of {} bytes is over 64 KB", where, pattern.size());
  if (!is_valid_utf8(pattern)) fail(ErrorKind::kData, "{}: pattern {} is not UTF-8", where, quote(pattern));
  auto code = std::make_shared<Code>();
  // In Ruby's syntax ^ and $ match at every line, and (?m) lets the dot match line ends.
  code->code.reset(compile(to_pcre2(pattern, where),
                           PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE |
                               PCRE2_USE_OFFSET_LIMIT,
                           pattern, where));
  code->shown = pattern;
  code->where = where;
  code_ = std::move(code);
}

Regex Regex::literal(const std::string& text, const std::string& where) {
  if (text.size() > kMaxPattern) fail(ErrorKind::kLimit, "{}: a pattern of {} bytes is over 64 KB", where, text.size());
  auto code = std::make_shared<Code>();
  code->code.reset(compile(text, PCRE2_UTF | PCRE2_LITERAL | PCRE2_USE_OFFSET_LIMIT, text, where));
  code->shown = text;
  code->where = where;
  Regex regex;
  regex.code_ = std::move(code);
  return regex;
}

void Regex::find_all(std::string_view text, size_t begin, size_t end, std::vector<Span>& matches) const {
  // One per thread: making them costs more than most searches.
  thread_local const std::unique_ptr<pcre2_match_data, Deleter> data(pcre2_match_data_create(1, nullptr));
  thread_local const std::unique_ptr<pcre2_match_context, Deleter> context = make_context();
  const std::string_view part = text.substr(begin, end - begin);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(part.data());
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data.get());
  std::optional<std::chrono::steady_clock::time_point> deadline;
  size_t from = 0;
  size_t last_end = PCRE2_UNSET;
  while (from <= part.size()) {
    // A match may begin within kWindow bytes; then the clock is looked at. PCRE2's own limit does not count steps
    // within a simple repeat, so \s+$ on a long run of spaces would take quadratic time.
    const size_t limit = from + kWindow;
    pcre2_set_offset_limit(context.get(), limit);
    const int rc =
        pcre2_match(code_->code.get(), subject, part.size(), from, PCRE2_NO_UTF_CHECK, data.get(), context.get());
    if (rc == PCRE2_ERROR_NOMATCH && limit >= part.size()) return;
    if (rc == PCRE2_ERROR_NOMATCH) {
      const auto now = std::chrono::steady_clock::now();
      if (!deadline) deadline = now + kMostTime + std::chrono::microseconds(part.size());
      if (now > *deadline) too_long();
      from = limit + 1;
      while (from < part.size() && (static_cast<unsigned char>(part[from]) & 0xc0) == 0x80) ++from;
      continue;
    }
    if (rc < 0) too_long();
    const size_t b = offsets[0], e = offsets[1];
    if (b == e && e == last_end) {
      from = from < part.size() ? from + code_point_at(part, from).length : from + 1;
      continue;
    }
    matches.push_back({static_cast<uint32_t>(begin + b), static_cast<uint32_t>(begin + e)});
    from = last_end = e;
  }
}

void Regex::too_long() const {
  fail(ErrorKind::kLimit, "{}: pattern {} takes too many steps on this text", code_->where, quote(code_->shown));
}

}  // namespace merit::text
