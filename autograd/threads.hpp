#pragma once

namespace folio {

/// How many threads CPU kernels that the calling thread runs use: at least 1, at most the larger of 64 and 4 per
/// processor. Other threads keep their own number, at first OMP_NUM_THREADS or one per processor. Results are the same bits
/// for any number. Between kernels OpenMP's threads spin, which on a machine that is busy with something else can cost ten
/// times the work itself: start a program there with OMP_WAIT_POLICY=passive, or with GOMP_SPINCOUNT=1000 as train and
/// generate do for themselves.
void set_num_threads(int threads);
int num_threads();

}  // namespace folio
