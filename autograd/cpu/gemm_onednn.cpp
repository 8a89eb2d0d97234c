// oneDNN's matmul primitive. Its kernels for fixed shapes are the fastest, but each costs milliseconds to make, so that
// shapes which change from step to step (an expert's rows) go to one primitive that takes its shape when it runs.
#include "autograd/cpu/gemm_onednn.hpp"

#include <omp.h>

#include <algorithm>
#include <array>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "autograd/shape.hpp"

namespace folio::cpu {

const bool has_onednn = true;

namespace {

using Type = dnnl::memory::data_type;

Type type_of(DType dtype) {
  switch (dtype) {
    case DType::bfloat16: return Type::bf16;
    case DType::float16: return Type::f16;
    default: return Type::f32;
  }
}

constexpr std::int64_t at_run_time = DNNL_RUNTIME_DIM_VAL;
constexpr std::size_t most_primitives = 512;  // per thread

/// oneDNN plans for the threads that OpenMP would give it, and with more than one it gives other bits.
class OneThread {
 public:
  OneThread() { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = omp_get_max_threads();
};

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

/// Extents and strides of a product: all that a primitive depends on.
using Key = std::array<std::int64_t, 9>;
struct HashKey {
  std::size_t operator()(const Key& key) const {
    std::uint64_t hash = 0;
    for (std::int64_t value : key) hash = (hash ^ static_cast<std::uint64_t>(value)) * 0x9e3779b97f4a7c15U;
    return hash ^ (hash >> 32);
  }
};

/// Of the operands and of the result.
struct Types {
  Type in, out;
};

struct Layouts {
  dnnl::memory::desc a, b, c;
};

Layouts layouts_of(const Key& key, Types types) {
  const auto [m, n, k, a_row, a_column, b_row, b_column, c_row, accumulate] = key;
  return {{{m, k}, types.in, dnnl::memory::dims{a_row, a_column}},
          {{k, n}, types.in, dnnl::memory::dims{b_row, b_column}},
          {{m, n}, types.out, dnnl::memory::dims{c_row, 1}}};
}

struct Primitive {
  dnnl::matmul run;
  std::size_t scratch_bytes;
  std::unordered_map<int, dnnl::memory> arguments;  ///< empty if the shape comes at run time
};

std::unordered_map<int, dnnl::memory> arguments_of(const Layouts& layouts, std::size_t scratch_bytes) {
  std::unordered_map<int, dnnl::memory> all = {{DNNL_ARG_SRC, {layouts.a, engine(), nullptr}},
                                               {DNNL_ARG_WEIGHTS, {layouts.b, engine(), nullptr}},
                                               {DNNL_ARG_DST, {layouts.c, engine(), nullptr}}};
  if (scratch_bytes > 0) {
    const dnnl::memory::desc bytes({static_cast<std::int64_t>(scratch_bytes)}, dnnl::memory::data_type::u8,
                                   dnnl::memory::format_tag::a);
    all.insert({DNNL_ARG_SCRATCHPAD, {bytes, engine(), nullptr}});
  }
  return all;
}

dnnl::matmul::primitive_desc describe(const Layouts& layouts, const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR < 3
  return {{layouts.a, layouts.b, layouts.c}, attributes, engine()};
#else
  return {engine(), layouts.a, layouts.b, layouts.c, attributes};
#endif
}

Primitive make_primitive(const Key& key, Types types) {
  const Layouts layouts = layouts_of(key, types);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (key.back() != 0) {
    dnnl::post_ops sum;
    sum.append_sum(1);
    attributes.set_post_ops(sum);
  }
  const dnnl::matmul::primitive_desc description = describe(layouts, attributes);
  const std::size_t bytes = description.scratchpad_desc().get_size();
  const bool fixed = key.front() != at_run_time;
  return {dnnl::matmul(description), bytes,
          fixed ? arguments_of(layouts, bytes) : std::unordered_map<int, dnnl::memory>()};
}

/// Whether the library has a kernel of its own for a dtype; others go through float32 inside it, slower than here.
bool has_kernel(Type type) {
  constexpr std::int64_t n = 64;
  try {
    const Layouts layouts = layouts_of({n, n, n, n, 1, n, 1, n, 0}, {type, type});
    return std::string(describe(layouts, {}).impl_info_str()).starts_with("brg");
  } catch (const dnnl::error&) {
    return false;
  }
}

/// Worth a primitive of its own: rows or inner extents that follow from the data are seldom whole blocks.
template <class T, class Out>
bool is_regular(const Product<T, Out>& p) {
  constexpr std::int64_t block = 64;
  return p.m % block == 0 && p.k % block == 0;
}

/// What one thread keeps from call to call.
struct Workshop {
  Types types;
  std::unordered_map<Key, Primitive, HashKey> primitives{};
  std::vector<std::byte> scratch{};
  dnnl::stream stream{engine()};

