#include "runtime/cuda/Device.h"
#include "runtime/Failure.h"
#include "test/unit/cuda/FakeCuda.h"

#include <gtest/gtest.h>

using namespace gqa::cuda;

namespace {

/// The failure that opening a device ends in.
gqa::Failure openAndFail(int ordinal) {
  try {
    Device::open(ordinal);
  } catch (const gqa::Failure &failure) {
    return failure;
  }
  ADD_FAILURE() << "opened device " << ordinal;
  return {GQA_OK, ""};
}

TEST(Device, IsDescribed) {
  fakecuda::reset();
  std::shared_ptr<const Device> device = Device::open(0);
  EXPECT_EQ(device->describe(), "'Fake GPU' (compute capability 9.0)");
  EXPECT_EQ(device->getComputeCapability(), 90);
  EXPECT_EQ(device->getMultiprocessors(), 132);
  EXPECT_EQ(device->getSharedBytesPerBlock(), 232448);
  EXPECT_EQ(device->getDriver().getVersion(), 12080);
}

TEST(Device, NoneIsAStatusOfItsOwn) {
  fakecuda::Options options;
  options.devices = 0;
  fakecuda::reset(options);
  EXPECT_EQ(openAndFail(0).status, GQA_NO_DEVICE);
  EXPECT_EQ(openAndFail(0).message, "cuda: no device");
}

TEST(Device, NumberMustExist) {
  fakecuda::Options options;
  options.devices = 2;
  fakecuda::reset(options);
  EXPECT_EQ(openAndFail(2).status, GQA_NO_DEVICE);
  EXPECT_EQ(openAndFail(2).message, "cuda: no device 2; there are 2");
  EXPECT_EQ(openAndFail(-1).message, "cuda: no device -1; there are 2");
  EXPECT_EQ(fakecuda::describeLeaks(), "");
}

TEST(Device, ErrorOfInitialisationIsNamed) {
  fakecuda::Options options;
  options.initResult = 999;
  fakecuda::reset(options);
  EXPECT_EQ(openAndFail(0).message, "cuda: the driver cannot be used: error 999");
  EXPECT_EQ(openAndFail(0).status, GQA_NO_DEVICE);
}

TEST(Device, EveryFailureIsReportedAndLeavesNothingBehind) {
  int index = 0;
  for (bool failed = true; failed; ++index) {
    fakecuda::reset();
    fakecuda::failAt(index, /*CUDA_ERROR_INVALID_VALUE*/ 1);
    failed = false;
    try {
      std::shared_ptr<const Device> device = Device::open(0);
      Device::Scope scope(*device);
    } catch (const gqa::Failure &failure) {
      failed = true;
      EXPECT_NE(failure.message.find("CUDA_ERROR_INVALID_VALUE (invalid argument)"), std::string::npos)
          << failure.message;
    }
    EXPECT_EQ(failed, fakecuda::hasFailed());
    EXPECT_EQ(fakecuda::describeLeaks(), "") << "call " << index;
    EXPECT_EQ(fakecuda::getContextDepth(), 0);
  }
  EXPECT_GE(index, 11);
}

TEST(Device, ScopesNest) {
  fakecuda::reset();
  std::shared_ptr<const Device> device = Device::open(0);
  {
    Device::Scope outer(*device), inner(*device);
    EXPECT_EQ(fakecuda::getContextDepth(), 2);
  }
  EXPECT_EQ(fakecuda::getContextDepth(), 0);
}

} // namespace
