#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <exception>
#include <iostream>
#include <limits>
#include <new>
#include <string>

#include "autograd/error.hpp"

namespace folio::examples {

/// What every program returns for input that is wrong.
constexpr int wrong_input = 2;

/// A check of an option: a number that T holds whole, of at least `least`. (CLI11's own conversion takes a number that
/// does not fit for the nearest one that does, −1 for the largest unsigned one, and one behind a zero for octal.)
template <class T>
CLI::Validator whole_number(T least) {
  const auto problem = [least](const std::string& text) -> std::string {
    if (text.size() > 1 && text[0] == '0') return "takes a whole number without zeros in front, not '" + text + "'";
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= least) return "";
    return "takes a whole number from " + std::to_string(least) + " to " +
           std::to_string(std::numeric_limits<T>::max()) + ", not '" + text + "'";
  };
  return {problem, "", "whole number"};
}

/// A check of an option: a finite number, in the range that `fits` tells and `range` describes.
template <class Fits>
CLI::Validator number(const std::string& range, Fits fits) {
  const auto problem = [=](const std::string& text) -> std::string {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool read = error == std::errc() && end == text.data() + text.size();
    const bool good = read && std::abs(value) <= std::numeric_limits<double>::max() && fits(value);
    return good ? "" : "takes a number " + range + ", not '" + text + "'";
  };
  return {problem, "", "number"};
}

/// The text as one line: control characters, which files and arguments may hold, as \x0a.
inline std::string one_line(const std::string& text) {
  constexpr const char* digits = "0123456789abcdef";
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      line += c;
    } else {
      line += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return line;
}

/// Runs `body`; an Error that it throws names `place` first.
template <class Body>
auto naming(const std::string& place, Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    throw Error(place + ": " + error.what());
  }
}

/// Parses the command line and runs `body`. Whatever goes wrong becomes one line on stderr and exit code 2.
template <class Body>
int run_program(CLI::App& app, int argc, char** argv, Body&& body) {
  const auto complain = [&](const std::string& text) {
    std::cerr << app.get_name() << ": " << one_line(text) << std::endl;
    return wrong_input;
  };
  try {
    // Before a file is opened, which would stand in for it.
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) return complain("standard output is closed; send it to a file or /dev/null");
    app.parse(argc, argv);
    const int code = body();
    if (code == 0 && !std::cout.flush()) return complain("writing to standard output failed: is the disk full?");
    return code;
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + "; see " + app.get_name() + " --help");
  } catch (const Error& error) {
    return complain(error.what());
  } catch (const std::bad_alloc&) {
    return complain("out of memory; a smaller model, text or batch needs less");
  } catch (const std::exception& error) {
    return complain(error.what());
  }
}

}  // namespace folio::examples
