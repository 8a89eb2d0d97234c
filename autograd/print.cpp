#include <algorithm>
#include <iomanip>
#include <ostream>
#include <sstream>

#include "autograd/tensor.hpp"

namespace folio {
namespace {

constexpr std::int64_t edge = 3;     // elements shown at either end of a shortened dimension
constexpr std::int64_t longest = 8;  // a dimension longer than this is shortened

std::string format(double value, bool is_integer) {
  std::ostringstream text;
  if (is_integer) {
    text << static_cast<std::int64_t>(value);
  } else {
    text << std::setprecision(5) << value;
  }
  return text.str();
}

void print(std::ostream& out, const Tensor& x, const std::vector<double>& values, int dim, std::int64_t begin,
           std::size_t width) {
  if (dim == x.rank()) {
    out << std::setw(static_cast<int>(width)) << format(values[static_cast<std::size_t>(begin)], !is_float(x.dtype()));
    return;
  }
  const std::int64_t extent = x.shape()[dim];
  const std::int64_t step = contiguous_strides(x.shape())[dim];
  const bool innermost = dim + 1 == x.rank();
  out << '[';
  for (std::int64_t i = 0; i < extent; ++i) {
    if (extent > longest && i == edge) {
      i = extent - edge;
      out << (innermost ? ", …" : ",\n" + std::string(static_cast<std::size_t>(dim) + 1, ' ') + "…");
    }
    if (i > 0) out << (innermost ? ", " : ",\n" + std::string(static_cast<std::size_t>(dim) + 1, ' '));
    print(out, x, values, dim + 1, begin + i * step, width);
  }
  out << ']';
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& x) {
  if (!x.defined()) return out << "Tensor(undefined)";
  const std::vector<double> values = x.to_vector();
  std::size_t width = 0;
  if (x.rank() > 1) {
    for (double v : values) width = std::max(width, format(v, !is_float(x.dtype())).size());
  }
  print(out, x, values, 0, 0, width);
  return out << "  " << describe(x);
}

}  // namespace folio
