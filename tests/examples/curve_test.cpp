#include "examples/curve.hpp"

#include <gtest/gtest.h>

#include "data/file.hpp"
#include "tests/data/support.hpp"

namespace folio::examples {
namespace {

namespace fs = std::filesystem;

/// A folder with the log of a run, and a gnuplot of our own: what it draws is "a curve".
class Curve : public ::testing::Test {
 protected:
  /// The log of so many steps, in a folder of that name.
  fs::path run(const std::string& name, int steps = 3) const {
    std::string rows;
    for (int n = 1; n <= steps; ++n) rows += "{\"step\":" + std::to_string(n) + ",\"loss\":2.5}\n";
    return work_.write(fs::path("runs") / name / "metrics.jsonl", rows).parent_path();
  }
  void install(const std::string& gnuplot) const {
    fs::permissions(work_.write("bin/gnuplot", "#!/bin/sh\n" + gnuplot), fs::perms::owner_all);
  }
  /// What there is in a folder beside the log.
  static std::string drawn(const fs::path& folder) {
    std::string names;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename() != "metrics.jsonl") names += entry.path().filename().string();
    }
    return names;
  }

  data::TemporaryFolder work_;
  data::ScopedVariable path_{"PATH", (work_.path() / "bin").string() + ":/usr/bin:/bin"};
};

TEST_F(Curve, IsDrawnIntoAFolderOfAnyName) {
  install("cat >/dev/null; printf 'a curve'");
  for (const std::string name : {"plain", "it's", "two words", "$HOME", "two\nlines", "-x", "`ls`", "\\"}) {
    const fs::path folder = run(name);
    EXPECT_EQ(draw_loss_curve(folder), std::nullopt) << name;
    EXPECT_EQ(drawn(folder), "loss.svg") << name;
    EXPECT_EQ(data::read_file(folder / "loss.svg"), "a curve") << name;
  }
}

TEST_F(Curve, LeavesWhatStandsInItsPlace) {
  install("cat >/dev/null; printf 'a curve'");
  const fs::path folder = run("taken");
  fs::create_directory(folder / "loss.svg");
  ::testing::internal::CaptureStdout();
  const auto problem = draw_loss_curve(folder);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(problem, "no curve: " + (folder / "loss.svg").string() + " cannot be written: Is a directory");
  EXPECT_EQ(drawn(folder), "loss.svg");

  const fs::path other = run("unfinished");
  fs::create_directory(other / "loss.svg.tmp");
  EXPECT_EQ(draw_loss_curve(other), "no curve: " + (other / "loss.svg.tmp").string() + " cannot be written");
  EXPECT_EQ(drawn(other), "loss.svg.tmp");
}

TEST_F(Curve, SaysThatGnuplotFailedAndKeepsTheOneBefore) {
  const fs::path folder = run("long", 100'000);  // more than a pipe holds, so that writing meets its end
  work_.write(folder / "loss.svg", "the one before");
  const data::ScopedVariable nowhere("PATH", (work_.path() / "none").string());
  const std::string expected = "no curve: gnuplot is missing or failed (Debian package gnuplot-nox)";
  EXPECT_EQ(draw_loss_curve(folder), expected);
  EXPECT_EQ(drawn(folder), "loss.svg");
  install("exit 1");
  const data::ScopedVariable here("PATH", (work_.path() / "bin").string());
  EXPECT_EQ(draw_loss_curve(folder), expected);
  EXPECT_EQ(data::read_file(folder / "loss.svg"), "the one before");
}

}  // namespace
}  // namespace folio::examples
