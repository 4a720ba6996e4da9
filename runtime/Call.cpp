// Calling an entry: the memref descriptors that compiled code takes, on the CPU or on a device.

#include "runtime/Artifact.h"
#include "runtime/Context.h"
#include "runtime/TensorChecker.h"
#include "runtime/TensorLayout.h"
#include "runtime/cuda/DeviceCalls.h"

#include <algorithm>

namespace gqa {

namespace {

/// The memref descriptor of compiled code: {allocated, aligned, offset, sizes..., strides...}.
class Descriptor {
public:
  explicit Descriptor(const DLTensor &tensor) {
    char *data = static_cast<char *>(tensor.data) + (tensor.data ? tensor.byte_offset : 0);
    words = {reinterpret_cast<intptr_t>(data), reinterpret_cast<intptr_t>(data), 0};
    words.insert(words.end(), tensor.shape, tensor.shape + tensor.ndim);
    std::vector<int64_t> strides(static_cast<size_t>(tensor.ndim), 1);
    for (int dim = tensor.ndim - 2; dim >= 0; --dim)
      strides[dim] = strides[dim + 1] * tensor.shape[dim + 1];
    if (tensor.strides)
      strides.assign(tensor.strides, tensor.strides + tensor.ndim);
    words.insert(words.end(), strides.begin(), strides.end());
  }
  explicit Descriptor(std::vector<int64_t> &extents)
      : words{reinterpret_cast<intptr_t>(extents.data()), reinterpret_cast<intptr_t>(extents.data()), 0,
              static_cast<int64_t>(extents.size()), 1} {}

  void *get() { return words.data(); }

private:
  std::vector<int64_t> words;
};

std::string nameTensor(const char *kind, size_t index, const EntryDescription &entry) {
  return std::string(kind) + " " + std::to_string(index) + " of '" + entry.name + "'";
}

void checkCount(const char *kind, int32_t count, size_t expected, const EntryDescription &entry) {
  if (count < 0 || static_cast<size_t>(count) != expected)
    fail(GQA_INVALID_ARGUMENT,
         "'" + entry.name + "' takes " + std::to_string(expected) + " " + kind + ", got " + std::to_string(count));
}

/// One call of one entry.
class Call {
public:
  /// `needsOnlyShapes`: the tensors may be anywhere.
  Call(gqa_context &context, const gqa_artifact &artifact, const char *name, bool needsOnlyShapes = false)
      : context(context), artifact(artifact), entry(artifact.getEntry(name)),
        checker(needsOnlyShapes     ? TensorChecker::Place::Anywhere
                : entry.isForDevice ? TensorChecker::Place::Cuda
                                    : TensorChecker::Place::Cpu) {
    artifact.checkCpu();
  }

  void setInputs(const DLTensor *const *inputs, int32_t count) {
    checkCount("inputs", count, entry.arguments.size(), entry);
    if (count > 0 && !inputs)
      fail(GQA_INVALID_ARGUMENT, "inputs must not be null");
    for (size_t i = 0; i < entry.arguments.size(); ++i) {
      checker.check(inputs[i], entry.arguments[i], nameTensor("input", i, entry));
      descriptors.emplace_back(*inputs[i]);
    }
  }

  /// The extents of each result for the inputs.
  std::vector<std::vector<int64_t>> getResultShapes() {
    std::vector<std::vector<int64_t>> shapes;
    for (const TensorDescription &result : entry.results)
      shapes.emplace_back(result.shape.size());
    std::vector<Descriptor> results;
    for (std::vector<int64_t> &shape : shapes)
      results.emplace_back(shape);
    invoke(entry.shape, results, /*device=*/nullptr);
    return shapes;
  }

  /// Loads the kernels, if the entry is for a device.
  int64_t getWorkspaceBytes() {
    if (!entry.isForDevice)
      return 0;
    cuda::DeviceCalls calls(getProgram(), {});
    return computeWorkspaceBytes(calls);
  }

