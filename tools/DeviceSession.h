#ifndef GQA_TOOLS_DEVICESESSION_H
#define GQA_TOOLS_DEVICESESSION_H

#include "runtime/cuda/Resources.h"
#include "runtime/gqa.h"

#include <string>
#include <vector>

namespace gqa {

/// "cpu", "cuda" (the first device) or "cuda:N". Throws std::runtime_error for anything else.
DLDevice parseDevice(const std::string &text);

/// Compiles the file `module` for a device: for its own architecture where the compiler knows it, else for sm_80, whose
/// code runs on later ones, too. Throws std::runtime_error as compileArtifact does.
void compileForDevice(const cuda::Device &device, const std::string &module, const std::string &artifact,
                      std::vector<std::string> options);

/// Tensors of the host on a device, with the same strides: whatever lies between the elements is copied, too.
class DeviceTensors {
public:
  /// Copies `tensors`, which stay alive, to the device. Throws gqa::Failure.
  DeviceTensors(std::shared_ptr<const cuda::Device> device, const cuda::Stream &stream,
                const std::vector<const DLTensor *> &tensors);

  /// Copies them back to where they came from.
  void download(const cuda::Stream &stream) const;

  const std::vector<DLTensor> &getTensors() const { return tensors; }

private:
  std::vector<const DLTensor *> host;
  std::vector<DLTensor> tensors;
  std::vector<cuda::Memory> memories;
};

/// One entry with its arguments on a device, ready to be called again and again. Failures throw gqa::Failure.
class DeviceCall {
public:
  /// Copies inputs and outputs (for what lies between their elements) up, and makes the workspace.
  DeviceCall(int ordinal, gqa_context *context, const gqa_artifact *artifact, std::string entry,
             const std::vector<const DLTensor *> &inputs, const std::vector<DLTensor *> &outputs);
  ~DeviceCall();

  const cuda::Device &getDevice() const { return *device; }

  /// Calls and waits.
  void run();

  /// Copies the outputs to the host.
  void download();

  /// Seconds of each call, between events on the stream: at least 5 calls, and more until they took `minSeconds`, at
  /// most `maxCalls`. `coldBytes` of other memory are written before each: that empties the L2 cache, and keeps the device
  /// busy while the host prepares the call, whose cost is then not in the time.
  std::vector<double> time(double minSeconds, int maxCalls, size_t coldBytes = 0);

private:
  void start();

  std::shared_ptr<const cuda::Device> device;
  cuda::Stream stream;
  gqa_context *context;
  const gqa_artifact *artifact;
  std::string entry;
  DeviceTensors inputs, outputs;
  cuda::Memory workspace;
  std::vector<const DLTensor *> inputPointers;
  std::vector<DLTensor> outputViews;
  std::vector<DLTensor *> outputPointers;
};

} // namespace gqa

#endif // GQA_TOOLS_DEVICESESSION_H
