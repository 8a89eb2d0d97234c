#include "data/made_folders.hpp"

namespace folio::data {
namespace fs = std::filesystem;

MadeFolders::MadeFolders(fs::path folder) : folder_(std::move(folder)) {
  if (folder_.empty()) return;
  std::error_code ignored;
  for (fs::path at = folder_; !at.empty() && !fs::exists(fs::symlink_status(at, ignored)); at = at.parent_path()) {
    ++made_;
  }
  fs::create_directories(folder_, problem_);
}

MadeFolders::~MadeFolders() {
  std::error_code ignored;
  fs::path folder = folder_;
  for (int i = 0; i < made_; ++i, folder = folder.parent_path()) fs::remove(folder, ignored);  // only where it is empty
}

}  // namespace folio::data
