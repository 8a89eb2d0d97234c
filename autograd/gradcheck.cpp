#include "autograd/gradcheck.hpp"

#include <algorithm>
#include <cmath>
#include <ostream>
#include <sstream>

#include "autograd/random.hpp"
#include "autograd/tape.hpp"

namespace folio {
namespace {

using Values = std::vector<double>;

std::vector<Values> values_of(const Tensors& tensors) {
  std::vector<Values> all;
  for (const Tensor& x : tensors) all.push_back(is_float(x.dtype()) ? x.to_vector() : Values{});
  return all;
}

double dot(const std::vector<Values>& a, const std::vector<Values>& b) {
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[i].size(); ++j) total += a[i][j] * b[i][j];
  }
  return total;
}

/// The function at one point: outputs and the discrete choices behind them.
struct Evaluation {
  std::vector<Values> outputs;
  std::vector<Values> choices;
};

struct Comparison {
  double analytic = 0;
  double numeric = 0;
  bool discarded = false;
  bool agrees = false;
};

class Checker {
 public:
  Checker(const std::function<Tensors()>& f, const Tensors& leaves, const GradcheckOptions& options)
      : f_(f), leaves_(leaves), options_(options), generator_(options.seed), origin_(values_of(leaves)) {}

  GradcheckReport run() {
    GradcheckReport report;
    analyse();
    report.passed = true;
    for (int attempt = 0; attempt < 10 * options_.directions && report.checked < options_.directions; ++attempt) {
      count(compare(random_direction()), report, "along a random direction");
    }
    if (report.checked == 0 && !origin_.empty()) {
      report.passed = false;
      report.message = "every direction crossed a discrete choice; nothing could be checked";
    }
    if (options_.every_element || !report.passed) each_element(report);
    place(origin_, {}, 0);
    return report;
  }

