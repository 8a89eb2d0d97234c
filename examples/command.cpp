#include "examples/command.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace folio::examples {
namespace {

bool plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("_-./=:,+@%").find(c) != std::string_view::npos;
}

std::string quoted(const std::string& word) {
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

}  // namespace

std::string shell_command(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + quoted(word);
  return line;
}

std::vector<std::string> with_option(std::vector<std::string> command, const std::string& name,
                                     const std::string& value) {
  for (std::size_t i = 1; i < command.size(); ++i) {
    if (command[i].starts_with(name + "=")) command[i].replace(name.size() + 1, std::string::npos, value);
    if (command[i] == name && i + 1 < command.size()) command[++i] = value;
  }
  return command;
}

std::string program_beside(const std::string& started, const std::string& name) {
  const auto slash = started.rfind('/');
  return slash == std::string::npos ? name : started.substr(0, slash + 1) + name;
}

}  // namespace folio::examples
