#include "autograd/gradcheck.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <sstream>

#include "autograd/blame.hpp"
#include "autograd/gradcheck_detail.hpp"
#include "autograd/dependence.hpp"
#include "autograd/random.hpp"
#include "autograd/tape.hpp"

namespace folio {
namespace {

using namespace detail;

class Checker {
 public:
  Checker(const std::function<Tensors()>& f, const Tensors& leaves, const GradcheckOptions& options)
      : f_(f),
        leaves_(leaves),
        options_(options),
        generator_(options.seed),
        origin_(values_of(leaves)),
        restore_(leaves, origin_) {}

  GradcheckReport run() {
    report_.passed = true;
    report_.step = options_.step;
    require(!leaves_.empty(),
            [] { return std::string("gradcheck: no float64 input, so there is no gradient to check"); });
    analyse();
    for (int tries = 0; tries < 10 * options_.directions && report_.checked < options_.directions; ++tries) {
      const Parts direction = random_direction();
      Comparison c;
      if (compare(direction, c) && !c.agrees()) {
        report_.passed = false;
        if (options_.locate) localise(direction, c);
        return report_;
      }
    }
    if (report_.checked == 0 && options_.directions > 0) {
      report_.passed = false;
      report_.message =
          "each of " + std::to_string(report_.discarded) +
          " directions crossed a discrete choice (top-k, argmax, mask), so nothing could be checked: move "
          "the inputs away from ties or take a smaller step";
      return report_;
    }
    if (options_.elements) each_element();
    if (options_.jacobian && report_.passed) each_entry();
    if (report_.checked == 0 && report_.passed) {
      report_.passed = false;
      report_.message = "nothing was compared: ask for directions, elements or the Jacobian";
    }
    if (report_.passed && !vacuous_.empty()) {
      report_.passed = false;
      report_.checked = 0;  // sums over nothing
      report_.message = vacuous_;
    }
    return report_;
  }

