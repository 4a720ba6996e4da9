#include "tools/CompareDeviceRun.h"

#include "tools/CompareCheck.h"
#include "tools/CompareData.h"
#include "tools/DeviceSession.h"
#include "tools/LoadedArtifact.h"
#include "tools/Median.h"
#include "tools/OutputFile.h"
#include "tools/Progress.h"
#include "tools/TemporaryDirectory.h"

#include <memory>

namespace gqa {
namespace {

constexpr int maxCalls = 200;

class Runner {
public:
  explicit Runner(const ComparePlan &plan)
      : plan(plan), device(cuda::Device::open(parseDevice(plan.device).device_id)),
        query(plan.type, plan.maxQueryElements()), output(plan.type, plan.maxQueryElements()),
        key(plan.type, plan.maxKeyElements()), value(plan.type, plan.maxKeyElements()) {}

  CompareResult run() {
    CompareResult result;
    result.plan = plan;
    result.rowsChecked = rowsToCheck;
    DeviceResult &onDevice = result.device.emplace();
    onDevice.name = device->getName();
    progress.show("compiling");
    compile(onDevice);
    progress.show("measuring the device");
    onDevice.limits = measureDeviceLimits(device);
    // The limits stand where those of the CPU would.
    result.limits.fmaGflops = result.limits.bf16Gflops = 1e3 * onDevice.limits.gemmTflops;
    result.limits.dramReadGBs = onDevice.limits.copyGBs;
    progress.show("making data");
    query.fillRandom(plan.seed, queryAmplitude);
    key.fillRandom(plan.seed + 1, 1);
    value.fillRandom(plan.seed + 2, 1);
    for (Phase phase : {Phase::prefill, Phase::decode})
      for (int64_t tokens : phase == Phase::prefill ? plan.prefill : plan.decode)
        for (int64_t kvHeads : plan.heads.kvHeads)
          result.cases.push_back(runCase(phase, tokens, kvHeads));
    return result;
  }

private:
  void compile(DeviceResult &onDevice) {
    TemporaryDirectory directory;
    writeOutput(directory.file("compare.mlir"), plan.moduleText());
    auto make = [&](const char *name, const std::vector<std::string> &options) {
      compileForDevice(*device, directory.file("compare.mlir"), directory.file(name), options);
      return std::make_unique<LoadedArtifact>(directory.file(name), plan.threads);
    };
    fused = make("fused.so", {});
    try {
      unfused = make("unfused.so", {"--unfused"});
    } catch (const std::exception &error) {
      onDevice.noUnfused = error.what();
    }
  }

  CaseResult runCase(Phase phase, int64_t tokens, int64_t kvHeads) {
    CaseResult test;
    test.phase = phase;
    test.tokens = tokens;
    test.kvHeads = kvHeads;
    AttentionProblem problem = plan.problem(phase, kvHeads, tokens);
    AttentionInputs inputs;
    inputs.query = viewOf(problem, problem.query, query);
    inputs.key = viewOf(problem, problem.key, key);
    inputs.value = viewOf(problem, problem.value, value);
    SampledReference reference(problem, inputs, rowsToCheck);
    auto runForm = [&](const char *name, const LoadedArtifact &form) {
      std::string what = std::string(name) + " " + getName(phase) + " of " + std::to_string(tokens) + " tokens with " +
                         std::to_string(kvHeads) + " K/V heads";
      progress.show("checking and timing " + what);
      // What an earlier call wrote must not pass for this one's result.
      output.fillRandom(/*seed=*/0, /*amplitude=*/1e3f);
      DenseTensor q(problem, problem.query, query), k(problem, problem.key, key), v(problem, problem.value, value);
      DenseTensor o(problem, problem.output, output);
      DeviceCall call(device->getOrdinal(), form.getContext(), form.getArtifact(),
                      ComparePlan::functionName(phase, kvHeads), {&q.tensor, &k.tensor, &v.tensor}, {&o.tensor});
      // Other layers have driven keys and values out of the cache.
      size_t coldBytes = 4 * static_cast<size_t>(device->getL2Bytes());
      std::vector<double> times = call.time(plan.secondsPerLength / 10, maxCalls, coldBytes);
      call.download();
      test.calls = static_cast<int>(times.size());
      return FormResult{median(times), reference.check(viewOf(problem, problem.output, output), what)};
    };
    test.fused = runForm("fused", *fused);
    if (unfused)
      test.unfused = runForm("unfused", *unfused);
    return test;
  }

  const ComparePlan &plan;
  std::shared_ptr<const cuda::Device> device;
  ElementBuffer query, output, key, value; // of the largest case; smaller ones use the beginning
  std::unique_ptr<LoadedArtifact> fused, unfused;
  Progress progress;
};

} // namespace

CompareResult runCompareOnDevice(const ComparePlan &plan) { return Runner(plan).run(); }

} // namespace gqa
