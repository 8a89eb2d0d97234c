#include "tests/bench/work.hpp"

namespace folio::bench {

#define OP(name) std::vector<Work> work_of_##name(const Sizes& sizes);
#include "autograd/ops.def"
#undef OP

const std::vector<OpWork>& all_work() {
  static const std::vector<OpWork> all = {
#define OP(name) {#name, &work_of_##name},
#include "autograd/ops.def"
#undef OP
  };
  return all;
}

examples::Preset measured_preset(const std::string& name, const Place& place) {
  examples::Preset preset = examples::find_preset(name);
  constexpr std::int64_t large_vocabulary = 10'000;
  if (preset.model.vocab_size > large_vocabulary && place.device != Device::cuda) preset.training.batch = 4;
  if (is_half(place.dtype)) preset.model.dtype = place.dtype;
  const DType dtype = preset.model.dtype;
  for (const std::string& setting : place.settings) preset.set(setting);
  require(preset.model.dtype == dtype, [] { return std::string("--set dtype: give --dtype, which ops obey too"); });
  preset.model.validate();
  preset.training.validate();
  return preset;
}

Tensor Source::indices(const Shape& shape, std::int64_t below) {
  const RandomStream draws = stream();
  std::vector<std::int32_t> values;
  for (std::int64_t i = 0; i < numel(shape); ++i) {
    values.push_back(static_cast<std::int32_t>(draws.uniform(i) * static_cast<double>(below)));
  }
  return from_indices(values, shape).to(device_);
}

}  // namespace folio::bench
