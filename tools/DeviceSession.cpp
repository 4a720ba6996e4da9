#include "tools/DeviceSession.h"

#include "runtime/Failure.h"
#include "tools/CompilerProcess.h"

#include <algorithm>
#include <stdexcept>

namespace gqa {

DLDevice parseDevice(const std::string &text) {
  if (text == "cpu")
    return {kDLCPU, 0};
  if (text == "cuda")
    return {kDLCUDA, 0};
  constexpr char kPrefix[] = "cuda:";
  std::string number = text.compare(0, sizeof kPrefix - 1, kPrefix) == 0 ? text.substr(sizeof kPrefix - 1) : "";
  if (number.empty() || number.size() > 4 || number.find_first_not_of("0123456789") != std::string::npos)
    throw std::runtime_error("unknown device '" + text + "', expected cpu or cuda:N");
  return {kDLCUDA, std::stoi(number)};
}

void compileForDevice(const cuda::Device &device, const std::string &module, const std::string &artifact,
                      std::vector<std::string> options) {
  options.push_back("--gpu=sm_80");
  if (device.getComputeCapability() == 90) {
    std::vector<std::string> hopper = options;
    hopper.back() = "--gpu=sm_90a";
    try {
      return compileArtifact(module, artifact, hopper);
    } catch (const std::runtime_error &error) {
      if (std::string(error.what()).find("unknown GPU") == std::string::npos)
        throw;
    }
  }
  compileArtifact(module, artifact, options);
}

namespace {

/// Bytes from the first to behind the last element.
size_t getSpan(const DLTensor &tensor) {
  int64_t last = 0, dense = 1;
  for (int dim = tensor.ndim - 1; dim >= 0; --dim) {
    if (tensor.shape[dim] == 0)
      return 0;
    last += (tensor.shape[dim] - 1) * (tensor.strides ? tensor.strides[dim] : dense);
    dense *= tensor.shape[dim];
  }
  return static_cast<size_t>(last + 1) * tensor.dtype.bits / 8;
}

char *getHostData(const DLTensor &tensor) { return static_cast<char *>(tensor.data) + tensor.byte_offset; }

std::vector<const DLTensor *> asInputs(const std::vector<DLTensor *> &tensors) {
  return {tensors.begin(), tensors.end()};
}

void check(gqa_status status, const gqa_context *context) {
  if (status != GQA_OK)
    fail(status, gqa_context_message(context));
}

} // namespace

DeviceTensors::DeviceTensors(std::shared_ptr<const cuda::Device> device, const cuda::Stream &stream,
                             const std::vector<const DLTensor *> &originals)
    : host(originals) {
  for (const DLTensor *original : host) {
    size_t bytes = getSpan(*original);
    memories.emplace_back(device, bytes);
    stream.upload(memories.back().getPointer(), getHostData(*original), bytes);
    DLTensor tensor = *original;
    tensor.data = memories.back().get();
    tensor.byte_offset = 0;
    tensor.device = {kDLCUDA, device->getOrdinal()};
    tensors.push_back(tensor);
  }
  stream.synchronize();
}

void DeviceTensors::download(const cuda::Stream &stream) const {
  for (size_t i = 0; i < host.size(); ++i)
    stream.download(getHostData(*host[i]), memories[i].getPointer(), memories[i].getBytes());
  stream.synchronize();
}

DeviceCall::DeviceCall(int ordinal, gqa_context *context, const gqa_artifact *artifact, std::string name,
                       const std::vector<const DLTensor *> &hostInputs, const std::vector<DLTensor *> &hostOutputs)
    : device(cuda::Device::open(ordinal)), stream(device), context(context), artifact(artifact), entry(std::move(name)),
      inputs(device, stream, hostInputs), outputs(device, stream, asInputs(hostOutputs)),
      outputViews(outputs.getTensors()) {
  for (const DLTensor &tensor : inputs.getTensors())
    inputPointers.push_back(&tensor);
  for (DLTensor &tensor : outputViews)
    outputPointers.push_back(&tensor);
  int64_t bytes = 0;
  check(gqa_workspace_size(context, artifact, entry.c_str(), inputPointers.data(),
                           static_cast<int32_t>(inputPointers.size()), &bytes),
        context);
  workspace = cuda::Memory(device, static_cast<size_t>(bytes));
}

DeviceCall::~DeviceCall() {
  gqa_context_set_stream(context, nullptr);
  gqa_context_set_workspace(context, nullptr, 0);
}

void DeviceCall::start() {
  check(gqa_context_set_stream(context, stream.get()), context);
  check(gqa_context_set_workspace(context, workspace.get(), static_cast<int64_t>(workspace.getBytes())), context);
  check(gqa_call(context, artifact, entry.c_str(), inputPointers.data(), static_cast<int32_t>(inputPointers.size()),
                 outputPointers.data(), static_cast<int32_t>(outputPointers.size())),
        context);
}

void DeviceCall::run() {
  start();
  stream.synchronize();
}

void DeviceCall::download() { outputs.download(stream); }

std::vector<double> DeviceCall::time(double minSeconds, int maxCalls, size_t coldBytes) {
  constexpr size_t kMinCalls = 5;
  cuda::Memory cold(device, coldBytes);
  cuda::Event begin(device), end(device);
  run(); // warms up
  std::vector<double> times;
  for (double total = 0; (total < minSeconds || times.size() < kMinCalls) && times.size() < size_t(maxCalls);) {
    stream.fill(cold.getPointer(), 0, coldBytes);
    begin.record(stream);
    start();
    end.record(stream);
    end.synchronize();
    times.push_back(end.getSecondsSince(begin));
    // What a call costs the host counts, too: a call of no length must not go on for ever.
    total += std::max(times.back(), 1e-5);
  }
  return times;
}

} // namespace gqa
