#include "data/source.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "data/file.hpp"
#include "data/sha256.hpp"
#include "tests/data/support.hpp"

namespace folio::data {
namespace {

namespace fs = std::filesystem;

const std::string pinned_text = "the text of the public address";

/// Every place in a folder of its own, and nothing in any of them.
class Source : public testing::Test {
 protected:
  Text find(const std::optional<fs::path>& given = std::nullopt) {
    said_.clear();
    fetching_.clear();
    return find_text(
        given,
        [&](std::string_view line) {
          if (line.starts_with("text: fetching ")) {
            fetching_ = line;
          } else {
            said_.emplace_back(line);
          }
        },
        surroundings_, pinned_);
  }
  std::string place(const Text& text) const {
    EXPECT_EQ(said_.size(), text.tried.size() + 1);
    for (std::size_t i = 0; i < text.tried.size(); ++i) {
      EXPECT_EQ(said_[i], "text: " + text.tried[i]);
    }
    EXPECT_TRUE(contains(said_.back(), text.place)) << said_.back();
    EXPECT_TRUE(contains(said_.back(), std::to_string(text.text.size()) + " bytes")) << said_.back();
    return text.place;
  }
  fs::path cached() const { return folder_.path() / "cache/folio/input-1.txt"; }
  void publish(std::string_view text) { folder_.write("public/input.txt", text); }

