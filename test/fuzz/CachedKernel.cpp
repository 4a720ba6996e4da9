#include "test/fuzz/CachedKernel.h"

#include "runtime/cache/NarrowFloat.h"
#include "tools/AttentionModule.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace gqa {
namespace {

double getLargest(CacheType type) { return type == CacheType::i8 ? 127 : type == CacheType::i4 ? 7 : 448; }

/// The stored number nearest to x, which is divided by its scale already.
double roundTo(CacheType type, double x) {
  if (type == CacheType::f8e4m3)
    return cache::fromF8E4M3(cache::toF8E4M3(static_cast<float>(x)));
  return std::min(std::max(std::nearbyint(x), -getLargest(type)), getLargest(type));
}

/// One call's arguments, by name.
struct DenseArguments {
  DenseArguments(const AttentionProblem &problem, const std::vector<DLTensor> &tensors) {
    std::vector<NamedOperand> names = getArguments(problem);
    for (size_t i = 0; i < names.size(); ++i) {
      const DLTensor &tensor = tensors[i];
      TensorView view{names[i].operand->type, static_cast<const char *>(tensor.data) + tensor.byte_offset,
                      getStrides(*names[i].operand, {tensor.strides, tensor.strides + tensor.ndim})};
      views.emplace(names[i].name, view);
      for (int dim = 0; dim < tensor.ndim; ++dim)
        if (names[i].operand->dims[static_cast<size_t>(dim)] == Dim::b)
          batch = tensor.shape[dim];
    }
  }

  double read(const std::string &name, const PerDim &index) const {
    const TensorView &view = views.at(name);
    int64_t offset = 0;
    for (size_t dim = 0; dim < index.size(); ++dim)
      offset += index[dim] * view.strides[dim];
    return readElement(view, offset);
  }

  std::map<std::string, TensorView> views;
  int64_t batch = 1;
};

/// Fills the cache of one call.
class CacheFiller {
public:
  CacheFiller(const AttentionProblem &dense, const CacheLayout &layout, const std::vector<DLTensor> &arguments,
              Random &random)
      : dense(dense), layout(layout), source(dense, arguments), random(random) {
    problem = makeCachedProblem(dense, layout);
    at(problem.extents, Dim::b) = source.batch;
    for (int64_t b = 0; b < source.batch; ++b)
      lengths.push_back(getLength(b));
    setExtents();
    for (const NamedOperand &operand : getArguments(problem))
      if (isNew(operand.name))
        tensors.emplace(operand.name, GuardedTensor(problem, *operand.operand, getShape(problem, *operand.operand)));
    fill();
  }

  std::vector<DLTensor> getArguments(const std::vector<DLTensor> &given) {
    std::vector<NamedOperand> denseNames = gqa::getArguments(dense);
    std::vector<DLTensor> result;
    for (const NamedOperand &operand : gqa::getArguments(problem)) {
      auto it = tensors.find(operand.name);
      if (it != tensors.end()) {
        result.push_back(it->second.getDLTensor());
        continue;
      }
      for (size_t i = 0; i < denseNames.size(); ++i)
        if (std::string(denseNames[i].name) == operand.name)
          result.push_back(given[i]);
    }
    return result;
  }

private:
  static std::vector<NamedOperand> getArguments(const AttentionProblem &problem) { return gqa::getArguments(problem); }

  static bool isNew(const std::string &name) {
    for (const char *created : {"key", "value", "kv_len", "block_table", "key_scale", "value_scale", "length"})
      if (name == created)
        return true;
    return false;
  }

  int64_t getLength(int64_t b) const {
    int64_t keys = dense.getExtent(Dim::n);
    if (!dense.kvLen)
      return keys;
    PerDim index = {};
    at(index, Dim::b) = b;
    return std::clamp<int64_t>(static_cast<int64_t>(source.read("kv_len", index)), 0, keys);
  }

  int64_t getSlots(int64_t length) const {
    return layout.ring ? std::min(length, layout.ring->sinks + layout.ring->slots) : length;
  }

  int64_t getBlocks(int64_t length) const {
    int64_t size = problem.getExtent(Dim::slot);
    return (getSlots(length) + size - 1) / size;
  }

  void setExtents() {
    // As many keys as the dense problem has, and sometimes more.
    int64_t mostSlots = layout.ring ? getSlots(dense.getExtent(Dim::n)) : dense.getExtent(Dim::n);
    if (layout.pageSize == 0)
      at(problem.extents, Dim::slot) = mostSlots + random.between(0, 5);
    int64_t size = problem.getExtent(Dim::slot);
    if (layout.pageSize != 0)
      at(problem.extents, Dim::block) = (mostSlots + size - 1) / size + random.between(0, 3);
    int64_t pages = random.between(0, 3);
    for (int64_t length : lengths)
      pages += size == 0 ? 0 : getBlocks(length);
    at(problem.extents, Dim::page) = pages;
    for (int64_t page = 0; page < pages; ++page)
      freePages.push_back(page);
    random.shuffle(freePages);
  }

  void fill() {
    GuardedTensor &table = tensors.at("block_table");
    table.forEach([&](const PerDim &index) {
      table.set(index, static_cast<double>(random.pick<int64_t>({-1, 0, 1, 1000000, 2147483647, -2147483647})));
    });
    if (problem.keyScale && layout.hasChannelScales)
      fillChannelScales();
    for (int64_t b = 0; b < source.batch; ++b) {
      PerDim index = {};
      at(index, Dim::b) = b;
      tensors.at(layout.ring ? "length" : "kv_len").set(index, static_cast<double>(lengths[static_cast<size_t>(b)]));
      fillSequence(b);
    }
  }

