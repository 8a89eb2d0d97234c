#pragma once
#include <string>
#include <vector>

namespace folio::examples {

/// A command line that a shell takes as it stands: words with anything but letters, digits and _-./=:,+@% are quoted.
std::string shell_command(const std::vector<std::string>& words);

/// The command with another value for its option `name`, given as two words or as `name=value`; as it is if it has none.
std::vector<std::string> with_option(std::vector<std::string> command, const std::string& name,
                                     const std::string& value);

/// The program of that name beside the one that was started as `started` (argv[0]).
std::string program_beside(const std::string& started, const std::string& name);

}  // namespace folio::examples
