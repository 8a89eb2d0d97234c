#pragma once
#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "autograd/error.hpp"

namespace folio::examples {

/// What every program returns for input that is wrong.
constexpr int wrong_input = 2;

/// Parses the command line and runs `body`. Whatever goes wrong becomes one line on stderr and exit code 2.
template <class Body>
int run_program(CLI::App& app, int argc, char** argv, Body&& body) {
  const auto complain = [&](const std::string& text) {
    std::cerr << app.get_name() << ": " << text << std::endl;
    return wrong_input;
  };
  try {
    app.parse(argc, argv);
    return body();
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + "; see " + app.get_name() + " --help");
  } catch (const Error& error) {
    return complain(error.what());
  } catch (const std::bad_alloc&) {
    return complain("out of memory; a smaller --batch needs less");
  } catch (const std::exception& error) {
    return complain(error.what());
  }
}

}  // namespace folio::examples
