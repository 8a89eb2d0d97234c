#include "data/safetensors.hpp"

#include <filesystem>
#include <fstream>

#include "autograd/ops.hpp"
#include "tests/data/support.hpp"
#include "tests/shares.hpp"

namespace folio::data {
namespace {

class Safetensors : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("folio-safetensors-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write_raw(const std::string& header, std::size_t data_bytes) {
    const auto path = folder_ / "raw.safetensors";
    std::ofstream out(path, std::ios::binary);
    const std::uint64_t length = header.size();
    out.write(reinterpret_cast<const char*>(&length), 8);
    out << header << std::string(data_bytes, '\1');
    return path;
  }
  /// The message with which a file of this header and so many bytes of data is refused.
  std::string refusal(const std::string& header, std::size_t data_bytes = 8) {
    try {
      load_safetensors(write_raw(header, data_bytes));
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }
  std::filesystem::path folder_;
};

FOLIO_PROPERTY(SafetensorsReadBack, KeepEveryValueShapeAndDtype) {
  Generator generator(seed);
  TensorFile file;
  const auto count = testing::between(0, 4);
  for (std::int64_t i = 0; i < count; ++i) {
    const Shape shape = {testing::between(0, 3), testing::between(1, 3)};
    const DType dtype =
        *rc::gen::element(DType::float32, DType::float64, DType::int32, DType::int64, DType::bfloat16, DType::float16);
    const Tensor x = uniform(shape, generator, -100, 100, {dtype});
    const Tensor& kept = file.tensors["tensor " + std::to_string(i)] =
        *rc::gen::arbitrary<bool>() ? x.transpose(0, 1) : x;
    shares.note("non-contiguous", !kept.is_contiguous(), 15);
    shares.note("with a tensor of no elements", x.numel() == 0, 25);
    shares.note("with indices", !is_float(dtype), 25);
    shares.note("in 16 bits", dtype == DType::bfloat16 || dtype == DType::float16, 30);
  }
  shares.note("of several tensors", count > 1, 40);
  file.tensors["scalar"] = full({}, 2.5);
  file.metadata["note"] = "ünïcode \" and quotes";
  const TemporaryFolder folder;
  const auto path = folder.path() / "round.safetensors";
  save_safetensors(path, file);
  const TensorFile back = load_safetensors(path);
  RC_ASSERT(back.tensors.size() == file.tensors.size());
  for (const auto& [name, x] : file.tensors) {
    const Tensor& y = back.tensors.at(name);
    RC_ASSERT(y.shape() == x.shape());
    RC_ASSERT(y.dtype() == x.dtype());
    RC_ASSERT(y.to_vector() == x.to_vector());
  }
  RC_ASSERT(back.metadata.at("format") == "pt");
  RC_ASSERT(back.metadata.at("note") == file.metadata.at("note"));
}

TEST_F(Safetensors, NamesThe16BitFloatsAsOthersDo) {
  save_safetensors(folder_ / "halves",
                   {{{"b", full({}, 1, {DType::bfloat16})}, {"h", full({}, 1, {DType::float16})}}, {}});
  std::ifstream in(folder_ / "halves", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  EXPECT_NE(bytes.find(R"("b":{"dtype":"BF16","shape":[],"data_offsets":[0,2]})"), std::string::npos) << bytes;
  EXPECT_NE(bytes.find(R"("h":{"dtype":"F16","shape":[],"data_offsets":[2,4]})"), std::string::npos) << bytes;
  EXPECT_EQ(bytes.substr(bytes.size() - 4), std::string("\x80\x3f\x00\x3c", 4));
}

TEST_F(Safetensors, StartsItsDataAtAMultipleOfEight) {
  save_safetensors(folder_ / "a", {{{"x", full({}, 1)}}, {}});
  std::ifstream in(folder_ / "a", std::ios::binary);
  std::uint64_t length = 0;
  in.read(reinterpret_cast<char*>(&length), 8);
  EXPECT_EQ(length % 8, 0U);
}

TEST_F(Safetensors, RefusesWhatDoesNotAddUp) {
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  EXPECT_EQ(refusal(one("F32", "[2]", "[0,8]")), "accepted");
  const std::string deep(1'000'000, '[');
  const std::pair<std::string, const char*> cases[] = {
      {refusal("[1]"), "not a JSON object"},
      {refusal("{\"w\":"), "not a JSON object"},
      {refusal("{\"\xff\":1}"), "not a JSON object"},
      {refusal(one("F31", "[2]", "[0,8]")), "dtype 'F31'"},
      {refusal(one("F32", "[3]", "[0,8]")), "holds 8 bytes"},
      {refusal(one("F32", "[-2]", "[0,8]")), "not a whole number"},
      {refusal(one("F32", "[2]", "[8,0]")), "backwards"},
      {refusal(one("F32", "[2]", "[0,8]"), 12), "4 bytes are left over"},
      {refusal(one("F32", "[2]", "[0,8]"), 4), "past the end"},
      {refusal(one("F32", "[2]", "[8,16]"), 16), "hole"},
      {refusal(one("F32", "[4611686018427387904,4]", "[0,8]")), "overflows"},
      {refusal(
           R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"),
       "overlaps"},
      {refusal(
           R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"),
       "twice"},
      {refusal(R"({"__metadata__":{"a":1}})", 0), "not a string"},
      {refusal("{\"w\":" + deep + std::string(deep.size(), ']') + "}"), "exactly dtype"}};
  for (const auto& [message, expected] : cases) {
    EXPECT_NE(message.find(expected), std::string::npos) << "'" << message << "' does not say '" << expected << "'";
    EXPECT_NE(message.find("raw.safetensors"), std::string::npos) << message;
  }
  std::ofstream(folder_ / "short", std::ios::binary) << "abc";
  EXPECT_THROW(load_safetensors(folder_ / "short"), Error);
  const auto message = [](const std::filesystem::path& path) { return error_of([&] { load_safetensors(path); }); };
  EXPECT_EQ(message(folder_ / "absent"), (folder_ / "absent").string() + ": not there");
  EXPECT_EQ(message(folder_), folder_.string() + ": a folder, not a file");
  EXPECT_EQ(message("/dev/null"), "/dev/null: a pipe, a socket or a device, not a file");
}

TEST_F(Safetensors, RefusesNamesThatItsHeaderCannotHold) {
  const Tensor x = full({}, 1);
  const auto message = [&](const TensorFile& file) {
    return error_of([&] { save_safetensors(folder_ / "named", file); });
  };
  EXPECT_EQ(message({{{"__metadata__", x}}, {}}),
            "save_safetensors: no tensor can be named '__metadata__', where the format keeps metadata");
  const std::string bad = "caf\xe9";
  for (const auto& [file, what] : {std::pair(TensorFile{{{bad, x}}, {}}, "the name of a tensor: "),
                                   std::pair(TensorFile{{{"x", x}}, {{bad, "y"}}}, "a key of the metadata: "),
                                   std::pair(TensorFile{{{"x", x}}, {{"y", bad}}}, "metadata: ")}) {
    EXPECT_EQ(message(file).find("save_safetensors: " + std::string(what)), 0U) << message(file);
    EXPECT_NE(message(file).find("UTF-8"), std::string::npos) << message(file);
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "named"));
}

TEST_F(Safetensors, LeavesNothingBehindWhenItCannotWrite) {
  const auto before = std::distance(std::filesystem::directory_iterator(folder_), {});
  std::filesystem::create_directory(folder_ / "taken");
  EXPECT_THROW(save_safetensors(folder_ / "taken", {{{"x", full({}, 1)}}, {}}), Error);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), before + 1);
}

}  // namespace
}  // namespace folio::data
