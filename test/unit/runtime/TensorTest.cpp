// DLPack tensors: what is accepted gives the right numbers, and what is wrong is named.

#include "TestArtifact.h"

#include <cstring>

namespace gqa::test {
namespace {

TEST(Tensor, StridesAndByteOffsetsAreHonoured) {
  TestArtifact artifact;
  Tensors dense(2, 3, 5);
  ASSERT_EQ(dense.call(artifact), GQA_OK) << artifact.getMessage();

  // The same as [tokens, batch, heads, 8], with the tensors in the middle of larger memory.
  Tensor q({3, 2, 4, 8}), k({1 + 5, 2, 2, 8}), v({5, 2, 3, 8}), o({3, 2, 4, 8});
  auto at = [](int64_t token, int64_t batch, int64_t head, int64_t heads) {
    return static_cast<size_t>(((token * 2 + batch) * heads + head) * 8);
  };
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t h = 0; h < 4; ++h)
      for (int64_t t = 0; t < 3; ++t)
        std::memcpy(&q.data[at(t, b, h, 4)], &dense.q.data[static_cast<size_t>(((b * 4 + h) * 3 + t) * 8)], 32);
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t t = 0; t < 5; ++t) {
        size_t row = static_cast<size_t>(((b * 2 + h) * 5 + t) * 8);
        std::memcpy(&k.data[at(t + 1, b, h, 2)], &dense.k.data[row], 32);
        std::memcpy(&v.data[at(t, b, h + 1, 3)], &dense.v.data[row], 32);
      }
  }
  auto view = [](Tensor &tensor, std::vector<int64_t> shape, std::vector<int64_t> strides, uint64_t offset) {
    DLTensor dl = tensor.dl;
    static std::vector<std::vector<int64_t>> kept; // as long as the test
    kept.reserve(16);
    dl.ndim = static_cast<int32_t>(shape.size());
    dl.shape = kept.emplace_back(shape).data();
    dl.strides = kept.emplace_back(strides).data();
    dl.byte_offset = offset * sizeof(float);
    return dl;
  };
  DLTensor qView = view(q, {2, 2, 2, 3, 8}, {32, 16, 8, 64, 1}, 0);
  DLTensor kView = view(k, {2, 2, 5, 8}, {16, 8, 32, 1}, 32);
  DLTensor vView = view(v, {2, 2, 5, 8}, {24, 8, 48, 1}, 8);
  DLTensor oView = view(o, {2, 2, 2, 3, 8}, {32, 16, 8, 64, 1}, 0);
  ASSERT_EQ(artifact.call("attention", &qView, &kView, &vView, &oView), GQA_OK) << artifact.getMessage();
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t h = 0; h < 4; ++h)
      for (int64_t t = 0; t < 3; ++t)
        EXPECT_EQ(
            std::memcmp(&o.data[at(t, b, h, 4)], &dense.o.data[static_cast<size_t>(((b * 4 + h) * 3 + t) * 8)], 32), 0)
            << b << " " << h << " " << t;

  // A key head for both: stride 0.
  DLTensor shared = view(k, {2, 2, 5, 8}, {16, 0, 32, 1}, 32);
  EXPECT_EQ(artifact.call("attention", &qView, &shared, &vView, &oView), GQA_OK) << artifact.getMessage();
}

TEST(Tensor, EmptyOnesNeedNoData) {
  TestArtifact artifact;
  Tensors none(0, 3, 5);
  none.q.dl.data = none.k.dl.data = none.v.dl.data = none.o.dl.data = nullptr;
  none.q.dl.byte_offset = 64;
  int64_t strides[5] = {0, 0, 0, 0, 1}; // as dense tensors without elements may have
  none.o.dl.strides = strides;
  EXPECT_EQ(none.call(artifact), GQA_OK) << artifact.getMessage();
  Tensors noKeys(1, 3, 0);
  noKeys.o.fill(7);
  EXPECT_EQ(noKeys.call(artifact), GQA_OK) << artifact.getMessage();
  EXPECT_EQ(noKeys.o.data, std::vector<float>(noKeys.o.data.size(), 0.0f)) << "a row without keys gives 0";
}

