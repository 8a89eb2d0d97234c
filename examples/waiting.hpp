#pragma once

namespace folio::examples {

/// Bounds how long OpenMP's threads spin before they sleep, unless OMP_WAIT_POLICY or GOMP_SPINCOUNT says how. libgomp
/// reads its settings before main and its own bound is milliseconds, which on a machine that is busy with something else
/// are spent on every kernel: so the program starts itself anew, with the bound set.
void bound_waiting(char** argv);

}  // namespace folio::examples
