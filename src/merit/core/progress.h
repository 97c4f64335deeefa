// One progress line on standard error: done, rate, time left. On a terminal it is redrawn in place; elsewhere a line
// is printed every 30 seconds. Nothing reaches standard output. Not thread-safe: one thread reports.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace merit {

class Progress {
 public:
  // total 0: unknown, no time left is shown.
  Progress(std::string label, uint64_t total, std::string unit = "items");
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add(uint64_t count);
  // Clears or ends the line, so that what is printed next starts on its own.
  void finish();

 private:
  void draw(bool last);

  std::string label_;
  std::string unit_;
  uint64_t total_;
  uint64_t done_ = 0;
  bool terminal_;
  bool finished_ = false;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_draw_;
};

}  // namespace merit
