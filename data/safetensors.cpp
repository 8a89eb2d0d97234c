#include "data/safetensors.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "data/file.hpp"
#include "data/utf8.hpp"

namespace folio::data {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

using Json = nlohmann::json;  // not the ordered one, which searches all names for each
constexpr std::uint64_t longest_header = 100'000'000;
constexpr const char* metadata_key = "__metadata__";

struct Named {
  std::string name;
  DType dtype;
};
constexpr std::pair<DType, const char*> dtype_names[] = {{DType::float32, "F32"},   {DType::float64, "F64"},
                                                         {DType::bfloat16, "BF16"}, {DType::float16, "F16"},
                                                         {DType::int32, "I32"},     {DType::int64, "I64"}};

const char* text_of(DType dtype) {
  for (const auto& [known, text] : dtype_names) {
    if (known == dtype) return text;
  }
  return "?";
}

/// Where one tensor's bytes lie in the data part.
struct Extent {
  std::string name;
  DType dtype;
  Shape shape;
  std::uint64_t begin, end;
};

/// Finds the first key that an object names twice, which a parsed object no longer tells. (A callback of Json::parse
/// would see it, too; but with one, nlohmann walks through all the names before for each.)
struct RepeatedKey : Json::json_sax_t {
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(Json::binary_t&) override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override { return false; }
  bool start_object(std::size_t) override {
    keys.emplace_back();
    return true;
  }
  bool end_object() override {
    keys.pop_back();
    return true;
  }
  bool key(std::string& found) override {
    const bool fresh = keys.back().insert(found).second;
    if (!fresh) name = found;
    return fresh;
  }

  std::vector<std::set<std::string>> keys;  // of each open object
  std::string name;
};

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path) {}

  TensorFile read() {
    require_regular_file(path_);
    std::ifstream in(path_, std::ios::binary | std::ios::ate);
    require(in.is_open(), [&] { return path_.string() + ": cannot be opened; is the path right?"; });
    const auto size = static_cast<std::uint64_t>(in.tellg());
    in.seekg(0);
    check(size >= 8, "shorter than the 8 bytes of its header's length");
    std::uint64_t length = 0;
    in.read(reinterpret_cast<char*>(&length), 8);
    check(length <= longest_header,
          "header of " + std::to_string(length) + " bytes, more than the 100,000,000 allowed");
    check(length <= size - 8, "header of " + std::to_string(length) + " bytes runs past the end of the file");
    std::string header(length, '\0');
    in.read(header.data(), static_cast<std::streamsize>(length));

    TensorFile file;
    std::vector<Extent> extents = parse(header, file.metadata);
    check_cover(extents, size - 8 - length);
    for (const Extent& e : extents) {
      Tensor x = empty(e.shape, {e.dtype});
      in.seekg(static_cast<std::streamoff>(8 + length + e.begin));
      in.read(reinterpret_cast<char*>(x.storage()->data()), static_cast<std::streamsize>(e.end - e.begin));
      check(in.good() || e.begin == e.end, "could not be read to its end", e.name);
      file.tensors.emplace(e.name, std::move(x));
    }
    return file;
  }

 private:
  void check(bool holds, const std::string& reason, const std::string& tensor = {}) const {
    require(holds,
            [&] { return path_.string() + ": " + (tensor.empty() ? "" : "tensor '" + tensor + "': ") + reason; });
  }

  Json parse_json(const std::string& header) const {
    RepeatedKey repeated;
    const bool whole = Json::sax_parse(header, &repeated);
    check(repeated.name.empty(), "its header names '" + repeated.name + "' twice");
    Json json = whole ? Json::parse(header) : Json();
    check(json.is_object(), "its header is not a JSON object in UTF-8");
    return json;
  }

  std::vector<Extent> parse(const std::string& header, std::map<std::string, std::string>& metadata) const {
    std::vector<Extent> extents;
    const Json json = parse_json(header);
    for (const auto& [name, entry] : json.items()) {
      if (name == metadata_key) {
        check(entry.is_object(), "__metadata__ is not a JSON object");
        for (const auto& [key, value] : entry.items()) {
          check(value.is_string(), "__metadata__ '" + key + "' is not a string");
          metadata[key] = value.get<std::string>();
        }
      } else {
        extents.push_back(extent(name, entry));
      }
    }
    return extents;
  }

  std::uint64_t whole_number(const Json& value, const std::string& name, const char* what) const {
    check(value.is_number_unsigned(), std::string(what) + " is not a whole number", name);
    return value.get<std::uint64_t>();
  }

  Extent extent(const std::string& name, const Json& entry) const {
    check(entry.is_object() && entry.size() == 3 && entry.contains("dtype") && entry.contains("shape") &&
              entry.contains("data_offsets") && entry["dtype"].is_string() && entry["shape"].is_array() &&
              entry["data_offsets"].is_array() && entry["data_offsets"].size() == 2,
          "needs exactly dtype, shape and two data_offsets", name);
    Extent e{name,
             DType::float32,
             {},
             whole_number(entry["data_offsets"][0], name, "an offset"),
             whole_number(entry["data_offsets"][1], name, "an offset")};
    const auto dtype = entry["dtype"].get<std::string>();
    const auto* found = std::find_if(std::begin(dtype_names), std::end(dtype_names),
                                     [&](const auto& known) { return dtype == known.second; });
    check(found != std::end(dtype_names), "dtype '" + dtype + "' is not one of F32, F64, BF16, F16, I32, I64", name);
    e.dtype = found->first;
    check(entry["shape"].size() <= Dims::max_rank, "has more than 8 dimensions", name);
    std::uint64_t bytes = size_of(e.dtype);
    for (const Json& value : entry["shape"]) {
      const std::uint64_t n = whole_number(value, name, "an extent");
      check(n == 0 || bytes <= std::numeric_limits<std::int64_t>::max() / n, "its size overflows", name);
      bytes *= n;
      check(n <= std::numeric_limits<std::int64_t>::max(), "its size overflows", name);
      e.shape.push_back(static_cast<std::int64_t>(n));
    }
    check(e.begin <= e.end, "its offsets run backwards", name);
    check(e.end - e.begin == bytes,
          "holds " + std::to_string(e.end - e.begin) + " bytes, but its shape " + to_string(e.shape) + " of " + dtype +
              " takes " + std::to_string(bytes),
          name);
    return e;
  }

  void check_cover(std::vector<Extent>& extents, std::uint64_t bytes) const {
    std::stable_sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    std::uint64_t at = 0;
    for (const Extent& e : extents) {
      check(e.begin >= at, "overlaps the tensor before it", e.name);
      check(e.begin == at, "leaves a hole before it", e.name);
      check(e.end <= bytes, "runs past the end of the file", e.name);
      at = e.end;
    }
    check(at == bytes, std::to_string(bytes - at) + " bytes are left over after the last tensor");
  }

  std::filesystem::path path_;
};

