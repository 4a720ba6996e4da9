// Calling device entries through the C interface, on the fake driver: Inputs/device-artifact.c is the module.

#include "runtime/cuda/Resources.h"
#include "runtime/gqa.h"
#include "test/unit/cuda/FakeCuda.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <memory>
#include <thread>

using namespace gqa::cuda;

namespace {

using Context = std::unique_ptr<gqa_context, void (*)(gqa_context *)>;
using Artifact = std::unique_ptr<gqa_artifact, void (*)(gqa_artifact *)>;

Context makeContext() { return {gqa_context_create(nullptr), gqa_context_destroy}; }

Artifact loadArtifact(gqa_context *context) {
  gqa_artifact *artifact = nullptr;
  EXPECT_EQ(gqa_artifact_load(context, GQA_DEVICE_ARTIFACT, &artifact), GQA_OK) << gqa_context_message(context);
  return {artifact, gqa_artifact_destroy};
}

/// A tensor f32[rows, 64].
struct Tensor {
  Tensor(void *data, int64_t rows, DLDevice device = {kDLCUDA, 0}) : shape{rows, 64} {
    view.data = data;
    view.device = device;
    view.ndim = 2;
    view.dtype = {kDLFloat, 32, 1};
    view.shape = shape;
  }
  Tensor(const Tensor &) = delete;
  int64_t shape[2];
  DLTensor view = {};
};

constexpr int64_t kRows = 3;
constexpr size_t kBytes = kRows * 64 * sizeof(float);

/// Memory for x and y, a stream, and x itself.
struct Data {
  std::shared_ptr<const Device> device = Device::open(0);
  Stream stream{device};
  Memory x{device, kBytes}, y{device, kBytes}, workspace{device, kBytes};
  std::vector<float> values = std::vector<float>(kRows * 64);

  Data() {
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(i) - 50;
    stream.upload(x.getPointer(), values.data(), kBytes);
    stream.synchronize();
  }

