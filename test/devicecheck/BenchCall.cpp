#include "test/devicecheck/BenchCall.h"

#include "tools/AttentionCost.h"
#include "tools/AttentionModule.h"
#include "tools/CachedDecode.h"
#include "tools/CompareCheck.h"
#include "tools/DeviceSession.h"
#include "tools/SeededData.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>

namespace gqa {
namespace {

constexpr int kRowsToCheck = 16;

/// Prefill: one prompt of 16k tokens. Decode: 32 sequences of 4096 tokens, more K and V than any cache holds.
AttentionProblem makeProblem(const CheckFunction &function, bool isSmall) {
  AttentionProblem problem = function.function.problem;
  bool isDecode = function.name.compare(0, 6, "decode") == 0;
  at(problem.extents, Dim::b) = isDecode ? (isSmall ? 2 : 32) : 1;
  at(problem.extents, Dim::m) = isDecode ? 1 : isSmall ? 150 : 16384;
  at(problem.extents, Dim::n) = isDecode ? (isSmall ? 200 : 4096) : problem.getExtent(Dim::m);
  return problem;
}

/// A dense operand with data.
struct DenseOperand {
  DenseOperand(const AttentionProblem &problem, const Operand &operand, uint64_t seed, float amplitude)
      : shape(getShape(problem, operand)), count(countElements(shape)), buffer(operand.type, count) {
    buffer.fillRandom(seed, amplitude);
    view.data = buffer.data();
    view.device = {kDLCPU, 0};
    view.ndim = static_cast<int>(shape.size());
    view.dtype = {static_cast<uint8_t>(operand.type == ElementType::bf16 ? kDLBfloat : kDLFloat),
                  static_cast<uint8_t>(8 * getByteSize(operand.type)), 1};
    view.shape = shape.data();
    elements = {operand.type, buffer.data(), getDenseStrides(problem, operand)};
  }
  DenseOperand(const DenseOperand &) = delete;

  static int64_t countElements(const std::vector<int64_t> &shape) {
    int64_t count = 1;
    for (int64_t extent : shape)
      count *= extent;
    return count;
  }

  std::vector<int64_t> shape;
  int64_t count;
  ElementBuffer buffer;
  DLTensor view = {};
  TensorView elements;
};

std::vector<double> timeOnHost(const LoadedArtifact &artifact, const std::string &entry,
                               const std::vector<const DLTensor *> &inputs, const std::vector<DLTensor *> &outputs) {
  std::vector<double> times;
  for (int run = 0; run < 5; ++run) {
    auto start = std::chrono::steady_clock::now();
    artifact.call(entry, inputs, outputs);
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return times;
}

nlohmann::ordered_json describe(const AttentionProblem &problem, const std::string &name, std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  double median = seconds[seconds.size() / 2];
  int64_t batch = problem.getExtent(Dim::b);
  AttentionWork work;
  work.kvHeads = problem.getExtent(Dim::hkv);
  work.heads = work.kvHeads * problem.getExtent(Dim::g);
  work.headDim = problem.getExtent(Dim::dqk);
  work.queries = problem.getExtent(Dim::m);
  work.keys = problem.getExtent(Dim::n);
  work.causal = problem.causal;
  double total = static_cast<double>(batch) / median;
  return {{"name", name},
          {"type", getName(problem.query.type)},
          {"batch", batch},
          {"heads", work.heads},
          {"kv_heads", work.kvHeads},
          {"head_dim", work.headDim},
          {"queries", work.queries},
          {"keys", work.keys},
          {"causal", work.causal},
          {"runs", seconds.size()},
          {"median_ms", median * 1e3},
          {"min_ms", seconds.front() * 1e3},
          {"tflops", work.flops() * total * 1e-12},
          {"gb_per_second", work.bytes(getByteSize(problem.query.type)) * total * 1e-9}};
}

} // namespace

nlohmann::ordered_json runCacheBench(const CheckFunction &function, const LoadedArtifact &artifact, DLDevice device,
                                     bool isSmall) {
  constexpr int kRounds = 20;
  DecodePlan plan = makeDecodePlan();
  DecodeCase layout = *function.decodeCase;
  layout.name = function.name;
  layout.tokens = isSmall ? 256 : 4096;
  layout.sequences = isSmall ? 2 : 32;
  std::unique_ptr<DecodeDevice> place;
  if (device.device_type == kDLCUDA)
    place = std::make_unique<DecodeDevice>(cuda::Device::open(device.device_id));
  CachedDecode step(plan, layout, "f_decode", artifact, place.get());
  step.decode();
  step.checkResults();
  std::vector<double> seconds;
  for (int round = 0; round < (isSmall ? 3 : kRounds); ++round)
    seconds.push_back(step.decode());
  std::sort(seconds.begin(), seconds.end());
  double median = seconds[seconds.size() / 2];
  // Two multiply-adds per key, element and query head.
  double flops = 4.0 * static_cast<double>(layout.sequences * layout.tokens * plan.heads * plan.headDim);
  return {{"name", function.name},
          {"type", "f16"},
          {"cache", layout.type},
          {"page_size", layout.pageSize},
          {"batch", layout.sequences},
          {"heads", plan.heads},
          {"kv_heads", plan.kvHeads},
          {"head_dim", plan.headDim},
          {"queries", 1},
          {"keys", layout.tokens},
          {"causal", false},
          {"runs", seconds.size()},
          {"median_ms", median * 1e3},
          {"min_ms", seconds.front() * 1e3},
          {"tflops", flops / median * 1e-12},
          {"gb_per_second", step.countBytes() / median * 1e-9}};
}

nlohmann::ordered_json runBench(const CheckFunction &function, const LoadedArtifact &artifact, DLDevice device,
                                bool isSmall) {
  AttentionProblem problem = makeProblem(function, isSmall);
  DenseOperand query(problem, problem.query, /*seed=*/1, /*amplitude=*/6), key(problem, problem.key, 2, 1),
      value(problem, problem.value, 3, 1), output(problem, problem.output, 4, /*amplitude=*/1e3f);
  std::vector<const DLTensor *> inputs = {&query.view, &key.view, &value.view};
  std::vector<DLTensor *> outputs = {&output.view};
  AttentionInputs reference;
  reference.query = query.elements;
  reference.key = key.elements;
  reference.value = value.elements;
  std::vector<double> seconds;
  if (device.device_type == kDLCUDA) {
    DeviceCall call(device.device_id, artifact.getContext(), artifact.getArtifact(), "f", inputs, outputs);
    size_t coldBytes = 4 * static_cast<size_t>(call.getDevice().getL2Bytes());
    seconds = call.time(/*minSeconds=*/0.5, /*maxCalls=*/isSmall ? 5 : 200, coldBytes);
    call.download();
  } else {
    seconds = timeOnHost(artifact, "f", inputs, outputs);
  }
  nlohmann::ordered_json result = describe(problem, function.name, seconds);
  result["max_abs_error"] = SampledReference(problem, reference, kRowsToCheck).check(output.elements, function.name);
  return result;
}

} // namespace gqa
