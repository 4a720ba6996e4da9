#include "runtime/cuda/Program.h"
#include "runtime/Failure.h"
#include "test/unit/cuda/FakeCuda.h"

#include <algorithm>
#include <gtest/gtest.h>

using namespace gqa::cuda;

namespace {

constexpr char kPtx[] = ".version 8.0\n.target sm_80\n.address_size 64\n"
                        ".visible .entry small(.param .u64 x) { ret; }\n"
                        ".visible .entry large(.param .u64 x) { ret; }\n";

std::vector<gqa_device_image> makeImages(std::vector<gqa_device_image> images) {
  images.push_back({});
  return images;
}

gqa_device_image makePtx(const char *text) {
  return {GQA_DEVICE_PTX, 80, 0, 0, text, static_cast<int64_t>(std::char_traits<char>::length(text))};
}

std::string failureOf(const std::vector<gqa_device_image> &images, const std::vector<KernelDescription> &kernels) {
  try {
    Program program(Device::open(0), images.data(), kernels);
  } catch (const gqa::Failure &failure) {
    return failure.message;
  }
  return "";
}

TEST(Program, FirstImageThatTheDeviceCanRunIsChosen) {
  std::vector<gqa_device_image> images = makeImages({{GQA_DEVICE_CUBIN, 90, 1, 0, nullptr, 0},
                                                     {GQA_DEVICE_CUBIN, 80, 0, 0, nullptr, 0},
                                                     {GQA_DEVICE_PTX, 80, 0, 0, nullptr, 0}});
  EXPECT_EQ(chooseImage(images.data(), 75), -1);
  EXPECT_EQ(chooseImage(images.data(), 80), 1);
  EXPECT_EQ(chooseImage(images.data(), 86), 1);
  EXPECT_EQ(chooseImage(images.data(), 90), 0);
  EXPECT_EQ(chooseImage(images.data(), 100), 2); // an sm_90a cubin runs on 9.0 alone, an sm_80 one below 9.0
  EXPECT_EQ(describeNeeds(images.data()), "compute capability 8.0 or later"); // by the PTX, whatever the cubins
  images[2].kind = 0;
  EXPECT_EQ(describeNeeds(images.data()), "compute capability 9.0, or 8.0 or later below 9.0");
}

TEST(Program, OtherDevicesAreRefusedWithWhatIsMissing) {
  fakecuda::Options options;
  options.capability = 80;
  fakecuda::reset(options);
  EXPECT_EQ(failureOf(makeImages({{GQA_DEVICE_CUBIN, 90, 1, 0, nullptr, 0}}), {}),
            "needs compute capability 9.0; this device is 'Fake GPU' (compute capability 8.0)");
  EXPECT_EQ(fakecuda::describeLeaks(), "");
}

TEST(Program, LogOfTheJitIsInTheMessage) {
  fakecuda::reset();
  EXPECT_EQ(failureOf(makeImages({makePtx("nonsense")}), {}),
            "cuda: cuModuleLoadDataEx of PTX for compute capability 8.0 failed: CUDA_ERROR_INVALID_PTX: ptxas fatal   "
            ": Missing .version directive at start of file; ptxas fatal   : Ptx assembly aborted");
  EXPECT_EQ(fakecuda::describeLeaks(), "");
}

TEST(Program, KernelsAreLoadedAtOnce) {
  fakecuda::reset();
  std::vector<gqa_device_image> images = makeImages({makePtx(kPtx)});
  Program program(Device::open(0), images.data(), {{"small", 0, 1000}, {"large", 0, 100000}});
  fakecuda::clearCalls();
  Device::Scope scope(program.getDevice());
  program.getFunction("small", 1000);
  program.getFunction("large", 100000);
  EXPECT_EQ(fakecuda::getCalls(), std::vector<std::string>{"cuCtxPushCurrent"});
}

TEST(Program, SharedMemoryBeyond48KBIsAskedFor) {
  fakecuda::reset();
  std::vector<gqa_device_image> images = makeImages({makePtx(kPtx)});
  Program program(Device::open(0), images.data(), {});
  Device::Scope scope(program.getDevice());
  auto countRequests = [] {
    const std::vector<std::string> &calls = fakecuda::getCalls();
    return std::count(calls.begin(), calls.end(), "cuFuncSetAttribute");
  };
  program.getFunction("large", 48 * 1024);
  EXPECT_EQ(countRequests(), 0);
  program.getFunction("large", 48 * 1024 + 1);
  EXPECT_EQ(countRequests(), 1);
  program.getFunction("large", 48 * 1024 + 1);
  EXPECT_EQ(countRequests(), 1);
  EXPECT_THROW(program.getFunction("large", 232449), gqa::Failure);
}

TEST(Program, UnknownKernelsAreNamed) {
  fakecuda::reset();
  EXPECT_EQ(failureOf(makeImages({makePtx(kPtx)}), {{"none", 0, 0}}),
            "cuda: cuModuleGetFunction of 'none' failed: CUDA_ERROR_NOT_FOUND");
  EXPECT_EQ(fakecuda::describeLeaks(), "");
}

TEST(Program, EveryFailureIsReportedAndLeavesNothingBehind) {
  std::vector<gqa_device_image> images = makeImages({makePtx(kPtx)});
  int index = 0;
  for (bool failed = true; failed; ++index) {
    fakecuda::reset();
    fakecuda::failAt(index, /*CUDA_ERROR_OUT_OF_MEMORY*/ 2);
    std::string message = failureOf(images, {{"large", 0, 100000}});
    failed = fakecuda::hasFailed();
    if (message.empty()) // the last call that is counted is the destructor's
      continue;
    EXPECT_EQ(fakecuda::describeLeaks(), "") << "call " << index;
    EXPECT_NE(message.find("CUDA_ERROR_OUT_OF_MEMORY"), std::string::npos) << message;
  }
  EXPECT_GE(index, 15);
}

} // namespace
