// Ops that compute element by element, at the residual stream's size, and reductions at the size where a step has them.
#include "autograd/backend.hpp"
#include "tests/bench/work.hpp"

namespace folio::bench {
namespace {

using Works = std::vector<Work>;

Works one(const Shape& shape, Function f) {
  return {{"", [=](Source& draw) -> Tensors { return {draw.positive(shape)}; }, std::move(f)}};
}

Works two(const Sizes& s, Function f) {
  const Shape shape = s.stream();
  return {{"", [=](Source& draw) -> Tensors { return {draw.positive(shape), draw.positive(shape)}; }, std::move(f)}};
}

/// x ↦ op(x), at the residual stream's size.
template <Tensor (*op)(const Tensor&)>
Works map(const Sizes& s) {
  return one(s.stream(), [](const Tensors& t) -> Tensors { return {op(t[0])}; });
}

/// (x, y) ↦ op(x, y), at the residual stream's size.
template <Tensor (*op)(const Tensor&, const Tensor&)>
Works zip(const Sizes& s) {
  return two(s, [](const Tensors& t) -> Tensors { return {op(t[0], t[1])}; });
}

}  // namespace

Works work_of_add(const Sizes& s) { return zip<add>(s); }
Works work_of_subtract(const Sizes& s) { return zip<subtract>(s); }
Works work_of_multiply(const Sizes& s) { return zip<multiply>(s); }
Works work_of_divide(const Sizes& s) { return zip<divide>(s); }
Works work_of_negate(const Sizes& s) { return map<negate>(s); }
Works work_of_exp(const Sizes& s) { return map<exp>(s); }
Works work_of_log(const Sizes& s) { return map<log>(s); }
Works work_of_sqrt(const Sizes& s) { return map<sqrt>(s); }
Works work_of_rsqrt(const Sizes& s) { return map<rsqrt>(s); }
Works work_of_tanh(const Sizes& s) { return map<tanh>(s); }
Works work_of_sigmoid(const Sizes& s) { return map<sigmoid>(s); }
Works work_of_relu(const Sizes& s) { return map<relu>(s); }
Works work_of_gelu(const Sizes& s) { return map<gelu>(s); }
Works work_of_silu(const Sizes& s) { return map<silu>(s); }
Works work_of_softplus(const Sizes& s) { return map<softplus>(s); }

Works work_of_scale(const Sizes& s) {
  return one(s.stream(), [](const Tensors& t) -> Tensors { return {scale(t[0], 0.5)}; });
}
Works work_of_power(const Sizes& s) {
  return one(s.stream(), [](const Tensors& t) -> Tensors { return {power(t[0], 1.5)}; });
}
Works work_of_clamp(const Sizes& s) {
  return one(s.stream(), [](const Tensors& t) -> Tensors { return {clamp(t[0], 1, 1.5)}; });
}
Works work_of_cast(const Sizes& s) {
  return one(s.stream(), [](const Tensors& t) -> Tensors {
    return {cast(t[0], t[0].dtype() == DType::float32 ? DType::float64 : DType::float32)};
  });
}

Works work_of_where(const Sizes& s) {
  const Shape shape = s.stream();
  return {{"",
           [=](Source& draw) -> Tensors {
             return {draw.indices(shape, 2), draw.normal(shape), draw.normal(shape)};
           },
           [](const Tensors& t) -> Tensors { return {where(t[0], t[1], t[2])}; }}};
}

Works work_of_dropout(const Sizes& s) {
  return one(s.stream(), [](const Tensors& t) -> Tensors { return {dropout(t[0], 0.1, RandomStream{1, 2})}; });
}

/// To the host; from there, to a stand-in for a device, whose memory is the host's.
Works work_of_to_device(const Sizes& s) {
  return one(s.stream(), [](const Tensors& t) -> Tensors {
    if (t[0].device() != Device::cpu) return {to_device(t[0], Device::cpu)};
    enable_backend(Device::cuda_emulated, backend(Device::cpu));
    return {to_device(t[0], Device::cuda_emulated)};
  });
}

Works work_of_sum(const Sizes& s) {
  return one(s.stream(), [](const Tensors& t) -> Tensors { return {sum(t[0], {-1})}; });
}
Works work_of_mean(const Sizes& s) {
  return one(s.stream(), [](const Tensors& t) -> Tensors { return {mean(t[0], {1})}; });
}
Works work_of_max(const Sizes& s) {
  return one(s.logits(), [](const Tensors& t) -> Tensors { return {max(t[0], -1).first}; });
}
Works work_of_min(const Sizes& s) {
  return one(s.logits(), [](const Tensors& t) -> Tensors { return {min(t[0], -1).first}; });
}
Works work_of_top_k(const Sizes& s) {
  return one({s.tokens(), s.model.num_routed_experts},
             [k = s.model.num_active_experts](const Tensors& t) -> Tensors { return {top_k(t[0], k).first}; });
}

}  // namespace folio::bench