 private:
  void analyse() {
    for (Tensor& leaf : leaves_) leaf.zero_grad();
    Tape tape;
    Tensors outputs = f_();
    if (!tape.entries().empty()) last_op_ = tape.entries().back().op.text;
    Tensors roots, cotangents;
    for (const Tensor& y : outputs) {
      const auto stream = generator_.next_stream();
      Values v(is_float(y.dtype()) ? static_cast<std::size_t>(y.numel()) : 0);
      for (std::size_t i = 0; i < v.size(); ++i) v[i] = stream.normal(static_cast<std::int64_t>(i));
      if (is_float(y.dtype()) && y.requires_grad()) {
        roots.push_back(y);
        cotangents.push_back(from_vector(v, y.shape(), y.options()));
      }
      cotangents_.push_back(std::move(v));
    }
    at_origin_.outputs = values_of(outputs);
    at_origin_.choices = choices_of(tape);
    if (!roots.empty()) tape.backward(roots, cotangents);
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      const Tensor g = leaves_[i].grad();
      gradients_.push_back(g.defined() ? g.to_vector() : Values(origin_[i].size(), 0.0));
    }
  }

  static std::vector<Values> choices_of(const Tape& tape) {
    std::vector<Values> all;
    for (const Tensor& choice : tape.discrete_choices()) all.push_back(choice.to_vector());
    return all;
  }

  void place(const std::vector<Values>& origin, const std::vector<Values>& direction, double distance) {
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      double* x = leaves_[i].mutable_data<double>();
      for (std::size_t j = 0; j < origin[i].size(); ++j) {
        x[j] = origin[i][j] + (direction.empty() ? 0.0 : distance * direction[i][j]);
      }
    }
  }

  Evaluation evaluate(const std::vector<Values>& direction, double distance) {
    place(origin_, direction, distance);
    const Tape tape;
    const Tensors outputs = f_();
    return {values_of(outputs), choices_of(tape)};
  }

  Comparison compare(const std::vector<Values>& direction) {
    const double h = options_.step;
    const Evaluation far[2] = {evaluate(direction, h), evaluate(direction, -h)};
    const Evaluation near[2] = {evaluate(direction, h / 2), evaluate(direction, -h / 2)};
    Comparison result;
    for (const Evaluation& e : {far[0], far[1], near[0], near[1]}) {
      result.discarded = result.discarded || e.choices != at_origin_.choices;
    }
    if (result.discarded) return result;
    double wide = 0, narrow = 0, scale = 0;
    for (std::size_t i = 0; i < cotangents_.size(); ++i) {
      for (std::size_t j = 0; j < cotangents_[i].size(); ++j) {
        const double v = cotangents_[i][j];
        const double d = (far[0].outputs[i][j] - far[1].outputs[i][j]) / (2 * h);
        wide += v * d;
        narrow += v * (near[0].outputs[i][j] - near[1].outputs[i][j]) / h;
        scale += std::abs(v) * (std::abs(d) + 1e-4 * std::abs(at_origin_.outputs[i][j]));
      }
    }
    result.analytic = dot(gradients_, direction);
    result.numeric = (4 * narrow - wide) / 3;
    const double allowed =
        options_.tolerance * std::max({std::abs(result.analytic), std::abs(result.numeric), scale});
    result.agrees = std::abs(result.analytic - result.numeric) <= allowed;
    return result;
  }

  std::vector<Values> random_direction() {
    std::vector<Values> u = origin_;
    for (Values& part : u) {
      const auto stream = generator_.next_stream();
      for (std::size_t j = 0; j < part.size(); ++j) part[j] = 2 * stream.uniform(static_cast<std::int64_t>(j)) - 1;
    }
    double largest = 0;
    for (const Values& part : u) {
      for (double x : part) largest = std::max(largest, std::abs(x));
    }
    for (Values& part : u) {
      for (double& x : part) x /= largest;
    }
    return u;
  }

  void count(const Comparison& c, GradcheckReport& report, const std::string& where) {
    if (c.discarded) {
      ++report.discarded;
      return;
    }
    ++report.checked;
    if (c.agrees) return;
    if (report.passed || report.message.find("element") == std::string::npos) {
      std::ostringstream text;
      text.precision(12);
      text << "last op " << last_op_ << ", " << where << ": analytic " << c.analytic << ", numeric " << c.numeric
           << ", step " << options_.step << ", tolerance " << options_.tolerance;
      report.message = text.str();
    }
    report.passed = false;
  }

  void each_element(GradcheckReport& report) {
    for (std::size_t i = 0; i < origin_.size(); ++i) {
      for (std::size_t j = 0; j < origin_[i].size(); ++j) {
        std::vector<Values> u = origin_;
        for (Values& part : u) std::fill(part.begin(), part.end(), 0.0);
        u[i][j] = 1;
        count(compare(u), report, "input " + std::to_string(i) + " element " + std::to_string(j));
      }
    }
  }

  const std::function<Tensors()>& f_;
  Tensors leaves_;
  GradcheckOptions options_;
  Generator generator_;
  std::vector<Values> origin_, gradients_, cotangents_;
  Evaluation at_origin_;
  std::string last_op_ = "(none recorded)";
};

}  // namespace

GradcheckReport gradcheck_leaves(const std::function<Tensors()>& f, const Tensors& leaves, const GradcheckOptions& options) {
  for (const Tensor& leaf : leaves) {
    require(leaf.dtype() == DType::float64 && leaf.is_contiguous() && leaf.requires_grad(), [&] {
      return "gradcheck: leaves must be packed float64 tensors that require a gradient, got " + describe(leaf);
    });
  }
  return Checker(f, leaves, options).run();
}

GradcheckReport gradcheck(const std::function<Tensors(const Tensors&)>& f, const Tensors& inputs,
                          const GradcheckOptions& options) {
  Tensors arguments, leaves;
  for (const Tensor& x : inputs) {
    arguments.push_back(x.defined() ? x.clone() : x);
    if (x.defined() && x.dtype() == DType::float64) leaves.push_back(arguments.back().requires_grad(true));
  }
  return gradcheck_leaves([&] { return f(arguments); }, leaves, options);
}

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report) {
  out << (report.passed ? "gradients agree" : "gradients differ: " + report.message) << " (" << report.checked
      << " checked, " << report.discarded << " discarded)";
  return out;
}

}  // namespace folio