  void fillChannelScales() {
    GuardedTensor &scales = tensors.at("key_scale");
    scales.forEach([&](const PerDim &index) { scales.set(index, getChannelScale(index)); });
  }

public:
  /// A power of two that differs between channels, so that dividing by it is exact.
  static double getChannelScale(const PerDim &index) {
    return std::ldexp(1.0, -static_cast<int>((at(index, Dim::hkv) + at(index, Dim::dqk)) % 3) - 4);
  }

private:
  void fillSequence(int64_t b) {
    int64_t length = lengths[static_cast<size_t>(b)], size = problem.getExtent(Dim::slot);
    std::vector<int64_t> pages;
    for (int64_t block = 0; size > 0 && block < getBlocks(length); ++block) {
      pages.push_back(freePages.back());
      freePages.pop_back();
      PerDim index = {};
      at(index, Dim::b) = b;
      at(index, Dim::block) = block;
      tensors.at("block_table").set(index, static_cast<double>(pages.back()));
    }
    int64_t slots = layout.ring ? layout.ring->slots : length;
    for (int64_t token = std::max<int64_t>(0, length - slots); token < length; ++token) {
      int64_t slot = layout.ring ? token % slots : token;
      for (int64_t head = 0; head < problem.getExtent(Dim::hkv); ++head) {
        PerDim index = {};
        at(index, Dim::b) = b;
        at(index, Dim::hkv) = head;
        at(index, Dim::n) = token;
        at(index, Dim::page) = pages[static_cast<size_t>(slot / size)];
        at(index, Dim::slot) = slot % size;
        fillRow("key", index, layout.keyType, Dim::dqk, Dim::dqk2);
        fillRow("value", index, layout.valueType, Dim::dv, Dim::dv2);
      }
    }
  }

  void fillRow(const std::string &name, PerDim index, CacheType type, Dim row, Dim packedRow) {
    std::vector<double> elements;
    double largest = 0;
    for (int64_t d = 0; d < dense.getExtent(row); ++d) {
      at(index, row) = d;
      elements.push_back(source.read(name, index));
      largest = std::max(largest, std::fabs(elements.back()));
    }
    if (isQuantised(type)) {
      bool hasChannels = name == "key" && layout.hasChannelScales;
      double scale = static_cast<float>(largest / getLargest(type));
      for (size_t d = 0; d < elements.size(); ++d) {
        at(index, row) = static_cast<int64_t>(d);
        double divisor = hasChannels ? getChannelScale(index) : scale;
        elements[d] = divisor > 0 ? roundTo(type, elements[d] / divisor) : 0;
      }
      at(index, row) = 0;
      if (!hasChannels)
        tensors.at(name + "_scale").set(index, scale);
    }
    GuardedTensor &tensor = tensors.at(name);
    bool isPacked = type == CacheType::i4;
    for (size_t d = 0; d < elements.size(); d += isPacked ? 2 : 1) {
      at(index, row) = isPacked ? 0 : static_cast<int64_t>(d);
      if (isPacked)
        at(index, packedRow) = static_cast<int64_t>(d / 2);
      auto nibble = [&](size_t i) { return static_cast<unsigned>(static_cast<int>(elements[i])) & 0xfu; };
      tensor.set(index, isPacked ? static_cast<int8_t>(nibble(d) | nibble(d + 1) << 4) : elements[d]);
    }
  }

  const AttentionProblem &dense;
  const CacheLayout &layout;
  DenseArguments source;
  Random &random;
  AttentionProblem problem;
  std::vector<int64_t> lengths, freePages;
  std::map<std::string, GuardedTensor> tensors;
};

void roundRows(const AttentionProblem &problem, GuardedTensor &tensor, CacheType type, Dim row, bool hasChannels) {
  if (!isQuantised(type))
    return;
  tensor.forEach([&](PerDim index) {
    if (at(index, row) != 0)
      return;
    double largest = 0;
    for (int64_t d = 0; d < problem.getExtent(row); ++d) {
      at(index, row) = d;
      largest = std::max(largest, std::fabs(tensor.get(index)));
    }
    double scale = static_cast<float>(largest / getLargest(type));
    for (int64_t d = 0; d < problem.getExtent(row); ++d) {
      at(index, row) = d;
      double x = tensor.get(index), divisor = hasChannels ? CacheFiller::getChannelScale(index) : scale;
      if (std::isfinite(x))
        tensor.set(index, divisor > 0 ? divisor * roundTo(type, x / divisor) : 0);
    }
  });
}

} // namespace

std::set<Dim> getCachedDims(const FuzzFunction &function, const CacheLayout &layout) {
  std::set<Dim> dims = function.dynamicDims;
  dims.insert({Dim::page, layout.pageSize == 0 ? Dim::slot : Dim::block});
  return dims;
}

void roundToCache(FuzzCase &fuzzCase, const CacheLayout &layout) {
  std::vector<NamedOperand> names = getArguments(fuzzCase.problem);
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].name == std::string("key"))
      roundRows(fuzzCase.problem, fuzzCase.arguments[i], layout.keyType, Dim::dqk, layout.hasChannelScales);
    if (names[i].name == std::string("value"))
      roundRows(fuzzCase.problem, fuzzCase.arguments[i], layout.valueType, Dim::dv, /*hasChannels=*/false);
  }
}

Kernel makeCachedKernel(const AttentionProblem &problem, const CacheLayout &layout, Kernel cached, Random &random) {
  return [=, &random](const std::vector<DLTensor> &arguments, std::vector<DLTensor> &results, int numThreads) {
    CacheFiller filler(problem, layout, arguments, random);
    cached(filler.getArguments(arguments), results, numThreads);
  };
}

} // namespace gqa