  std::vector<float> getResult() {
    std::vector<float> result(values.size());
    stream.download(result.data(), y.getPointer(), kBytes);
    stream.synchronize();
    return result;
  }
};

gqa_status call(gqa_context *context, gqa_artifact *artifact, const char *entry, const Data &data) {
  Tensor x(data.x.get(), kRows), y(data.y.get(), kRows);
  const DLTensor *inputs[] = {&x.view};
  DLTensor *outputs[] = {&y.view};
  return gqa_call(context, artifact, entry, inputs, 1, outputs, 1);
}

int64_t getWorkspaceSize(gqa_context *context, gqa_artifact *artifact, const char *entry, const Data &data) {
  Tensor x(data.x.get(), kRows);
  const DLTensor *inputs[] = {&x.view};
  int64_t bytes = -1;
  EXPECT_EQ(gqa_workspace_size(context, artifact, entry, inputs, 1, &bytes), GQA_OK) << gqa_context_message(context);
  return bytes;
}

struct DeviceCall : testing::Test {
  void SetUp() override { fakecuda::reset(); }
};

TEST_F(DeviceCall, RunsOnTheStreamWithoutWaiting) {
  {
    Context context = makeContext();
    Artifact artifact = loadArtifact(context.get());
    Data data;
    EXPECT_EQ(getWorkspaceSize(context.get(), artifact.get(), "twice", data), int64_t(kBytes));
    ASSERT_EQ(gqa_context_set_stream(context.get(), data.stream.get()), GQA_OK);
    ASSERT_EQ(gqa_context_set_workspace(context.get(), data.workspace.get(), kBytes), GQA_OK);
    fakecuda::clearCalls();
    ASSERT_EQ(call(context.get(), artifact.get(), "twice", data), GQA_OK) << gqa_context_message(context.get());
    // Nothing but the work itself: no synchronisation, no allocation, no loading.
    EXPECT_EQ(fakecuda::getCalls(), (std::vector<std::string>{"cuCtxPushCurrent", "cuMemsetD8Async", "cuLaunchKernel",
                                                              "cuLaunchKernelEx", "cuCtxPopCurrent"}));
    EXPECT_TRUE(fakecuda::getLaunches().empty()); // the stream has not got to it
    std::vector<float> result = data.getResult();
    for (size_t i = 0; i < result.size(); ++i)
      ASSERT_EQ(result[i], 2 * data.values[i]);

    ASSERT_EQ(fakecuda::getLaunches().size(), 2u);
    const fakecuda::Launch &first = fakecuda::getLaunches()[0], &second = fakecuda::getLaunches()[1];
    EXPECT_EQ(first.kernel, "stage");
    EXPECT_EQ(first.grid[0], 3u);
    EXPECT_EQ(first.block[0], 64u);
    EXPECT_EQ(first.stream, data.stream.get());
    EXPECT_EQ(second.kernel, "twice");
    EXPECT_EQ(second.grid[0], 6u);
    EXPECT_EQ(second.cluster[0], 2u);
    EXPECT_EQ(second.sharedBytes, 100000u);
    EXPECT_TRUE(second.isProgrammatic);
    ASSERT_EQ(second.parameters.size(), 3u);
    EXPECT_EQ(*reinterpret_cast<const int32_t *>(second.parameters[2].data()), 192);
  }
  EXPECT_EQ(fakecuda::describeLeaks(), "");
  EXPECT_EQ(fakecuda::getContextDepth(), 0);
}

TEST_F(DeviceCall, TensorMapsGoToKernelsByValue) {
  Context context = makeContext();
  Artifact artifact = loadArtifact(context.get());
  Data data;
  EXPECT_EQ(getWorkspaceSize(context.get(), artifact.get(), "tiles", data), 0);
  gqa_context_set_stream(context.get(), data.stream.get());
  ASSERT_EQ(call(context.get(), artifact.get(), "tiles", data), GQA_OK) << gqa_context_message(context.get());
  EXPECT_EQ(data.getResult(), data.values);
  EXPECT_EQ(fakecuda::getLaunches()[0].parameters[0].size(), 128u);
}

TEST_F(DeviceCall, TensorsThatTheCopyEngineCannotReadAreRefused) {
  Context context = makeContext();
  Artifact artifact = loadArtifact(context.get());
  Data data;
  Tensor x(data.x.get(), 2), y(data.y.get(), 2);
  int64_t strides[] = {65, 1};
  x.view.strides = strides;
  const DLTensor *inputs[] = {&x.view};
  DLTensor *outputs[] = {&y.view};
  EXPECT_EQ(gqa_call(context.get(), artifact.get(), "tiles", inputs, 1, outputs, 1), GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(gqa_context_message(context.get()),
               "'tiles' failed: cuda: the strides of a tensor that the device copies in tiles must be multiples of 16 "
               "bytes, got 260 bytes");
  x.view.strides = nullptr;
  x.view.byte_offset = 4;
  EXPECT_EQ(gqa_call(context.get(), artifact.get(), "tiles", inputs, 1, outputs, 1), GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(gqa_context_message(context.get()),
               "'tiles' failed: cuda: a tensor that the device copies in tiles must begin at a multiple of 16 bytes");
}

TEST_F(DeviceCall, CanBeCaptured) {
  Context context = makeContext();
  Artifact artifact = loadArtifact(context.get());
  Data data;
  getWorkspaceSize(context.get(), artifact.get(), "twice", data); // loads the kernels
  gqa_context_set_stream(context.get(), data.stream.get());
  gqa_context_set_workspace(context.get(), data.workspace.get(), kBytes);
  fakecuda::beginCapture(data.stream.get());
  ASSERT_EQ(call(context.get(), artifact.get(), "twice", data), GQA_OK) << gqa_context_message(context.get());
  EXPECT_EQ(fakecuda::endCapture(data.stream.get()), 3);
  fakecuda::finish();
  EXPECT_TRUE(fakecuda::getLaunches().empty());
  for (int replay = 1; replay <= 2; ++replay) {
    data.stream.fill(data.y.getPointer(), 0, kBytes);
    fakecuda::launchGraph();
    EXPECT_EQ(data.getResult()[0], 2 * data.values[0]);
    EXPECT_EQ(fakecuda::getLaunches().size(), size_t(2 * replay));
  }
}

TEST_F(DeviceCall, ExtentOfZeroLaunchesNothing) {
  Context context = makeContext();
  Artifact artifact = loadArtifact(context.get());
  Data data;
  Tensor x(nullptr, 0), y(nullptr, 0);
  const DLTensor *inputs[] = {&x.view};
  DLTensor *outputs[] = {&y.view};
  gqa_context_set_workspace(context.get(), data.workspace.get(), kBytes);
  ASSERT_EQ(gqa_call(context.get(), artifact.get(), "twice", inputs, 1, outputs, 1), GQA_OK)
      << gqa_context_message(context.get());
  fakecuda::finish();
  EXPECT_TRUE(fakecuda::getLaunches().empty());
}

TEST_F(DeviceCall, EveryFailureIsReportedAndLeavesNothingBehind) {
  int index = 0, reported = 0;
  for (bool failed = true; failed; ++index) {
    fakecuda::reset();
    {
      Data data;
      Context context = makeContext();
      fakecuda::failAt(index, /*CUDA_ERROR_INVALID_VALUE*/ 1);
      {
        Artifact artifact = loadArtifact(context.get());
        gqa_context_set_stream(context.get(), data.stream.get());
        gqa_context_set_workspace(context.get(), data.workspace.get(), kBytes);
        gqa_status status = call(context.get(), artifact.get(), "twice", data);
        failed = fakecuda::hasFailed();
        EXPECT_EQ(status != GQA_OK, failed);
        if (failed) {
          ++reported;
          std::string message = gqa_context_message(context.get());
          EXPECT_NE(message.find("CUDA_ERROR_INVALID_VALUE (invalid argument)"), std::string::npos) << message;
          EXPECT_EQ(call(context.get(), artifact.get(), "twice", data), GQA_OK) << gqa_context_message(context.get());
        }
        // Destructors call the driver, too; not what this is about.
        fakecuda::failAt(-1, 0);
      }
      fakecuda::finish();
    }
    EXPECT_EQ(fakecuda::describeLeaks(), "") << "call " << index;
    EXPECT_EQ(fakecuda::getContextDepth(), 0);
  }
  EXPECT_GE(reported, 18);
}

TEST_F(DeviceCall, WorkspaceIsCheckedBeforeAnythingRuns) {
  Context context = makeContext();
  Artifact artifact = loadArtifact(context.get());
  Data data;
  gqa_context_set_workspace(context.get(), data.workspace.get(), kBytes - 1);
  EXPECT_EQ(call(context.get(), artifact.get(), "twice", data), GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(gqa_context_message(context.get()),
               "'twice' needs a workspace of 768 bytes, but the context has 767: see gqa_workspace_size, "
               "gqa_context_set_workspace");
  fakecuda::finish();
  EXPECT_TRUE(fakecuda::getLaunches().empty());
  EXPECT_EQ(gqa_context_set_workspace(context.get(), static_cast<char *>(data.workspace.get()) + 1, 16),
            GQA_INVALID_ARGUMENT);
  EXPECT_EQ(gqa_context_set_workspace(context.get(), nullptr, 16), GQA_INVALID_ARGUMENT);
  EXPECT_EQ(gqa_context_set_workspace(context.get(), nullptr, 0), GQA_OK);
}

TEST_F(DeviceCall, TensorsMustBeOnOneDevice) {
  fakecuda::Options options;
  options.devices = 2;
  fakecuda::reset(options);
  Context context = makeContext();
  Artifact artifact = loadArtifact(context.get());
  Data data;
  float host[64];
  auto callWith = [&](DLDevice xDevice, DLDevice yDevice) -> std::string {
    Tensor x(xDevice.device_type == kDLCPU ? host : data.x.get(), 1, xDevice);
    Tensor y(yDevice.device_type == kDLCPU ? host : data.y.get(), 1, yDevice);
    const DLTensor *inputs[] = {&x.view};
    DLTensor *outputs[] = {&y.view};
    EXPECT_EQ(gqa_call(context.get(), artifact.get(), "tiles", inputs, 1, outputs, 1), GQA_INVALID_ARGUMENT);
    return gqa_context_message(context.get());
  };
  EXPECT_EQ(callWith({kDLCPU, 0}, {kDLCUDA, 0}),
            "input 0 of 'tiles' is in CPU memory, but the entry takes memory of a CUDA device (2)");
  EXPECT_EQ(callWith({kDLCUDA, 0}, {kDLCPU, 0}),
            "output 0 of 'tiles' is in CPU memory, but the entry takes memory of a CUDA device (2)");
  EXPECT_EQ(callWith({kDLCUDA, 1}, {kDLCUDA, 0}),
            "output 0 of 'tiles' is on CUDA device 0, but input 0 of 'tiles' is on device 1");
  EXPECT_EQ(callWith({kDLCUDAHost, 0}, {kDLCUDA, 0}),
            "input 0 of 'tiles' is on device type 3, but the entry takes memory of a CUDA device (2)");
}

TEST_F(DeviceCall, OtherDevicesAreRefusedWithWhatIsMissing) {
  fakecuda::Options options;
  options.capability = 80;
  fakecuda::reset(options);
  Context context = makeContext();
  Artifact artifact = loadArtifact(context.get());
  auto endsWith = [&](const std::string &end) {
    std::string message = gqa_context_message(context.get());
    return message.size() >= end.size() && message.compare(message.size() - end.size(), end.size(), end) == 0;
  };
  const char *reason =
      "' needs compute capability 9.0, or 10.0 or later; this device is 'Fake GPU' (compute capability 8.0)";
  EXPECT_EQ(gqa_artifact_can_run(context.get(), artifact.get()), GQA_UNSUPPORTED_TARGET);
  EXPECT_TRUE(endsWith(reason)) << gqa_context_message(context.get());
  EXPECT_EQ(gqa_artifact_can_run_on(context.get(), artifact.get(), {kDLCUDA, 0}), GQA_UNSUPPORTED_TARGET);
  EXPECT_EQ(gqa_artifact_can_run_on(context.get(), artifact.get(), {kDLCUDA, 1}), GQA_NO_DEVICE);
  EXPECT_STREQ(gqa_context_message(context.get()), "cuda: no device 1; there is 1");
  EXPECT_EQ(gqa_artifact_can_run_on(context.get(), artifact.get(), {kDLCPU, 0}), GQA_UNSUPPORTED_TARGET);
  EXPECT_TRUE(endsWith("' runs on a CUDA device, not on the CPU"));
  EXPECT_EQ(gqa_artifact_can_run_on(context.get(), artifact.get(), {kDLVulkan, 0}), GQA_INVALID_ARGUMENT);
  Data data;
  EXPECT_EQ(call(context.get(), artifact.get(), "tiles", data), GQA_UNSUPPORTED_TARGET);
  EXPECT_TRUE(endsWith(reason)) << gqa_context_message(context.get());
}

TEST_F(DeviceCall, ShapesAndDescriptionsNeedNoDevice) {
  fakecuda::Options options;
  options.devices = 0;
  fakecuda::reset(options);
  Context context = makeContext();
  Artifact artifact = loadArtifact(context.get());
  EXPECT_EQ(gqa_artifact_num_entries(artifact.get()), 2);
  EXPECT_EQ(gqa_artifact_can_run(context.get(), artifact.get()), GQA_NO_DEVICE);
  EXPECT_STREQ(gqa_context_message(context.get()), "cuda: no device");
  Tensor x(reinterpret_cast<void *>(256), 5);
  const DLTensor *inputs[] = {&x.view};
  int64_t shape[2] = {};
  int32_t rank = 0;
  ASSERT_EQ(gqa_result_shape(context.get(), artifact.get(), "twice", inputs, 1, 0, shape, 2, &rank), GQA_OK);
  EXPECT_EQ(shape[0], 5);
  int64_t bytes;
  EXPECT_EQ(gqa_workspace_size(context.get(), artifact.get(), "twice", inputs, 1, &bytes), GQA_NO_DEVICE);
}

TEST_F(DeviceCall, ContextsOfSeveralThreadsShareTheKernels) {
  Data data;
  Context owner = makeContext();
  Artifact artifact = loadArtifact(owner.get());
  fakecuda::clearCalls();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      Context context = makeContext();
      gqa_context_set_stream(context.get(), data.stream.get());
      for (int repeat = 0; repeat < 50; ++repeat)
        ASSERT_EQ(call(context.get(), artifact.get(), "tiles", data), GQA_OK) << gqa_context_message(context.get());
    });
  for (std::thread &thread : threads)
    thread.join();
  const std::vector<std::string> &calls = fakecuda::getCalls();
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "cuModuleLoadDataEx"), 1);
  EXPECT_EQ(data.getResult(), data.values);
  EXPECT_EQ(fakecuda::getLaunches().size(), 200u);
}

} // namespace
