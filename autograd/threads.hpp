#pragma once

namespace folio {

/// How many threads CPU kernels use: at least 1, at most the larger of 64 and 4 per processor. Results are the same bits
/// for any number.
void set_num_threads(int threads);
int num_threads();

}  // namespace folio
