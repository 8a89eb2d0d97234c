#pragma once

namespace folio::examples {

/// From now on the first Ctrl-C (or SIGTERM) is only noted; a second one ends the program at once.
void note_interrupts();
/// The signal that came, or 0. A program that it ends returns 128 + signal.
int interrupt();

}  // namespace folio::examples
