#pragma once
#include <filesystem>
#include <system_error>

namespace folio::data {

/// Makes a folder, with those missing above it; on destruction those of them that are empty go again. What was there
/// before stays, a link that leads nowhere included.
class MadeFolders {
 public:
  explicit MadeFolders(std::filesystem::path folder);
  ~MadeFolders();
  MadeFolders(const MadeFolders&) = delete;
  MadeFolders& operator=(const MadeFolders&) = delete;

  /// Why the folder could not be made, if it could not.
  const std::error_code& problem() const { return problem_; }

 private:
  std::filesystem::path folder_;
  int made_ = 0;  ///< of the path's last ones
  std::error_code problem_;
};

}  // namespace folio::data