  TemporaryFolder folder_;
  Surroundings surroundings_{.folio_data = folder_.path() / "ci",
                             .xdg_cache_home = folder_.path() / "cache",
                             .home = folder_.path() / "home",
                             .offline = false,
                             .directory = folder_.path() / "clone"};
  PinnedFile pinned_{.address = "file://" + (folder_.path() / "public/input.txt").string(),
                     .sha256 = has_sha256() ? sha256(pinned_text) : "",
                     .bytes = pinned_text.size()};
  std::vector<std::string> said_;
  std::string fetching_;  ///< what is said before a download
};

TEST_F(Source, TakesTheFirstPlaceThatHoldsAText) {
  const auto first = folder_.write("ci/input-1.txt", "of the variable");
  const auto second = folder_.write("clone/data/input-1.txt", "of the clone");
  const auto third = folder_.write("cache/folio/input-1.txt", pinned_text);
  publish(pinned_text);

  Text text = find();
  EXPECT_EQ(text.text, "of the variable");
  EXPECT_EQ(place(text), "$FOLIO_DATA/input-1.txt (" + first.string() + ")");
  EXPECT_TRUE(text.tried.empty());

  fs::remove(first);
  text = find();
  EXPECT_EQ(text.text, "of the clone");
  EXPECT_EQ(place(text), second.string());
  EXPECT_EQ(text.tried.size(), 1u);

  fs::remove(second);
  text = find();
  EXPECT_EQ(text.text, pinned_text);
  EXPECT_EQ(place(text), third.string());
  EXPECT_EQ(text.tried.size(), 2u);
  EXPECT_FALSE(text.is_sample);
}

TEST_F(Source, DownloadsIntoTheCacheAndFindsItThereTheNextTime) {
  publish(pinned_text);
  const Text text = find();
  ASSERT_GE(text.tried.size(), 3u);
  if (!can_download()) {
    EXPECT_TRUE(contains(text.tried[3], "built without libcurl")) << text.tried[3];
    EXPECT_TRUE(text.is_sample);
    return;
  }
  EXPECT_EQ(text.text, pinned_text);
  EXPECT_EQ(place(text), pinned_.address);
  EXPECT_EQ(fetching_, "text: fetching " + pinned_.address);
  EXPECT_EQ(read_file(cached()), pinned_text);
  EXPECT_EQ(place(find()), cached().string());
  EXPECT_EQ(fetching_, "");
}

TEST_F(Source, EndsWithTheSampleAndNamesEveryPlaceThatWasTried) {
  const Text text = find();
  EXPECT_TRUE(text.is_sample);
  EXPECT_EQ(text.text, sample_text());
  EXPECT_EQ(place(text), "the sample scene");
  ASSERT_EQ(text.tried.size(), 4u);
  const std::string notice = sample_notice(text, "train --preset tiny");
  for (const std::string& tried :
       {(folder_.path() / "ci/input-1.txt").string(), (folder_.path() / "clone/data/input-1.txt").string(),
        cached().string(), pinned_.address}) {
    EXPECT_TRUE(contains(notice, tried)) << notice;
  }
  EXPECT_EQ(notice.rfind("sample text: figures not comparable\n", 0), 0u) << notice;
  EXPECT_TRUE(contains(notice, "  train --preset tiny\n")) << notice;
  EXPECT_FALSE(fs::exists(folder_.path() / "cache"));
}

TEST_F(Source, SaysNothingOfASampleWhereThereIsNone) {
  EXPECT_EQ(sample_notice({.text = "a", .place = "b", .is_sample = false, .tried = {}}, "train"), "");
}

TEST_F(Source, RefusesADownloadWithAnotherSha256AndGoesOn) {
  publish(std::string(pinned_text.size(), 'x'));
  const Text text = find();
  EXPECT_TRUE(text.is_sample);
  ASSERT_EQ(text.tried.size(), 4u);
  EXPECT_TRUE(contains(text.tried[3], can_download() ? "is expected: refused" : "built without libcurl"));
  EXPECT_FALSE(contains(text.tried[3], "\n"));
  EXPECT_FALSE(fs::exists(folder_.path() / "cache"));
}

TEST_F(Source, RefusesABrokenCacheAndMendsIt) {
  folder_.write("cache/folio/input-1.txt", pinned_text.substr(1));
  publish(pinned_text);
  const Text text = find();
  ASSERT_GE(text.tried.size(), 3u);
  EXPECT_TRUE(contains(text.tried[2], "refused")) << text.tried[2];
  EXPECT_EQ(text.is_sample, !can_download());
  EXPECT_EQ(read_file(cached()), can_download() ? pinned_text : pinned_text.substr(1));
}

TEST_F(Source, RefusesACacheOfTheRightSizeAndTheWrongContents) {
  folder_.write("cache/folio/input-1.txt", std::string(pinned_text.size(), 'x'));
  const Text text = find();
  EXPECT_EQ(text.is_sample, has_sha256());
}

TEST_F(Source, StaysAwayFromTheNetworkWhereItIsToldTo) {
  publish(pinned_text);
  surroundings_.offline = true;
  const Text text = find();
  EXPECT_TRUE(text.is_sample);
  ASSERT_EQ(text.tried.size(), 4u);
  EXPECT_EQ(text.tried[3], pinned_.address + ": not tried, FOLIO_OFFLINE is set");
}

TEST_F(Source, PassesByPlacesThatAreEmptyOrFolders) {
  folder_.write("ci/input-1.txt", "");
  fs::create_directories(folder_.path() / "clone/data/input-1.txt");
  folder_.write("cache/folio/input-1.txt", pinned_text);
  const Text text = find();
  EXPECT_EQ(text.text, pinned_text);
  ASSERT_EQ(text.tried.size(), 2u);
  EXPECT_TRUE(contains(text.tried[0], ": empty")) << text.tried[0];
  EXPECT_TRUE(contains(text.tried[1], ": a folder")) << text.tried[1];
}

TEST_F(Source, TakesTheTextThatWasGivenAndNoOther) {
  folder_.write("ci/input-1.txt", "of the variable");
  const auto given = folder_.write("my.txt", "of the user");
  const Text text = find(given);
  EXPECT_EQ(text.text, "of the user");
  EXPECT_EQ(place(text), given.string());

  for (const fs::path& wrong : {folder_.path() / "none.txt", folder_.path(), folder_.write("empty.txt", "")}) {
    const std::string error = error_of([&] { find(wrong); });
    EXPECT_EQ(error.rfind("--data " + wrong.string() + ": ", 0), 0u) << error;
    EXPECT_TRUE(contains(error, "give a text file")) << error;
    EXPECT_FALSE(contains(error, "\n"));
    EXPECT_TRUE(said_.empty());
  }
}

TEST_F(Source, NeedsNoVariableAtAll) {
  publish(pinned_text);
  surroundings_ = {.folio_data = {}, .xdg_cache_home = {}, .home = {}, .offline = false, .directory = folder_.path()};
  const Text text = find();
  EXPECT_TRUE(text.is_sample);
  ASSERT_EQ(text.tried.size(), 4u);
  EXPECT_EQ(text.tried[0], "$FOLIO_DATA/input-1.txt: FOLIO_DATA is not set");
  EXPECT_TRUE(contains(text.tried[2], "neither XDG_CACHE_HOME nor HOME is set"));
  EXPECT_TRUE(contains(text.tried[3], "no cache to keep it in"));
}

TEST(Surroundings, KeepDownloadsInTheUsersCache) {
  Surroundings user{.folio_data = {}, .xdg_cache_home = "/xdg", .home = "/home/me", .offline = false, .directory = {}};
  EXPECT_EQ(user.cache(), fs::path("/xdg/folio"));
  user.xdg_cache_home = "relative";  // to be ignored, says the XDG Base Directory Specification
  EXPECT_EQ(user.cache(), fs::path("/home/me/.cache/folio"));
  user.xdg_cache_home = std::nullopt;
  EXPECT_EQ(user.cache(), fs::path("/home/me/.cache/folio"));
  user.home = std::nullopt;
  EXPECT_EQ(user.cache(), std::nullopt);
}

TEST(Surroundings, AreReadFromTheProcess) {
  const ScopedVariable data("FOLIO_DATA", "/texts");
  const ScopedVariable cache("XDG_CACHE_HOME", "");
  const ScopedVariable home("HOME", "/home/me");
  {
    const ScopedVariable offline("FOLIO_OFFLINE", "1");
    const Surroundings found = Surroundings::of_process();
    EXPECT_EQ(found.folio_data, "/texts");
    EXPECT_EQ(found.xdg_cache_home, std::nullopt);
    EXPECT_EQ(found.home, "/home/me");
    EXPECT_TRUE(found.offline);
    EXPECT_TRUE(found.directory.empty());
  }
  for (const auto& off : {std::optional<std::string>(), std::optional<std::string>("0")}) {
    const ScopedVariable offline("FOLIO_OFFLINE", off);
    EXPECT_FALSE(Surroundings::of_process().offline);
  }
}

TEST(TinyShakespeare, IsPinnedToACommit) {
  const PinnedFile file = tiny_shakespeare();
  EXPECT_EQ(file.bytes, 1'115'394u);
  EXPECT_EQ(file.sha256, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed");
  EXPECT_EQ(file.address.rfind("https://raw.githubusercontent.com/karpathy/char-rnn/"
                               "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/",
                               0),
            0u);
}

}  // namespace
}  // namespace folio::data
