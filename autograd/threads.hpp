#pragma once

namespace folio {

/// How many threads CPU kernels use. Results are the same bits for any number.
void set_num_threads(int threads);
int num_threads();

}  // namespace folio
