#include "data/download.hpp"

#include "autograd/error.hpp"
#include "data/file.hpp"
#include "data/made_folders.hpp"
#include "data/sha256.hpp"

#if FOLIO_HAS_CURL
#include <curl/curl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#endif

namespace folio::data {

void verify(std::string_view contents, const PinnedFile& file, const std::string& place) {
  require(contents.size() == file.bytes, [&] {
    return place + ": " + std::to_string(contents.size()) + " bytes where " + std::to_string(file.bytes) +
           " are expected: refused";
  });
  if (has_sha256()) {
    const std::string found = sha256(contents);
    require(found == file.sha256,
            [&] { return place + ": sha256 " + found + " where " + file.sha256 + " is expected: refused"; });
  }
}

#if FOLIO_HAS_CURL

namespace {

namespace fs = std::filesystem;

/// An open temporary file beside the target; unless it is kept, it goes again, and with it the folders made for it.
class Temporary {
 public:
  Temporary(const fs::path& target, const std::string& address) : folders_(target.parent_path()) {
    const std::error_code error = folders_.problem();
    std::string name = target.string() + ".XXXXXX";
    const int descriptor = error ? -1 : ::mkstemp(name.data());
    if (descriptor >= 0) {
      path_ = name;
      file_ = ::fdopen(descriptor, "wb");
    }
    if (file_ == nullptr) {
      const std::string reason = error ? error.message() : std::strerror(errno);
      remove();
      throw Error(address + ": cannot write " + target.string() + " (" + reason + ")");
    }
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    close();
    remove();
  }

  std::FILE* file() const { return file_; }
  const fs::path& path() const { return path_; }

  /// Flushes to the disk and closes; false where that failed (a full disk).
  bool close() {
    if (file_ == nullptr) {
      return true;
    }
    const bool flushed = std::fflush(file_) == 0 && ::fsync(::fileno(file_)) == 0;
    return std::fclose(std::exchange(file_, nullptr)) == 0 && flushed;
  }

  /// The file becomes `target`, and nothing is left to remove.
  bool keep_as(const fs::path& target) {
    std::error_code error;
    fs::rename(path_, target, error);
    if (!error) {
      path_.clear();
    }
    return !error;
  }

 private:
  void remove() const {
    std::error_code ignored;
    if (!path_.empty()) {
      fs::remove(path_, ignored);
    }
  }

  MadeFolders folders_;  // gone last, after the file
  fs::path path_;
  std::FILE* file_ = nullptr;
};

struct Sink {
  std::FILE* file;
  std::uintmax_t room;  // bytes that may still come
};

/// libcurl's write callback: takes at most what the pinned size leaves room for; a short count ends the transfer.
std::size_t receive(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& sink = *static_cast<Sink*>(user);
  const std::size_t arrived = size * count;
  if (arrived > sink.room) {
    return 0;
  }
  sink.room -= arrived;
  return std::fwrite(bytes, 1, arrived, sink.file);
}

/// Empty where the transfer succeeded, else the reason.
std::string transfer(const PinnedFile& file, std::FILE* out) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
  if (started != CURLE_OK || !curl) {
    return "libcurl does not start";
  }
  Sink sink{out, file.bytes};
  std::array<char, CURL_ERROR_SIZE> detail{};
  const auto set = [&](auto option, auto value) { curl_easy_setopt(curl.get(), option, value); };
  set(CURLOPT_URL, file.address.c_str());
  set(CURLOPT_PROTOCOLS_STR, "https,file");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "https");
  set(CURLOPT_FOLLOWLOCATION, 1L);
  set(CURLOPT_MAXREDIRS, 5L);
  set(CURLOPT_FAILONERROR, 1L);
  set(CURLOPT_CONNECTTIMEOUT, 5L);
  set(CURLOPT_LOW_SPEED_LIMIT, 1000L);
  set(CURLOPT_LOW_SPEED_TIME, 10L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // do not wait for a name server that does not answer
  set(CURLOPT_WRITEFUNCTION, &receive);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&sink));
  set(CURLOPT_ERRORBUFFER, detail.data());
  const CURLcode code = curl_easy_perform(curl.get());
  if (code == CURLE_OK) {
    return {};
  }
  return detail[0] != '\0' ? detail.data() : curl_easy_strerror(code);
}

}  // namespace

bool can_download() { return true; }

void download(const PinnedFile& file, const fs::path& target) {
  Temporary temporary(target, file.address);
  const std::string problem = transfer(file, temporary.file());
  require(problem.empty(), [&] { return file.address + ": not fetched (" + problem + ")"; });
  require(temporary.close(),
          [&] { return file.address + ": cannot write " + target.string() + ": is the disk full?"; });
  verify(read_file(temporary.path()), file, file.address);
  require(temporary.keep_as(target), [&] { return file.address + ": cannot rename to " + target.string(); });
}

#else

bool can_download() { return false; }

void download(const PinnedFile& file, const std::filesystem::path&) {
  throw Error(file.address + ": built without libcurl: downloads are off");
}

#endif

}  // namespace folio::data
