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

std::string program_beside(const std::string& started, const std::string& name) {
  const auto slash = started.rfind('/');
  return slash == std::string::npos ? name : started.substr(0, slash + 1) + name;
}

}  // namespace folio::examples
