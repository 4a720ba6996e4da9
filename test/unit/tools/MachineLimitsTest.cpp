#include "tools/MachineLimits.h"
#include "tools/LimitKernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <memory>

using namespace gqa;

namespace {

/// Every value that is read counts, so no read is left out.
void expectReadsAll(const LimitKernels &kernels) {
  constexpr size_t floats = 4096;
  std::unique_ptr<float, decltype(&std::free)> data(
      static_cast<float *>(std::aligned_alloc(64, floats * sizeof(float))), &std::free);
  std::fill_n(data.get(), floats, 0.0f);
  for (size_t i = 0; i < floats; i += 97) {
    data.get()[i] = 1;
    EXPECT_EQ(kernels.read(data.get(), floats), 1) << "value " << i;
    data.get()[i] = 0;
  }
}

TEST(LimitKernels, ReadWholeBuffers) {
  for (const LimitKernels &kernels : supportedLimitKernels())
    expectReadsAll(kernels);
}

TEST(LimitKernels, ArithmeticStaysFinite) {
  for (const LimitKernels &kernels : supportedLimitKernels()) {
    EXPECT_TRUE(std::isnormal(kernels.fma(100000)));
    EXPECT_GT(kernels.fmaFlopsPerIteration, 0);
    if (kernels.bf16Dot)
      EXPECT_TRUE(std::isnormal(kernels.bf16Dot(100000)));
  }
}

TEST(MachineLimits, ArePositiveAndPlausible) {
  MachineLimits limits = measureMachineLimits(/*threads=*/1);
  EXPECT_EQ(limits.threads, 1);
  EXPECT_GT(limits.fmaGflops, 0.1);
  EXPECT_LT(limits.fmaGflops, 1e4);
  EXPECT_GT(limits.dramReadGBs, 0.1);
  EXPECT_LT(limits.dramReadGBs, 1e4);
  EXPECT_EQ(limits.bf16Gflops > 0, supportedLimitKernels().front().bf16Dot != nullptr);
  EXPECT_GT(measureMachineLimits(/*threads=*/0).threads, 0);
}

TEST(ArithmeticMeter, ReportsMediansOfItsMeasurements) {
  ArithmeticMeter meter(/*threads=*/1);
  meter.measure();
  meter.measure();
  EXPECT_EQ(meter.getCount(), 2);
  MachineLimits limits;
  meter.report(limits);
  EXPECT_GT(limits.fmaGflops, 0.1);
  EXPECT_EQ(limits.bf16Gflops > 0, supportedLimitKernels().front().bf16Dot != nullptr);
}

TEST(DramReader, ReadsMoreThanCachesHold) {
  DramReader reader(/*threads=*/2);
  EXPECT_GT(reader.read(), 0.1);
  EXPECT_GE(reader.sizeInBytes(), size_t(1) << 24);
}

} // namespace
