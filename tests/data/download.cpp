#include "data/download.hpp"

#include <gtest/gtest.h>

#include "data/file.hpp"
#include "data/sha256.hpp"
#include "tests/data/support.hpp"

namespace folio::data {
namespace {

namespace fs = std::filesystem;

/// A file of the 'public network' on this disk, pinned to `expected`, and a place below folders that are not there yet.
class Download : public testing::Test {
 protected:
  std::string fetch(const std::string& served, const std::string& expected) {
    const auto path = folder_.write("public/text", served);
    return fetch_from("file://" + path.string(), expected);
  }
  std::string fetch_from(const std::string& address, const std::string& expected) {
    const PinnedFile file{address, has_sha256() ? sha256(expected) : "", expected.size()};
    return error_of([&] { download(file, target()); });
  }
  fs::path target() const { return folder_.path() / "cache/folio/text"; }
  /// Whether an error says `part`, in one line that begins with the address; a build without downloads says so instead.
  static bool refused(const std::string& error, const std::string& part) {
    return !contains(error, "\n") && contains(error, "://") &&
           contains(error, can_download() ? part : "built without libcurl");
  }
  bool nothing_left() const { return !fs::exists(folder_.path() / "cache"); }

  TemporaryFolder folder_;
};

TEST_F(Download, KeepsWhatIsAsItWasPinned) {
  const std::string error = fetch("good text", "good text");
  if (!can_download()) {
    EXPECT_TRUE(refused(error, "")) << error;
    return;
  }
  EXPECT_EQ(error, "");
  EXPECT_EQ(read_file(target()), "good text");
  EXPECT_EQ(std::distance(fs::directory_iterator(target().parent_path()), fs::directory_iterator()), 1);
}

TEST_F(Download, RefusesAnotherSha256) {
  const std::string error = fetch("evil text", "good text");
  EXPECT_TRUE(refused(error, "sha256")) << error;
  EXPECT_TRUE(nothing_left());
}

TEST_F(Download, RefusesMoreAndLessThanWasPinned) {
  const std::string more = fetch("good text and more", "good text");
  EXPECT_TRUE(refused(more, "not fetched")) << more;
  const std::string less = fetch("good", "good text");
  EXPECT_TRUE(refused(less, "4 bytes where 9 are expected")) << less;
  EXPECT_TRUE(nothing_left());
}

TEST_F(Download, ARefusedFileLeavesTheOneBeforeAsItWas) {
  folder_.write("cache/folio/text", "the one before");
  const std::string error = fetch("evil text", "good text");
  EXPECT_TRUE(refused(error, "sha256")) << error;
  EXPECT_EQ(read_file(target()), "the one before");
  EXPECT_EQ(std::distance(fs::directory_iterator(target().parent_path()), fs::directory_iterator()), 1);
}

TEST_F(Download, SaysWhyNothingCame) {
  for (const char* address : {"file:///not/there", "https://127.0.0.1:1/text"}) {
    const std::string error = fetch_from(address, "good text");
    EXPECT_TRUE(refused(error, "not fetched (")) << error;
    EXPECT_TRUE(contains(error, address)) << error;
  }
  EXPECT_TRUE(nothing_left());
}

TEST_F(Download, TakesNoAddressThatAnyoneOnTheWayCouldChange) {
  const std::string error = fetch_from("http://127.0.0.1:1/text", "good text");
  EXPECT_TRUE(refused(error, "rotocol")) << error;
}

TEST_F(Download, SaysWhereItCannotWrite) {
  folder_.write("cache", "a file where a folder should be");
  const std::string error = fetch("good text", "good text");
  EXPECT_TRUE(refused(error, "cannot write")) << error;
  EXPECT_TRUE(fs::is_regular_file(folder_.path() / "cache"));
}

TEST(Sha256, IsThatOfItsStandard) {
  if (!has_sha256()) {
    EXPECT_TRUE(contains(error_of([] { sha256("abc"); }), "built without OpenSSL"));
    EXPECT_FALSE(can_download());
    return;
  }
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(ReadFile, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const auto error = [&](const fs::path& path) { return error_of([&] { (void)read_file(path); }); };
  const auto empty = folder.write("empty", "");
  EXPECT_EQ(error(folder.path() / "none"), (folder.path() / "none").string() + ": not there");
  EXPECT_EQ(error(folder.path()), folder.path().string() + ": a folder, not a file");
  EXPECT_EQ(error(empty), empty.string() + ": empty");
  EXPECT_EQ(error("/proc/self/mem"), "/proc/self/mem: cannot be read");
  EXPECT_EQ(error("/dev/null"), "/dev/null: a pipe, a socket or a device, not a file");
}

TEST(ReadFile, TakesEveryByte) {
  const TemporaryFolder folder;
  const std::string contents = std::string(200'000, 'x') + "\r\n" + std::string(1, '\0') + "\xFF";
  EXPECT_EQ(read_file(folder.write("file", contents)), contents);
}

}  // namespace
}  // namespace folio::data
