// gqa_merge gives the same bits on a device as on the CPU.

#include "runtime/cuda/Resources.h"
#include "runtime/gqa.h"
#include "test/unit/cuda/FakeCuda.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <random>

using namespace gqa::cuda;

namespace {

constexpr int64_t kBatch = 3, kHeads = 4, kRows = 5, kDim = 70;
constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

/// An output [b, h, m, d] and its lse, on the host and on the device. Tokens may lie before heads, and rows of lse
/// apart.
struct Part {
  Part(const std::shared_ptr<const Device> &device, std::mt19937 &random, bool areTokensFirst)
      : outputStrides{kHeads * kRows * kDim, areTokensFirst ? kDim : kRows * kDim,
                      areTokensFirst ? kHeads * kDim : kDim, 1},
        lseStrides{kHeads * (kRows + (areTokensFirst ? 2 : 0)), kRows + (areTokensFirst ? 2 : 0), 1},
        output(kBatch * kHeads * kRows * kDim), lse(kBatch * lseStrides[0]), stream(device),
        outputMemory(device, output.size() * sizeof(float)), lseMemory(device, lse.size() * sizeof(float)) {
    std::normal_distribution<float> normal;
    for (float &value : output)
      value = normal(random);
    for (size_t i = 0; i < lse.size(); ++i)
      lse[i] = i % 7 == 3 ? -kInfinity : 20 * normal(random);
    for (size_t i = 0; i < lse.size(); ++i)
      if (lse[i] == -kInfinity && !areTokensFirst)
        std::fill_n(output.begin() + static_cast<int64_t>(i) * kDim, kDim, kNaN);
    stream.upload(outputMemory.getPointer(), output.data(), output.size() * sizeof(float));
    stream.upload(lseMemory.getPointer(), lse.data(), lse.size() * sizeof(float));
    stream.synchronize();
    views[0][0] = {output.data(), {kDLCPU, 0}, 4, {kDLFloat, 32, 1}, shape, outputStrides, 0};
    views[0][1] = {lse.data(), {kDLCPU, 0}, 3, {kDLFloat, 32, 1}, shape, lseStrides, 0};
    for (int i = 0; i < 2; ++i) {
      views[1][i] = views[0][i];
      views[1][i].data = (i ? lseMemory : outputMemory).get();
      views[1][i].device = {kDLCUDA, 0};
    }
  }
  Part(const Part &) = delete;

  bool isSame() {
    std::vector<float> onDevice(output.size()), sums(lse.size());
    stream.download(onDevice.data(), outputMemory.getPointer(), output.size() * sizeof(float));
    stream.download(sums.data(), lseMemory.getPointer(), lse.size() * sizeof(float));
    stream.synchronize();
    return std::memcmp(onDevice.data(), output.data(), output.size() * sizeof(float)) == 0 &&
           std::memcmp(sums.data(), lse.data(), lse.size() * sizeof(float)) == 0;
  }

  int64_t shape[4] = {kBatch, kHeads, kRows, kDim}, outputStrides[4], lseStrides[3];
  std::vector<float> output, lse;
  Stream stream;
  Memory outputMemory, lseMemory;
  DLTensor views[2][2]; ///< on the host and on the device: output and lse
};

struct DeviceMerge : testing::Test {
  void SetUp() override {
    fakecuda::Options options;
    options.kernels = GQA_CACHE_KERNELS;
    fakecuda::reset(options);
  }
};

TEST_F(DeviceMerge, GivesTheBitsOfTheHosts) {
  {
    std::shared_ptr<const Device> device = Device::open(0);
    std::unique_ptr<gqa_context, void (*)(gqa_context *)> context(gqa_context_create(nullptr), gqa_context_destroy);
    std::mt19937 random(3);
    for (int numParts : {0, 1, 2, 7, 48, 49}) {
      std::vector<std::unique_ptr<Part>> parts;
      for (int i = 0; i <= numParts; ++i) // the last one is the result
        parts.push_back(std::make_unique<Part>(device, random, /*areTokensFirst=*/i % 3 == 1));
      gqa_status status[2];
      for (int place = 0; place < 2; ++place) {
        std::vector<const DLTensor *> outputs, lses;
        for (int i = 0; i < numParts; ++i) {
          outputs.push_back(&parts[static_cast<size_t>(i)]->views[place][0]);
          lses.push_back(&parts[static_cast<size_t>(i)]->views[place][1]);
        }
        // Every second time over one of the parts.
        Part &result = *parts[static_cast<size_t>(numParts % 2 ? numParts / 2 : numParts)];
        status[place] = gqa_merge(context.get(), outputs.data(), lses.data(), numParts, &result.views[place][0],
                                  &result.views[place][1]);
      }
      fakecuda::finish();
      EXPECT_EQ(status[0], GQA_OK);
      if (numParts > 48) {
        EXPECT_EQ(status[1], GQA_INVALID_ARGUMENT);
        EXPECT_STREQ(gqa_context_message(context.get()), "on a device at most 48 parts are merged at once, got 49");
        continue;
      }
      EXPECT_EQ(status[1], GQA_OK) << gqa_context_message(context.get());
      for (const std::unique_ptr<Part> &part : parts)
        EXPECT_TRUE(part->isSame()) << numParts << " parts";
    }
  }
  EXPECT_EQ(fakecuda::describeLeaks(), "");
}

TEST_F(DeviceMerge, StartsOneKernel) {
  std::shared_ptr<const Device> device = Device::open(0);
  std::unique_ptr<gqa_context, void (*)(gqa_context *)> context(gqa_context_create(nullptr), gqa_context_destroy);
  std::mt19937 random(3);
  Part first(device, random, false), second(device, random, false);
  const DLTensor *outputs[] = {&first.views[1][0], &second.views[1][0]};
  const DLTensor *lses[] = {&first.views[1][1], &second.views[1][1]};
  ASSERT_EQ(gqa_merge(context.get(), outputs, lses, 2, &first.views[1][0], &first.views[1][1]), GQA_OK);
  fakecuda::clearCalls();
  ASSERT_EQ(gqa_merge(context.get(), outputs, lses, 2, &first.views[1][0], &first.views[1][1]), GQA_OK);
  EXPECT_EQ(fakecuda::getCalls(), (std::vector<std::string>{"cuCtxPushCurrent", "cuLaunchKernel", "cuCtxPopCurrent"}));
  // All on one device.
  second.views[1][0].device = {kDLCPU, 0};
  EXPECT_EQ(gqa_merge(context.get(), outputs, lses, 2, &first.views[1][0], &first.views[1][1]), GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(gqa_context_message(context.get()),
               "output of part 1 must be in memory of a CUDA device (device type 2), got device type 1");
}

} // namespace