 private:
  // ── The analytic side ──────────────────────────────────────────────────────────────────────────────────────────────
  void analyse() {
    {
      Tape tape;
      const Tensors outputs = f_();
      at_origin_ = {values_of(outputs), choices_of(tape)};
      for (const Entry& entry : tape.entries()) note_readers(entry);
      vacuous_ = nothing_to_differentiate(tape, leaves_, outputs);
      for (const Tensor& y : outputs) {
        output_options_.push_back(y.options());
        output_shapes_.push_back(y.shape());
        cotangents_.push_back(random_cotangent(y));
      }
    }
    const Evaluation again = evaluate({}, 0);
    const auto same_bits = [](const Parts& a, const Parts& b) {  // NaN equals NaN here
      return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Values& x, const Values& y) {
        return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                          [](double p, double q) { return p == q || (std::isnan(p) && std::isnan(q)); });
      });
    };
    require(same_bits(again.outputs, at_origin_.outputs), [] {
      return std::string(
          "gradcheck: f gave two results at one point; it must be deterministic (fix the random streams)");
    });
    gradients_ = gradients_for(cotangents_);
  }

  Values random_cotangent(const Tensor& y) {
    const auto stream = generator_.next_stream();
    Values v(is_float(y.dtype()) ? static_cast<std::size_t>(y.numel()) : 0);
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = on_grid(stream.normal(static_cast<std::int64_t>(i)));
    // As the output's dtype holds it.
    return v.empty() ? v : from_vector(v, y.shape(), {y.dtype()}).to_vector();
  }

  void run_backward(Tape& tape, const Tensors& outputs, const Parts& cotangents) const {
    Tensors roots, seeds;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (!is_float(outputs[i].dtype()) || !outputs[i].requires_grad()) continue;
      roots.push_back(outputs[i]);
      seeds.push_back(from_vector(cotangents[i], output_shapes_[i], output_options_[i]));
    }
    if (!roots.empty()) tape.backward(roots, seeds);
  }

  Parts gradients_for(const Parts& cotangents) {
    for (Tensor& leaf : leaves_) leaf.zero_grad();
    Tape tape;
    run_backward(tape, f_(), cotangents);
    Parts gradients;
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      const Tensor g = leaves_[i].grad();
      gradients.push_back(g.defined() ? g.to_vector() : Values(origin_[i].size(), 0.0));
    }
    return gradients;
  }

  // ── The numeric side ───────────────────────────────────────────────────────────────────────────────────────────────
  static Parts choices_of(const Tape& tape) {
    Parts all;
    for (const Tensor& choice : tape.discrete_choices()) all.push_back(choice.to_vector());
    return all;
  }

  void place(const Parts& direction, double distance) {
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      Values x = origin_[i];
      for (std::size_t j = 0; j < x.size() && !direction.empty(); ++j) x[j] += distance * direction[i][j];
      leaves_[i].copy_from(from_vector(x, leaves_[i].shape(), leaves_[i].options()));
    }
  }

  Evaluation evaluate(const Parts& direction, double distance) {
    place(direction, distance);
    const Tape tape;
    const Tensors outputs = f_();
    Evaluation e = {values_of(outputs), choices_of(tape)};
    bool same = outputs.size() == output_shapes_.size();
    for (std::size_t i = 0; same && i < outputs.size(); ++i) same = outputs[i].shape() == output_shapes_[i];
    require(same,
            [] { return std::string("gradcheck: the shapes of f's outputs changed with the values of its inputs"); });
    return e;
  }

  /// (f(x + h·u) − f(x − h·u))/2h for each output element; `crossed` is set where a discrete choice changes on the way.
  Parts central(const Parts& direction, double h, bool& crossed) {
    Evaluation plus = evaluate(direction, h);
    const Evaluation minus = evaluate(direction, -h);
    place({}, 0);
    crossed = crossed || plus.choices != at_origin_.choices || minus.choices != at_origin_.choices;
    for (std::size_t i = 0; i < plus.outputs.size(); ++i) {
      for (std::size_t j = 0; j < plus.outputs[i].size(); ++j) {
        plus.outputs[i][j] = (plus.outputs[i][j] - minus.outputs[i][j]) / (2 * h);
      }
    }
    return plus.outputs;
  }

  Derivative differentiate(const Parts& direction) {
    Derivative d;
    d.wide = central(direction, options_.step, d.discarded);
    d.extrapolated = central(direction, options_.step / 2, d.discarded);
    for (std::size_t i = 0; i < d.wide.size(); ++i) {
      for (std::size_t j = 0; j < d.wide[i].size(); ++j) {
        d.extrapolated[i][j] = (4 * d.extrapolated[i][j] - d.wide[i][j]) / 3;
      }
    }
    return d;
  }

  // ── The two compared ───────────────────────────────────────────────────────────────────────────────────────────────
  Comparison judge(double analytic, const Derivative& d, const Parts& cotangents) const {
    Comparison c;
    double scale = 0;
    for (std::size_t i = 0; i < cotangents.size(); ++i) {
      for (std::size_t j = 0; j < cotangents[i].size(); ++j) {
        const double v = cotangents[i][j];
        c.numeric += v * d.extrapolated[i][j];
        scale += std::abs(v) * (std::abs(d.wide[i][j]) + 1e-4 * std::abs(at_origin_.outputs[i][j]));
      }
    }
    c.analytic = analytic;
    c.allowed = options_.tolerance * std::max({std::abs(c.analytic), std::abs(c.numeric), scale});
    return c;
  }

  /// Under the random cotangent. False if the direction had to be discarded.
  bool compare(const Parts& direction, Comparison& c) {
    const Derivative d = differentiate(direction);
    ++(d.discarded ? report_.discarded : report_.checked);
    if (d.discarded) return false;
    c = judge(dot(gradients_, direction), d, cotangents_);
    if (!c.agrees()) c.allowed += rounding_of_richardson();
    return true;
  }

  /// Richardson's quotient weighs ⟨v, f⟩ by ±4/3h and ±1/6h, whose root sum of squares is 1.9/h; six standard deviations.
  /// No more than what float64 could round away: an f that passes through float32 stays wrong.
  double rounding_of_richardson() {
    double size = 0;
    for (std::size_t i = 0; i < cotangents_.size(); ++i) {
      for (std::size_t j = 0; j < cotangents_[i].size(); ++j) {
        size += std::abs(cotangents_[i][j] * at_origin_.outputs[i][j]);
      }
    }
    const double most = 16 * std::numeric_limits<double>::epsilon() * size;
    return 6 * 1.9 / options_.step * std::min(measured_rounding(), most);
  }

  double on_grid(double x) const { return options_.grid > 0 ? options_.grid * std::round(x / options_.grid) : x; }

  /// Max-norm 1.
  Parts random_direction() {
    Parts u = zeros_like(origin_);
    double largest = 0;
    for (Values& part : u) {
      const auto stream = generator_.next_stream();
      for (std::size_t j = 0; j < part.size(); ++j) part[j] = 2 * stream.uniform(static_cast<std::int64_t>(j)) - 1;
      for (double x : part) largest = std::max(largest, std::abs(x));
    }
    for (Values& part : u) {
      for (double& x : part) x = on_grid(x / largest);
    }
    return u;
  }

  Parts unit(std::size_t input, std::size_t element) const {
    Parts u = zeros_like(origin_);
    u[input][element] = 1;
    return u;
  }

  /// Every entry of the Jacobian, each output under a one-hot cotangent.
  void each_entry() {
    std::vector<std::vector<Derivative>> columns(origin_.size());
    for (std::size_t i = 0; i < origin_.size(); ++i) {
      for (std::size_t j = 0; j < origin_[i].size(); ++j) {
        columns[i].push_back(differentiate(unit(i, j)));
        report_.discarded += columns[i].back().discarded;
      }
    }
    for (std::size_t o = 0; o < cotangents_.size(); ++o) {
      for (std::size_t e = 0; e < cotangents_[o].size(); ++e) {
        Parts one = zeros_like(cotangents_);
        one[o][e] = 1;
        const Parts row = gradients_for(one);
        for (std::size_t i = 0; i < origin_.size(); ++i) {
          for (std::size_t j = 0; j < origin_[i].size(); ++j) {
            if (columns[i][j].discarded) continue;
            ++report_.checked;
            const Comparison c = judge(row[i][j], columns[i][j], one);
            if (c.agrees()) continue;
            cotangents_ = one;
            return fail(c, unit(i, j), static_cast<int>(i), static_cast<std::int64_t>(j),
                        "output " + std::to_string(o) + " element " + std::to_string(e) + " against ");
          }
        }
      }
    }
  }

  // ── Each element by itself ─────────────────────────────────────────────────────────────────────────────────────────
  /// Standard deviation of the rounding in ⟨v, f⟩. Over steps so short that f is a cubic to the last bit, fourth
  /// differences are rounding alone: 1 − 4 + 6 − 4 + 1 of independent errors, with 1 + 16 + 36 + 16 + 1 = 70 times the
  /// variance of one. All leaves move, so this is no less than what moving one of them brings about.
  double measured_rounding() {
    constexpr double apart = 1e-7;
    constexpr int differences = 32;
    const Parts direction = random_direction();
    Values y;
    for (int i = 0; i < differences + 4; ++i) y.push_back(dot(cotangents_, evaluate(direction, i * apart).outputs));
    place({}, 0);
    double squares = 0;
    for (std::size_t i = 0; i + 4 < y.size(); ++i) {
      squares += std::pow(y[i] - 4 * y[i + 1] + 6 * y[i + 2] - 4 * y[i + 3] + y[i + 4], 2);
    }
    return std::sqrt(squares / differences / 70);
  }

  /// False where a discrete choice changes between −h and h.
  bool compare_element(std::size_t input, std::size_t element, double h, double rounding, Comparison& c) {
    bool crossed = false;
    const Parts u = unit(input, element);
    const Parts wide = central(u, h, crossed), half = central(u, h / 2, crossed), near = central(u, h / 4, crossed);
    if (crossed) return false;
    const double outer = (4 * dot(cotangents_, half) - dot(cotangents_, wide)) / 3;
    const double inner = (4 * dot(cotangents_, near) - dot(cotangents_, half)) / 3;
    double scale = 0;
    for (std::size_t i = 0; i < wide.size(); ++i) {
      for (std::size_t j = 0; j < wide[i].size(); ++j) scale += std::abs(cotangents_[i][j] * wide[i][j]);
    }
    c.analytic = gradients_[input][element];
    c.numeric = (16 * inner - outer) / 15;
    // `inner` is off by c·h⁴ + O(h⁶); `numeric` by the second term alone, so the first bounds it amply.
    const double truncation = std::abs(inner - outer) / 15;
    // numeric = Σ w·⟨v, f⟩ with weights ±128, ±20 and ±1/2 over 45·h, whose root sum of squares is 4.1/h. Six standard
    // deviations: less than one in 10⁸, were the error normal; the measurement itself is good to a fifth.
    const double noise = 6 * 4.1 / h * rounding;
    c.allowed = options_.tolerance * std::max({std::abs(c.analytic), std::abs(c.numeric), scale}) + truncation + noise;
    return true;
  }

  void each_element() {
    const auto largest_of = [](const Values& part) {
      double largest = 0;
      for (double g : part) largest = std::max(largest, std::abs(g));
      return largest;
    };
    double largest_of_all = 0;
    for (const Values& part : gradients_) largest_of_all = std::max(largest_of_all, largest_of(part));
    const double rounding = measured_rounding();
    for (std::size_t i = 0; i < origin_.size(); ++i) {
      const double own = largest_of(gradients_[i]), size = std::max(own > 0 ? own : largest_of_all, 1e-300);
      for (std::size_t j = 0; j < origin_[i].size(); ++j) {
        Comparison c;
        bool compared = false;
        for (double h = 4 * options_.step; !compared && h > options_.step / 8; h /= 2) {
          compared = compare_element(i, j, h, rounding, c);
          ++(compared ? report_.checked : report_.discarded);
        }
        report_.coarsest = std::max(report_.coarsest, c.allowed / size);
        if (compared && c.agrees()) continue;
        return fail(c, unit(i, j), static_cast<int>(i), static_cast<std::int64_t>(j),
                    compared ? "" : "every step crosses a discrete choice at ");
      }
    }
  }

  // ── What a person can act on ───────────────────────────────────────────────────────────────────────────────────────
  /// Halves the direction, keeping the half that disagrees most, until one element is left or no half disagrees.
  void localise(Parts direction, Comparison c) {
    struct Range {
      std::size_t input, begin, end;
    };
    const int checked = report_.checked, discarded = report_.discarded;
    std::vector<Range> candidates;
    for (std::size_t i = 0; i < origin_.size(); ++i) candidates.push_back({i, 0, origin_[i].size()});
    Range found{0, 0, 0};
    bool narrowed = true;
    while (narrowed) {
      narrowed = false;
      const Parts whole = direction;
      Comparison worst;
      for (const Range& r : candidates) {
        if (r.begin == r.end) continue;
        Parts part = zeros_like(origin_);
        std::copy(whole[r.input].begin() + static_cast<std::ptrdiff_t>(r.begin),
                  whole[r.input].begin() + static_cast<std::ptrdiff_t>(r.end),
                  part[r.input].begin() + static_cast<std::ptrdiff_t>(r.begin));
        Comparison here;
        const bool fails = compare(part, here) && !here.agrees();
        if (!fails || (narrowed && here.excess() <= worst.excess())) continue;
        narrowed = true;
        worst = here;
        direction = part;
        found = r;
      }
      if (!narrowed) break;
      c = worst;
      if (found.end - found.begin == 1) break;
      const std::size_t middle = (found.begin + found.end) / 2;
      candidates = {{found.input, found.begin, middle}, {found.input, middle, found.end}};
    }
    report_.checked = checked;
    report_.discarded = discarded;
    const bool known = found.end > found.begin;
    const bool single = found.end - found.begin == 1;
    fail(c, direction, known ? static_cast<int>(found.input) : -1, single ? static_cast<std::int64_t>(found.begin) : -1,
         "");
  }

  void note_readers(const Entry& entry) {
    readers_.resize(leaves_.size());
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      const auto& slots = entry.inputs;
      if (std::find(slots.begin(), slots.end(), leaves_[i].slot()) == slots.end()) continue;
      const std::string name = entry.op.text;
      if (readers_[i].find(name) == std::string::npos) readers_[i] += (readers_[i].empty() ? "" : ", ") + name;
    }
  }

  void fail(const Comparison& c, const Parts& direction, int input, std::int64_t element, const std::string& where) {
    GradcheckReport& r = report_;
    r.passed = false;
    r.input = input;
    r.element = element;
    r.analytic = c.analytic;
    r.numeric = c.numeric;
    r.allowed = c.allowed;
    r.op = detail::faulty_op({.f = f_,
                              .leaves = leaves_,
                              .direction = direction,
                              .move_to = [&](double distance) { place(direction, distance); },
                              .backward_of = [&](const Tensors& y) { run_backward(*Tape::current(), y, cotangents_); },
                              .step = options_.step});
    readers_.resize(leaves_.size());
    std::ostringstream text;
    text.precision(12);
    if (!r.op.empty()) {
      text << r.op << ": ";
    } else if (input >= 0) {
      r.op = readers_[static_cast<std::size_t>(input)];
      text << (r.op.empty() ? "no recorded op" : r.op) << " reads ";
    }
    text << where;
    if (input < 0) {
      text << "several inputs together";
    } else {
      text << "input " << input << ", " << describe(leaves_[static_cast<std::size_t>(input)]);
      if (element >= 0) text << ", element " << element;
    }
    text << ": analytic " << c.analytic << ", numeric " << c.numeric << ", differ by "
         << std::abs(c.analytic - c.numeric) << ", allowed " << c.allowed << ", step " << options_.step;
    r.message = text.str();
  }

  const std::function<Tensors()>& f_;
  Tensors leaves_;
  GradcheckOptions options_;
  Generator generator_;
  Parts origin_, gradients_, cotangents_;
  std::vector<Options> output_options_;
  std::vector<Shape> output_shapes_;
  std::vector<std::string> readers_;
  std::string vacuous_;
  Evaluation at_origin_;
  GradcheckReport report_;
  Restore restore_;
};

}  // namespace