  Primitive& primitive(const Key& key) {
    const auto found = primitives.find(key);
    if (found != primitives.end()) return found->second;
    if (primitives.size() >= most_primitives) primitives.clear();
    return primitives.emplace(key, make_primitive(key, types)).first->second;
  }
};

template <class T, class Out>
void run(const Product<T, Out>& p) {
  static thread_local Workshop workshop{{type_of(dtype_of<T>()), type_of(dtype_of<Out>())}};
  const OneThread alone;
  const Key shape = {
      p.m,         p.n, p.k, p.a.row_stride, p.a.column_stride, p.b.row_stride, p.b.column_stride, p.c.row_stride,
      p.accumulate};
  Key key = shape;
  if (!is_regular(p)) {
    const auto stride = [](std::int64_t given) { return given == 1 ? given : at_run_time; };
    key = {at_run_time,
           at_run_time,
           at_run_time,
           stride(p.a.row_stride),
           stride(p.a.column_stride),
           stride(p.b.row_stride),
           stride(p.b.column_stride),
           at_run_time,
           p.accumulate};
  }
  Primitive& primitive = workshop.primitive(key);
  std::unordered_map<int, dnnl::memory> given;
  auto& arguments = primitive.arguments.empty() ? given : primitive.arguments;
  if (arguments.empty()) arguments = arguments_of(layouts_of(shape, workshop.types), primitive.scratch_bytes);
  if (workshop.scratch.size() < primitive.scratch_bytes) workshop.scratch.resize(primitive.scratch_bytes);
  const auto point = [&](int argument, const void* data) {
    arguments.at(argument).set_data_handle(const_cast<void*>(data), workshop.stream);
  };
  point(DNNL_ARG_SRC, p.a.data);
  point(DNNL_ARG_WEIGHTS, p.b.data);
  point(DNNL_ARG_DST, p.c.data);
  if (primitive.scratch_bytes > 0) point(DNNL_ARG_SCRATCHPAD, workshop.scratch.data());
  primitive.run.execute(workshop.stream, arguments);
  workshop.stream.wait();
}

template <class T, class Out>
std::string refusal(const Product<T, Out>& p, const dnnl::error& e) {
  const auto strides = [](const Matrix<const T>& x) { return to_string(Dims{x.row_stride, x.column_stride}); };
  return std::string("matrix product: oneDNN refused ") + name_of(dtype_of<T>()) + " " + to_string(Dims{p.m, p.k}) +
         "·" + to_string(Dims{p.k, p.n}) + " with strides " + strides(p.a) + " and " + strides(p.b) + ": " + e.what() +
         "; the provider eigen takes it (FOLIO_GEMM=eigen)";
}

}  // namespace

bool onednn_multiplies(DType dtype) {
  static const bool bfloat16s = has_kernel(Type::bf16), float16s = has_kernel(Type::f16);
  return dtype == DType::float32 || (dtype == DType::bfloat16 && bfloat16s) || (dtype == DType::float16 && float16s);
}

template <class T, class Out>
void multiply_onednn(const Product<T, Out>& p) {
  try {
    run(p);
  } catch (const dnnl::error& e) {
    throw Error(refusal(p, e));
  }
}

template void multiply_onednn(const Product<float>&);
template void multiply_onednn(const Product<bfloat16>&);
template void multiply_onednn(const Product<bfloat16, float>&);
template void multiply_onednn(const Product<float16>&);
template void multiply_onednn(const Product<float16, float>&);

}  // namespace folio::cpu
