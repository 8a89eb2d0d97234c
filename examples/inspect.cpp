// inspect TEXT: what a text holds, as it will be trained on.
#include <fstream>
#include <iostream>
#include <optional>

#include "data/file.hpp"
#include "data/statistics.hpp"
#include "examples/program.hpp"

int main(int argc, char** argv) {
  CLI::App app{"Prints the statistics of a text: characters, lines, unique characters, the most frequent.", "inspect"};
  std::string path;
  std::int64_t top = 10;
  app.add_option("text", path, "the text to inspect")->required();
  app.add_option("--top", top, "how many of the most frequent characters to list")
      ->check(folio::examples::whole_number<std::int64_t>(0));
  return folio::examples::run_program(app, argc, argv, [&] {
    const std::string text = folio::data::read_file(path);
    const auto counted = folio::examples::naming(path, [&] { return folio::data::statistics(text); });
    std::cout << folio::data::describe(counted, top);
    return 0;
  });
}
