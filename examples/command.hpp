#pragma once
#include <string>
#include <vector>

namespace folio::examples {

/// A command line that a shell takes as it stands: words with anything but letters, digits and _-./=:,+@% are quoted.
std::string shell_command(const std::vector<std::string>& words);

/// The program of that name beside the one that was started as `started` (argv[0]).
std::string program_beside(const std::string& started, const std::string& name);

}  // namespace folio::examples
