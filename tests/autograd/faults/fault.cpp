#include "tests/autograd/faults/fault.hpp"

#include <utility>

namespace folio::testing {
namespace {

struct Plan {
  const Fault* fault = nullptr;
  std::string op;
  int times = 0;

  bool concerns(const Entry& entry) const { return op == entry.op.text; }
};
thread_local Plan plan;

void recorded(Entry& entry, const Tensors& outputs) {
  if (plan.fault->recorded && plan.concerns(entry)) plan.times += plan.fault->recorded(entry, outputs);
}
void before(Entry& entry, Tensors& output_gradients) {
  fault::armed = plan.concerns(entry) ? plan.fault->point : fault::Point::none;
  if (plan.fault->before && plan.concerns(entry)) plan.times += plan.fault->before(entry, output_gradients);
}
void after(Entry& entry, Tensors& input_gradients) {
  if (plan.fault->after && plan.concerns(entry)) plan.times += plan.fault->after(entry, input_gradients);
}

}  // namespace

Planted::Planted(const Fault& fault, std::string op) {
  plan = {&fault, std::move(op), 0};
  fault::hook = {recorded, before, after};
  fault::hits = 0;
}
Planted::~Planted() {
  fault::hook = {};
  fault::armed = fault::Point::none;
}
int Planted::times() const { return plan.times + fault::hits; }

}  // namespace folio::testing
