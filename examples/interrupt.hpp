#pragma once

namespace folio::examples {

/// From now on the first Ctrl-C is only noted, and so is the first SIGTERM, SIGHUP (the terminal is gone) or SIGPIPE
/// (nobody reads on); but for SIGPIPE, a second one ends the program at once. Where SIGHUP is ignored (nohup) it stays so.
void note_interrupts();
/// The signal that came, or 0. A program that it ends returns 128 + signal.
int interrupt();

}  // namespace folio::examples