/// Calls with one thing changed, which must be refused with this message, and must write nothing.
class WrongTensor : public ::testing::Test {
protected:
  template <typename Change> void expectRefused(Change change, const std::string &message) {
    Tensors tensors(2, 3, 5);
    tensors.o.fill(7);
    std::vector<float> before = tensors.o.data;
    change(tensors);
    EXPECT_EQ(tensors.call(artifact), GQA_INVALID_ARGUMENT);
    EXPECT_EQ(artifact.getMessage(), message);
    EXPECT_EQ(tensors.o.data, before);
  }

  TestArtifact artifact;
};

TEST_F(WrongTensor, IsNamed) {
  expectRefused([](Tensors &t) { t.k.dl.device.device_type = kDLCUDA; },
                "input 1 of 'attention' is on CUDA device 0, but the entry takes CPU memory (1)");
  expectRefused([](Tensors &t) { t.k.dl.dtype.lanes = 2; },
                "input 1 of 'attention' has element type DLPack type (2, 32, 2), expected f32[s0, 2, s2, 8]");
  expectRefused([](Tensors &t) { t.k.dl.dtype = {kDLFloat, 16, 1}; },
                "input 1 of 'attention' has element type f16, expected f32[s0, 2, s2, 8]");
  expectRefused([](Tensors &t) { t.k.dl.ndim = 0; },
                "input 1 of 'attention' has rank 0, expected rank 4 as f32[s0, 2, s2, 8]");
  expectRefused([](Tensors &t) { t.k.dl.ndim = -1; },
                "input 1 of 'attention' has rank -1, expected rank 4 as f32[s0, 2, s2, 8]");
  expectRefused([](Tensors &t) { t.k.dl.shape = nullptr; }, "input 1 of 'attention' has no shape");
  expectRefused([](Tensors &t) { t.v.dl.data = nullptr; }, "input 2 of 'attention' has no data");
  expectRefused([](Tensors &t) { t.v.dl.byte_offset = 2; },
                "input 2 of 'attention' is not aligned to its elements of 4 bytes");
  expectRefused([](Tensors &t) { t.k.shape[1] = 3; }, "input 1 of 'attention': dimension 1 is 3, expected 2");
  expectRefused([](Tensors &t) { t.q.shape[0] = -2; }, "input 0 of 'attention': dimension 0 is -2, which is negative");
  static int64_t strides[5] = {96, 48, 24, 1, 3};
  expectRefused([](Tensors &t) { t.q.dl.strides = strides; },
                "input 0 of 'attention': the innermost stride is 3, expected 1");
  static int64_t broadcast[5] = {48, 24, 24, 0, 1};
  expectRefused([](Tensors &t) { t.o.dl.strides = broadcast; },
                "output 0 of 'attention' cannot be written: its 3 elements of dimension 3 are one");
  expectRefused([](Tensors &t) { t.o.shape[3] = 4; }, "output 0 of 'attention': dimension 3 is 4, expected 3");
}

TEST_F(WrongTensor, SizesThatOverflowAreRefused) {
  constexpr int64_t kHuge = int64_t(1) << 60;
  expectRefused([](Tensors &t) { t.q.shape[0] = kHuge; }, "input 0 of 'attention' is larger than any memory");
  expectRefused([](Tensors &t) { t.k.shape[2] = INT64_MAX; }, "input 1 of 'attention' is larger than any memory");
  // An empty tensor has no elements, but sizes are computed from its other extents.
  expectRefused(
      [](Tensors &t) {
        t.q.shape[0] = 0;
        t.q.shape[3] = INT64_MAX / 2;
      },
      "input 0 of 'attention' is larger than any memory");
  static int64_t strides[5];
  expectRefused(
      [](Tensors &t) {
        std::copy_n(std::begin({kHuge, kHuge, int64_t(8), int64_t(8), int64_t(1)}), 5, strides);
        t.q.dl.strides = strides;
      },
      "input 0 of 'attention' is larger than any memory");
  expectRefused(
      [](Tensors &t) {
        std::copy_n(std::begin({INT64_MIN, int64_t(8), int64_t(8), int64_t(8), int64_t(1)}), 5, strides);
        t.q.dl.strides = strides;
      },
      "input 0 of 'attention' is larger than any memory");
}

} // namespace
} // namespace gqa::test