  void run(DLTensor *const *outputs, int32_t count) {
    checkCount("outputs", count, entry.results.size(), entry);
    if (count > 0 && !outputs)
      fail(GQA_INVALID_ARGUMENT, "outputs must not be null");
    std::vector<std::vector<int64_t>> shapes = getResultShapes();
    std::vector<Descriptor> results;
    for (size_t i = 0; i < entry.results.size(); ++i) {
      TensorDescription expected = entry.results[i];
      for (size_t dim = 0; dim < shapes[i].size(); ++dim)
        expected.shape[dim] = {shapes[i][dim], ""};
      checker.check(outputs[i], expected, nameTensor("output", i, entry));
      checkWritable(*outputs[i], nameTensor("output", i, entry));
      results.emplace_back(*outputs[i]);
    }
    if (!entry.isForDevice)
      return invoke(entry.run, results, /*device=*/nullptr);
    cuda::DeviceCalls calls(
        getProgram(), {static_cast<cuda::StreamHandle>(context.stream), context.workspace, context.workspaceBytes});
    if (int64_t bytes = computeWorkspaceBytes(calls); bytes > context.workspaceBytes)
      fail(GQA_INVALID_ARGUMENT, "'" + entry.name + "' needs a workspace of " + std::to_string(bytes) +
                                     " bytes, but the context has " + std::to_string(context.workspaceBytes) +
                                     ": see gqa_workspace_size, gqa_context_set_workspace");
    invoke(entry.run, results, &calls);
  }

private:
  const cuda::Program &getProgram() {
    const std::shared_ptr<const cuda::Device> &device = context.getDevice(checker.getDeviceOrdinal());
    artifact.checkDevice(*device);
    return artifact.deviceCode->getProgram(device);
  }

  int64_t computeWorkspaceBytes(const cuda::DeviceCalls &calls) {
    if (!entry.workspace)
      return 0;
    std::vector<int64_t> bytes = {0};
    std::vector<Descriptor> results = {Descriptor(bytes)};
    invoke(entry.workspace, results, &calls);
    return bytes[0];
  }

  void invoke(gqa_entry function, std::vector<Descriptor> &results, const cuda::DeviceCalls *device) {
    std::vector<void *> args;
    for (Descriptor &descriptor : descriptors)
      args.push_back(descriptor.get());
    for (Descriptor &descriptor : results)
      args.push_back(descriptor.get());
    gqa_host host = context.getHost();
    host.device = device ? device->getTable() : nullptr;
    int32_t status = function(&host, args.data());
    context.releaseLeftovers();
    if (context.takeCallbackFailure())
      fail(GQA_EXECUTION_FAILED, "'" + entry.name + "' failed: the caller's parallel_for has thrown an exception");
    if (device && device->getFailure())
      fail(device->getFailure()->status, "'" + entry.name + "' failed: " + device->getFailure()->message);
    if (status == GQA_OUT_OF_MEMORY)
      fail(GQA_OUT_OF_MEMORY, "'" + entry.name + "' ran out of memory");
    if (status != GQA_OK)
      fail(static_cast<gqa_status>(status), "'" + entry.name + "' failed: " + context.message);
  }

  gqa_context &context;
  const gqa_artifact &artifact;
  const EntryDescription &entry;
  TensorChecker checker;
  std::vector<Descriptor> descriptors;
};

} // namespace
} // namespace gqa

extern "C" {

GQA_API gqa_status gqa_result_shape(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                                    const DLTensor *const *inputs, int32_t num_inputs, int32_t result, int64_t *shape,
                                    int32_t capacity, int32_t *rank) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    if (!artifact || !entry || !rank || (capacity > 0 && !shape))
      gqa::fail(GQA_INVALID_ARGUMENT, "artifact, entry, shape and rank must not be null");
    gqa::Call call(*context, *artifact, entry, /*needsOnlyShapes=*/true);
    call.setInputs(inputs, num_inputs);
    std::vector<std::vector<int64_t>> shapes = call.getResultShapes();
    if (result < 0 || static_cast<size_t>(result) >= shapes.size())
      gqa::fail(GQA_INVALID_ARGUMENT, "'" + std::string(entry) + "' has " + std::to_string(shapes.size()) +
                                          " results, but result " + std::to_string(result) + " was asked for");
    const std::vector<int64_t> &extents = shapes[static_cast<size_t>(result)];
    *rank = static_cast<int32_t>(extents.size());
    for (int32_t dim = 0; dim < std::min(*rank, capacity); ++dim)
      shape[dim] = extents[static_cast<size_t>(dim)];
  });
}

GQA_API gqa_status gqa_workspace_size(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                                      const DLTensor *const *inputs, int32_t num_inputs, int64_t *bytes) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    if (!artifact || !entry || !bytes)
      gqa::fail(GQA_INVALID_ARGUMENT, "artifact, entry and bytes must not be null");
    gqa::Call call(*context, *artifact, entry);
    call.setInputs(inputs, num_inputs);
    *bytes = call.getWorkspaceBytes();
  });
}

GQA_API gqa_status gqa_call(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                            const DLTensor *const *inputs, int32_t num_inputs, DLTensor *const *outputs,
                            int32_t num_outputs) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    if (!artifact || !entry)
      gqa::fail(GQA_INVALID_ARGUMENT, "artifact and entry must not be null");
    gqa::Call call(*context, *artifact, entry);
    call.setInputs(inputs, num_inputs);
    call.run(outputs, num_outputs);
  });
}

} // extern "C"