/// Errors of what a header cannot hold.
void check_names(const TensorFile& file) {
  const auto check = [](const std::string& what, const std::string& text) {
    try {
      decode_utf8(text);
    } catch (const Error& error) {
      throw Error("save_safetensors: " + what + ": " + error.what());
    }
  };
  for (const auto& [name, x] : file.tensors) {
    require(name != metadata_key, [] {
      return std::string("save_safetensors: no tensor can be named '__metadata__', where the format keeps metadata");
    });
    check("the name of a tensor", name);
  }
  for (const auto& [key, value] : file.metadata) check("a key of the metadata", key), check("metadata", value);
}

std::string header_of(const TensorFile& file, std::vector<Named>& order) {
  for (const auto& [name, x] : file.tensors) order.push_back({name, x.dtype()});
  std::stable_sort(order.begin(), order.end(), [](const Named& a, const Named& b) {
    return std::pair(size_of(b.dtype), a.name) < std::pair(size_of(a.dtype), b.name);
  });
  nlohmann::ordered_json header;
  header[metadata_key] = {{"format", "pt"}};
  for (const auto& [key, value] : file.metadata) header[metadata_key][key] = value;
  std::uint64_t at = 0;
  for (const Named& entry : order) {
    const Tensor& x = file.tensors.at(entry.name);
    const std::uint64_t end = at + static_cast<std::uint64_t>(x.numel()) * size_of(x.dtype());
    header[entry.name] = {{"dtype", text_of(x.dtype())},
                          {"shape", std::vector<std::int64_t>(x.shape().begin(), x.shape().end())},
                          {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

/// A file that is only there under its name once it is complete and on the disk.
class Writer {
 public:
  explicit Writer(std::filesystem::path path) : path_(std::move(path)), temporary_(path_.string() + ".tmp") {
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    check(descriptor_ >= 0);
  }
  ~Writer() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!done_) std::filesystem::remove(temporary_, ignored_);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void write(const void* data, std::size_t bytes) {
    const auto* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t written = ::write(descriptor_, at, bytes);
      check(written > 0 || errno == EINTR);
      if (written <= 0) continue;
      at += written;
      bytes -= static_cast<std::size_t>(written);
    }
  }
  void finish() {
    check(::fsync(descriptor_) == 0);
    check(::close(std::exchange(descriptor_, -1)) == 0);
    check(std::rename(temporary_.c_str(), path_.c_str()) == 0);
    done_ = true;
  }

 private:
  void check(bool holds) const {
    require(holds, [&] { return path_.string() + ": cannot be written: " + std::strerror(errno); });
  }
  std::filesystem::path path_, temporary_;
  std::error_code ignored_;
  int descriptor_ = -1;
  bool done_ = false;
};

}  // namespace

void save_safetensors(const std::filesystem::path& path, const TensorFile& file) {
  check_names(file);
  std::vector<Named> order;
  const std::string header = header_of(file, order);
  const std::uint64_t length = header.size();
  Writer out(path);
  out.write(&length, 8);
  out.write(header.data(), header.size());
  for (const Named& entry : order) {
    const Tensor x = file.tensors.at(entry.name).detach().to(Device::cpu).contiguous();
    const std::size_t width = size_of(x.dtype());
    out.write(x.storage()->data() + static_cast<std::size_t>(x.offset()) * width,
              static_cast<std::size_t>(x.numel()) * width);
  }
  out.finish();
}

TensorFile load_safetensors(const std::filesystem::path& path) { return Reader(path).read(); }

}  // namespace folio::data
