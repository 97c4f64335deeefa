// merit's errors. One type with a kind; the message is one line: where, expected, got, what to do.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace merit {

enum class ErrorKind {
  kUsage,        // the command line or an option is wrong
  kData,         // a file's or record's content is wrong
  kIo,           // the operating system refused a file
  kNumeric,      // a number that must be finite or in range is not
  kUnsupported,  // well-formed, but merit does not do it
  kLimit,        // a bound on size, depth, time or work was reached
  kInterrupted,  // a stop signal came
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// Throws an Error with a formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

// The text as it may stand in a message: in double quotes, control bytes, quotes and broken UTF-8 escaped, cut
// after `max` bytes with "..." behind.
std::string quote(std::string_view text, size_t max = 60);

namespace internal {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

}  // namespace merit

// For faults of our own only, never for input: says so and stops the program's work with a std::logic_error.
#define MERIT_CHECK(condition) ((condition) ? (void)0 : ::merit::internal::check_failed(#condition, __FILE__, __LINE__))
