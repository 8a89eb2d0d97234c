#include "data/made_folders.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/data/support.hpp"

namespace folio::data {
namespace fs = std::filesystem;

TEST(MadeFolders, GoAgainWhereTheyAreEmptyAndNotThoseThatWereThere) {
  const TemporaryFolder temporary;
  const fs::path old = temporary.path() / "old", deep = old / "a" / "b";
  fs::create_directory(old);
  {
    const MadeFolders made(deep);
    EXPECT_FALSE(made.problem());
    EXPECT_TRUE(fs::is_directory(deep));
  }
  EXPECT_FALSE(fs::exists(old / "a"));
  EXPECT_TRUE(fs::exists(old));
}

TEST(MadeFolders, StayWithWhatIsInThem) {
  const TemporaryFolder temporary;
  const fs::path folder = temporary.path() / "a" / "b";
  {
    const MadeFolders made(folder);
    std::ofstream(folder / "file") << "kept";
  }
  EXPECT_TRUE(fs::exists(folder / "file"));
}

TEST(MadeFolders, LeaveALinkThatLeadsNowhere) {
  const TemporaryFolder temporary;
  const fs::path link = temporary.path() / "link";
  fs::create_symlink("nowhere", link);
  for (const fs::path& folder : {link, link / "below"}) {
    EXPECT_TRUE(MadeFolders(folder).problem());
    EXPECT_TRUE(fs::is_symlink(link)) << folder;
  }
}

}  // namespace folio::data
