// Calling an entry: validation of the tensors, and the memref descriptors that compiled code takes.

#include "runtime/Artifact.h"
#include "runtime/Context.h"

#include <algorithm>
#include <map>

namespace gqa {

namespace {

/// DLPack's kBool, which older headers lack.
constexpr uint8_t kBool = 6;

/// The element types that cross the interface, by MLIR's names.
struct ElementType {
  const char *name;
  uint8_t code;
  uint8_t bits;
};

constexpr ElementType kElementTypes[] = {
    {"f32", kDLFloat, 32}, {"f64", kDLFloat, 64}, {"f16", kDLFloat, 16}, {"bf16", kDLBfloat, 16}, {"i64", kDLInt, 64},
    {"i32", kDLInt, 32},   {"i16", kDLInt, 16},   {"i8", kDLInt, 8},     {"index", kDLInt, 64},   {"i1", kBool, 8},
};

std::string printType(DLDataType type) {
  for (const ElementType &known : kElementTypes)
    if (known.code == type.code && known.bits == type.bits && type.lanes == 1)
      return known.name;
  return "DLPack type (" + std::to_string(type.code) + ", " + std::to_string(type.bits) + ", " +
         std::to_string(type.lanes) + ")";
}

bool isSameType(DLDataType type, const std::string &name) {
  if (type.lanes != 1)
    return false;
  // Bytes of either sign, and booleans, all carry i1 and i8.
  bool isByte = type.bits == 8 && (type.code == kDLInt || type.code == kDLUInt || type.code == kBool);
  if (name == "i1" || name == "i8")
    return isByte;
  for (const ElementType &known : kElementTypes)
    if (name == known.name)
      return type.code == known.code && type.bits == known.bits;
  return false;
}

/// The memref descriptor of compiled code: {allocated, aligned, offset, sizes..., strides...}.
class Descriptor {
public:
  explicit Descriptor(const DLTensor &tensor) {
    char *data = static_cast<char *>(tensor.data) + tensor.byte_offset;
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

/// Checks the tensors of one call; what the symbols of dimensions stand for is learnt on the way.
class Checker {
public:
  void check(const DLTensor *tensor, const TensorDescription &expected, const std::string &what) {
    if (!tensor)
      fail(GQA_INVALID_ARGUMENT, what + " is null");
    if (tensor->device.device_type != kDLCPU)
      fail(GQA_INVALID_ARGUMENT, what + " is on device type " + std::to_string(tensor->device.device_type) +
                                     ", but the entry takes CPU memory (" + std::to_string(kDLCPU) + ")");
    if (!isSameType(tensor->dtype, expected.type))
      fail(GQA_INVALID_ARGUMENT,
           what + " has element type " + printType(tensor->dtype) + ", expected " + print(expected));
    if (tensor->ndim != static_cast<int>(expected.shape.size()))
      fail(GQA_INVALID_ARGUMENT, what + " has rank " + std::to_string(tensor->ndim) + ", expected rank " +
                                     std::to_string(expected.shape.size()) + " as " + print(expected));
    bool isEmpty = checkShape(*tensor, expected, what);
    checkMemory(*tensor, isEmpty, what);
  }

private:
  bool checkShape(const DLTensor &tensor, const TensorDescription &expected, const std::string &what) {
    bool isEmpty = false;
    for (int dim = 0; dim < tensor.ndim; ++dim) {
      int64_t extent = tensor.shape[dim];
      const DimDescription &description = expected.shape[static_cast<size_t>(dim)];
      std::string where = what + ": dimension " + std::to_string(dim) + " is " + std::to_string(extent);
      if (extent < 0)
        fail(GQA_INVALID_ARGUMENT, where + ", which is negative");
      if (description.extent && extent != *description.extent)
        fail(GQA_INVALID_ARGUMENT, where + ", expected " + std::to_string(*description.extent));
      if (!description.extent && description.symbol != "?") {
        auto [it, isNew] = symbols.try_emplace(description.symbol, Binding{extent, what});
        if (!isNew && it->second.extent != extent)
          fail(GQA_INVALID_ARGUMENT, where + ", but '" + description.symbol + "' is " +
                                         std::to_string(it->second.extent) + " in " + it->second.what);
      }
      isEmpty |= extent == 0;
    }
    return isEmpty;
  }

  static void checkMemory(const DLTensor &tensor, bool isEmpty, const std::string &what) {
    if (!tensor.data && !isEmpty)
      fail(GQA_INVALID_ARGUMENT, what + " has no data");
    int last = tensor.ndim - 1;
    if (tensor.strides && tensor.ndim > 0 && tensor.shape[last] > 1 && tensor.strides[last] != 1)
      fail(GQA_INVALID_ARGUMENT,
           what + ": the innermost stride is " + std::to_string(tensor.strides[last]) + ", expected 1");
    size_t bytes = tensor.dtype.bits / 8;
    if ((reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset) % bytes != 0)
      fail(GQA_INVALID_ARGUMENT, what + " is not aligned to its elements of " + std::to_string(bytes) + " bytes");
  }

  struct Binding {
    int64_t extent;
    std::string what;
  };
  std::map<std::string, Binding> symbols;
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
  Call(gqa_context &context, const gqa_artifact &artifact, const char *name)
      : context(context), entry(artifact.getEntry(name)) {
    artifact.checkCanRun();
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
    invoke(entry.shape, results);
    return shapes;
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
      results.emplace_back(*outputs[i]);
    }
    invoke(entry.run, results);
  }

private:
  void invoke(gqa_entry function, std::vector<Descriptor> &results) {
    std::vector<void *> args;
    for (Descriptor &descriptor : descriptors)
      args.push_back(descriptor.get());
    for (Descriptor &descriptor : results)
      args.push_back(descriptor.get());
    gqa_host host = context.getHost();
    int32_t status = function(&host, args.data());
    context.releaseLeftovers();
    if (status == GQA_OUT_OF_MEMORY)
      fail(GQA_OUT_OF_MEMORY, "'" + entry.name + "' ran out of memory");
    if (status != GQA_OK)
      fail(static_cast<gqa_status>(status), "'" + entry.name + "' failed: " + context.message);
  }

  gqa_context &context;
  const EntryDescription &entry;
  Checker checker;
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
    gqa::Call call(*context, *artifact, entry);
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
