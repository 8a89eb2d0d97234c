#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/download.hpp"

namespace folio::data {

/// What the search for the text reads of its surroundings; a test gives its own.
struct Surroundings {
  std::optional<std::string> folio_data;      ///< $FOLIO_DATA, a folder
  std::optional<std::string> xdg_cache_home;  ///< $XDG_CACHE_HOME
  std::optional<std::string> home;            ///< $HOME
  bool offline = false;                       ///< $FOLIO_OFFLINE is set to something other than 0
  std::filesystem::path directory;            ///< stands for the current directory; empty: that one

  /// Those of this process. A variable that is set to nothing counts as unset.
  static Surroundings of_process();
  /// Where downloads are kept: $XDG_CACHE_HOME/folio (where that is absolute), else ~/.cache/folio, else none.
  std::optional<std::filesystem::path> cache() const;
};

/// Tiny Shakespeare (public-domain plays gathered in karpathy/char-rnn), pinned to a commit: 1,115,394 bytes.
PinnedFile tiny_shakespeare();

/// The scene written for Folio (data/sample.txt), which every program carries: the text when there is no other.
std::string_view sample_text();

/// A text and where it came from.
struct Text {
  std::string text;
  std::string place;               ///< the path, address or name of where it was found
  bool is_sample = false;          ///< it is sample_text(): figures are not comparable
  std::vector<std::string> tried;  ///< the places before it, one line each with the reason
};

/// Takes one line (without its end) for each step of the search.
using Announce = std::function<void(std::string_view)>;

/// Finds the text to train on. With `given` (--data PATH) that file, or an Error where it is not there, a folder,
/// unreadable or empty: nothing else is tried. Without it the first of
///   1. $FOLIO_DATA/input-1.txt   2. data/input-1.txt   3. the user's cache (verified)
///   4. the public address, downloaded into the cache (verified; not where `surroundings.offline`)
///   5. sample_text()
/// A place that fails is announced with its reason and the next one is tried.
Text find_text(const std::optional<std::filesystem::path>& given, const Announce& announce,
               const Surroundings& surroundings = Surroundings::of_process(),
               const PinnedFile& pinned = tiny_shakespeare());

/// What a run on the sample says: that its figures are not comparable, every place that was tried, how to get the text,
/// and `command`, the command to run then. Several lines, each with its end. Empty where `text` is not the sample.
std::string sample_notice(const Text& text, std::string_view command);

}  // namespace folio::data
