# The kernels of the ops, for both builds.
set(folio_cuda_sources arithmetic backend causal_attention choose_experts clock cross_entropy expert_matmul expert_rows functions gemm indexing
  masks matmul memory rms_norm rope route select softmax sum swiglu transfer update)