GradcheckReport gradcheck_leaves(const std::function<Tensors()>& f, const Tensors& leaves,
                                 const GradcheckOptions& options) {
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const Tensor& leaf = leaves[i];
    const bool fits = leaf.defined() && leaf.dtype() == DType::float64 && leaf.is_contiguous() && leaf.requires_grad();
    require(fits && leaf.slot()->is_leaf(), [&] {
      return "gradcheck: leaf " + std::to_string(i) +
             " must be a packed float64 tensor that requires a gradient, got " + describe(leaf);
    });
    for (std::size_t j = 0; j < i; ++j) {
      require(leaves[j].storage() != leaf.storage(), [&] {
        return "gradcheck: leaves " + std::to_string(j) + " and " + std::to_string(i) + " share their storage";
      });
    }
  }
  return Checker(f, leaves, options).run();
}

GradcheckReport gradcheck(const std::function<Tensors(const Tensors&)>& f, const Tensors& inputs,
                          const GradcheckOptions& options) {
  Tensors arguments, leaves;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& x = inputs[i];
    require(!x.defined() || !is_float(x.dtype()) || x.dtype() == DType::float64, [&] {
      return "gradcheck: input " + std::to_string(i) + " is " + describe(x) +
             ": finite differences need float64; convert it with to(DType::float64)";
    });
    arguments.push_back(x.defined() ? x.clone() : x);
    if (x.defined() && x.dtype() == DType::float64) leaves.push_back(arguments.back().requires_grad(true));
  }
  return gradcheck_leaves([&] { return f(arguments); }, leaves, options);
}

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report) {
  const char* verdict = report.passed ? "gradients agree" : report.checked > 0 ? "gradients differ: " : "not checked: ";
  out << verdict << report.message << " (" << report.checked << " checked, " << report.discarded << " discarded)";
  return out;
}

}  // namespace folio
