// Stop signals. The first SIGINT or SIGTERM asks long work to finish its step and keep what it has; a second one
// ends the program at once.
#pragma once

namespace merit {

void install_interrupt_handler();
bool interrupted();
// Error(kInterrupted) after a stop signal: what long work calls between steps whose loss the same command makes good.
void stop_if_interrupted();
// Sets or clears the flag, for tests.
void set_interrupted(bool value);

}  // namespace merit
