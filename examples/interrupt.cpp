#include "examples/interrupt.hpp"

#include <array>
#include <csignal>
#include <initializer_list>

namespace folio::examples {
namespace {

volatile std::sig_atomic_t noted = 0;

}  // namespace

void note_interrupts() {
  // The handler needs a stack of its own: oneDNN's generated code lets the stack pointer point elsewhere for a while, and a
  // handler that the system puts there overwrites data.
  static std::array<char, 1 << 16> stack;
  const stack_t own = {.ss_sp = stack.data(), .ss_flags = 0, .ss_size = stack.size()};
  sigaltstack(&own, nullptr);
  struct sigaction action {};
  action.sa_handler = [](int signal) { noted = signal; };
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND | SA_ONSTACK);
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

int interrupt() { return noted; }

}  // namespace folio::examples
