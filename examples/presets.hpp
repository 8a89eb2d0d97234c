#pragma once
#include <string>
#include <vector>

#include "examples/settings.hpp"
#include "nn/config.hpp"

namespace folio::examples {

/// A model and how it is trained, by name.
struct Preset {
  std::string name;
  std::string summary;
  DeepSeekConfig model;
  TrainSettings training;
  /// vocab_size is taken from the text; otherwise characters are mapped into a larger one.
  bool fits_vocabulary = true;

  /// Sets one key of the model or of the training, as `--set key=value` does. An unknown key is an Error that lists
  /// the known ones.
  void set(const std::string& key, const std::string& value);
  /// The same of "key=value", as it is given to --set.
  void set(const std::string& pair);
};

/// The preset of that name, or an Error that lists them.
Preset find_preset(const std::string& name);
const std::vector<Preset>& all_presets();

}  // namespace folio::examples
