#include "merit/core/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string_view>

#include "merit/core/error.h"

namespace merit {
namespace {

std::atomic<bool> stop_requested{false};

extern "C" void on_stop_signal(int) {
  if (stop_requested.exchange(true)) _exit(130);
  constexpr std::string_view kMessage = "\nstopping: keeping what is finished; press Ctrl-C again to end at once\n";
  [[maybe_unused]] const auto ignored = write(STDERR_FILENO, kMessage.data(), kMessage.size());
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() { return stop_requested.load(std::memory_order_relaxed); }
void stop_if_interrupted() {
  if (interrupted()) fail(ErrorKind::kInterrupted, "interrupted: the same command goes on from what is finished");
}
void set_interrupted(bool value) { stop_requested = value; }

}  // namespace merit
