#include "data/source.hpp"

#include <cstdlib>

#include "autograd/error.hpp"
#include "data/file.hpp"

namespace folio::data {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? std::optional<std::string>(value) : std::nullopt;
}

std::string size_of(const std::string& text) { return ": " + std::to_string(text.size()) + " bytes"; }

/// A place to look in: its name, and a way to get the text, which throws a line that names it where there is none.
struct Place {
  std::string name;
  std::function<std::string()> read;
};

Place folder_variable(const Surroundings& surroundings) {
  const std::string name = "$FOLIO_DATA/input-1.txt";
  if (!surroundings.folio_data) {
    return {name, [name]() -> std::string { throw Error(name + ": FOLIO_DATA is not set"); }};
  }
  const fs::path path = fs::path(*surroundings.folio_data) / "input-1.txt";
  return {name + " (" + path.string() + ")", [path] { return read_file(path); }};
}

Place working_directory(const Surroundings& surroundings) {
  const fs::path path = surroundings.directory / "data/input-1.txt";
  return {path.string(), [path] { return read_file(path); }};
}

Place kept_download(const std::optional<fs::path>& path, const PinnedFile& pinned) {
  if (!path) {
    return {"the cache", []() -> std::string { throw Error("the cache: neither XDG_CACHE_HOME nor HOME is set"); }};
  }
  return {path->string(), [path, pinned] {
            std::string text = read_file(*path);
            verify(text, pinned, path->string());
            return text;
          }};
}

Place public_address(const std::optional<fs::path>& path, const PinnedFile& pinned, bool offline,
                     const Announce& announce) {
  return {pinned.address, [path, pinned, offline, announce] {
            require(!offline, [&] { return pinned.address + ": not tried, FOLIO_OFFLINE is set"; });
            require(path.has_value(), [&] { return pinned.address + ": not tried, there is no cache to keep it in"; });
            announce("text: fetching " + pinned.address);
            download(pinned, *path);
            return read_file(*path);
          }};
}

}  // namespace

Surroundings Surroundings::of_process() {
  const auto offline = variable("FOLIO_OFFLINE");
  return {.folio_data = variable("FOLIO_DATA"),
          .xdg_cache_home = variable("XDG_CACHE_HOME"),
          .home = variable("HOME"),
          .offline = offline && *offline != "0",
          .directory = {}};
}

std::optional<fs::path> Surroundings::cache() const {
  if (xdg_cache_home && fs::path(*xdg_cache_home).is_absolute()) {
    return fs::path(*xdg_cache_home) / "folio";
  }
  return home ? std::optional(fs::path(*home) / ".cache" / "folio") : std::nullopt;
}

PinnedFile tiny_shakespeare() {
  return {.address =
              "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/"
              "data/tinyshakespeare/input.txt",
          .sha256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
          .bytes = 1'115'394};
}

Text find_text(const std::optional<fs::path>& given, const Announce& announce, const Surroundings& surroundings,
               const PinnedFile& pinned) {
  if (given) {
    try {
      Text found{.text = read_file(*given), .place = given->string(), .is_sample = false, .tried = {}};
      announce("text: " + found.place + size_of(found.text));
      return found;
    } catch (const Error& error) {
      throw Error(std::string("--data ") + error.what() + ": give a text file, or leave --data out");
    }
  }
  std::optional<fs::path> kept = surroundings.cache();
  if (kept) {
    *kept /= "input-1.txt";
  }
  std::vector<std::string> tried;
  // PyPI's tinyshakespeareloader is no further place: its 1.8.0 holds excerpts of Hamlet and an address, not the text.
  for (const Place& place :
       {folder_variable(surroundings), working_directory(surroundings), kept_download(kept, pinned),
        public_address(kept, pinned, surroundings.offline, announce)}) {
    try {
      std::string text = place.read();
      announce("text: " + place.name + size_of(text));
      return {.text = std::move(text), .place = place.name, .is_sample = false, .tried = std::move(tried)};
    } catch (const Error& error) {
      announce(std::string("text: ") + error.what());
      tried.emplace_back(error.what());
    }
  }
  Text sample{.text = std::string(sample_text()), .place = "the sample scene", .is_sample = true, .tried = {}};
  sample.tried = std::move(tried);
  announce("text: " + sample.place + " that Folio carries" + size_of(sample.text));
  return sample;
}

std::string sample_notice(const Text& text, std::string_view command) {
  if (!text.is_sample) {
    return {};
  }
  std::string notice = "sample text: figures not comparable\n";
  for (const std::string& place : text.tried) {
    notice += "  tried " + place + "\n";
  }
  notice += "to get the text:   curl -fL --create-dirs -o data/input-1.txt " + tiny_shakespeare().address + "\n";
  notice += "once it is there:  " + std::string(command) + "\n";
  return notice;
}

}  // namespace folio::data
