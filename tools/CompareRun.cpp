#include "tools/CompareRun.h"

#include "tools/CompareCheck.h"
#include "tools/CompareData.h"
#include "tools/CompareDeviceRun.h"
#include "tools/CompilerProcess.h"
#include "tools/LoadedArtifact.h"
#include "tools/Median.h"
#include "tools/OutputFile.h"
#include "tools/Progress.h"
#include "tools/TemporaryDirectory.h"
#include "tools/TextTable.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <stdexcept>
#include <unistd.h>

namespace gqa {
namespace {

constexpr int maxRounds = 200;

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Bytes.
double physicalMemory() { return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE); }

/// Both artifacts of a plan.
struct CompiledForms {
  std::unique_ptr<LoadedArtifact> fused, unfused;

  explicit CompiledForms(const ComparePlan &plan) {
    TemporaryDirectory directory;
    writeOutput(directory.file("compare.mlir"), plan.moduleText());
    auto compile = [&](const char *name, std::vector<std::string> options) {
      compileArtifact(directory.file("compare.mlir"), directory.file(name), options);
      return std::make_unique<LoadedArtifact>(directory.file(name), plan.threads);
    };
    auto unfusedLater = std::async(std::launch::async, compile, "unfused.so", std::vector<std::string>{"--unfused"});
    fused = compile("fused.so", {});
    unfused = unfusedLater.get();
  }
};

class Runner {
public:
  explicit Runner(const ComparePlan &plan)
      : plan(plan), query(plan.type, plan.maxQueryElements()), output(plan.type, plan.maxQueryElements()),
        key(plan.type, plan.maxKeyElements()), value(plan.type, plan.maxKeyElements()),
        reader(resolveThreads(plan.threads)), arithmetic(resolveThreads(plan.threads)) {}

  CompareResult run() {
    CompareResult result;
    result.plan = plan;
    result.limits.threads = resolveThreads(plan.threads);
    result.readerMiB = reader.sizeInBytes() / double(1 << 20);
    result.rowsChecked = rowsToCheck;
    progress.show("compiling, fused and unfused");
    forms.emplace(plan);
    progress.show("making data");
    query.fillRandom(plan.seed, queryAmplitude);
    key.fillRandom(plan.seed + 1, 1);
    value.fillRandom(plan.seed + 2, 1);
    for (Phase phase : {Phase::prefill, Phase::decode})
      for (int64_t tokens : phase == Phase::prefill ? plan.prefill : plan.decode)
        runLength(phase, tokens, result);
    arithmetic.report(result.limits);
    result.arithmeticMeasurements = arithmetic.getCount();
    if (dramRates.empty())
      dramRates.push_back(reader.read());
    result.limits.dramReadGBs = median(dramRates);
    result.dramReads = static_cast<int>(dramRates.size());
    return result;
  }

private:
  /// Calls one form once; returns seconds.
  double call(const LoadedArtifact &form, const CaseResult &test) {
    AttentionProblem problem = plan.problem(test.phase, test.kvHeads, test.tokens);
    DenseTensor q(problem, problem.query, query), k(problem, problem.key, key), v(problem, problem.value, value);
    DenseTensor o(problem, problem.output, output);
    std::string function = ComparePlan::functionName(test.phase, test.kvHeads);
    if (test.phase == Phase::decode)
      dramRates.push_back(reader.read());
    double start = seconds();
    form.call(function, {&q.tensor, &k.tensor, &v.tensor}, {&o.tensor});
    return seconds() - start;
  }

  /// The unfused form of some lengths would push the machine into swapping, or be killed.
  bool fitsUnfused(const CaseResult &test) const {
    AttentionWork work = plan.work(test.phase, test.kvHeads, test.tokens);
    return work.unfusedBytes(getByteSize(plan.type)) < 0.7 * physicalMemory();
  }

  /// First calls: warm up, check the results, and say how long a round takes.
  double checkForms(CaseResult &test) {
    AttentionProblem problem = plan.problem(test.phase, test.kvHeads, test.tokens);
    AttentionInputs inputs;
    inputs.query = viewOf(problem, problem.query, query);
    inputs.key = viewOf(problem, problem.key, key);
    inputs.value = viewOf(problem, problem.value, value);
    SampledReference reference(problem, inputs, rowsToCheck);
    auto check = [&](const char *name, const LoadedArtifact &form, FormResult &result) {
      std::string what = std::string(name) + " " + getName(test.phase) + " of " + std::to_string(test.tokens) +
                         " tokens with " + std::to_string(test.kvHeads) + " K/V heads";
      progress.show("checking " + what);
      // What an earlier call wrote must not pass for this one's result.
      output.fillRandom(/*seed=*/0, /*amplitude=*/1e3f);
      double time = call(form, test);
      result.error = reference.check(viewOf(problem, problem.output, output), what);
      return time;
    };
    double time = check("fused", *forms->fused, test.fused);
    if (fitsUnfused(test))
      time += check("unfused", *forms->unfused, test.unfused.emplace());
    return time;
  }

  /// All variants at one length, fused and unfused in turn, round by round.
  void runLength(Phase phase, int64_t tokens, CompareResult &result) {
    std::vector<CaseResult> tests;
    double roundTime = 0;
    for (int64_t kvHeads : plan.heads.kvHeads) {
      CaseResult test;
      test.phase = phase;
      test.kvHeads = kvHeads;
      test.tokens = tokens;
      size_t start = dramRates.size();
      roundTime += checkForms(test);
      for (size_t i = start; i < dramRates.size(); ++i)
        roundTime += reader.sizeInBytes() / dramRates[i] * 1e-9;
      tests.push_back(test);
    }
    int rounds = roundTime > plan.secondsPerLength
                     ? 1
                     : static_cast<int>(std::clamp<double>(plan.secondsPerLength / roundTime, 3, maxRounds));
    std::vector<std::vector<double>> fused(tests.size()), unfused(tests.size());
    for (int round = 0; round < rounds; ++round) {
      progress.show("timing " + std::string(getName(phase)) + " of " + std::to_string(tokens) + " tokens: round " +
                    std::to_string(round + 1) + " of " + std::to_string(rounds));
      arithmetic.measure();
      for (size_t i = 0; i < tests.size(); ++i) {
        fused[i].push_back(call(*forms->fused, tests[i]));
        if (tests[i].unfused)
          unfused[i].push_back(call(*forms->unfused, tests[i]));
      }
    }
    for (size_t i = 0; i < tests.size(); ++i) {
      tests[i].calls = rounds;
      tests[i].fused.seconds = median(fused[i]);
      if (tests[i].unfused)
        tests[i].unfused->seconds = median(unfused[i]);
      result.cases.push_back(tests[i]);
    }
  }

  const ComparePlan &plan;
  ElementBuffer query, output, key, value; // of the largest case; smaller ones use the beginning
  DramReader reader;
  ArithmeticMeter arithmetic;
  Progress progress;
  std::optional<CompiledForms> forms;
  std::vector<double> dramRates;
};

} // namespace

/// The same attention inside whole layers.
static LayerPlan makeLayerPlan(const ComparePlan &plan) {
  LayerPlan layers;
  layers.heads = plan.heads;
  layers.type = plan.type;
  layers.random.type = plan.type == ElementType::f32 ? layer::WeightType::F32 : layer::WeightType::BF16;
  layers.prefill = plan.prefill;
  layers.decode = plan.decode;
  layers.rotary = plan.heads.model ? plan.heads.model->getRotary(/*isWindowed=*/false)
                                   : makePlainRotary(plan.heads.headDim, /*base=*/10000);
  layers.cache.type = getName(plan.type);
  layers.threads = plan.threads;
  layers.random.seed = plan.seed;
  layers.secondsPerLength = plan.secondsPerLength;
  return layers;
}

CompareResult runCompare(const ComparePlan &plan) {
  double memory = physicalMemory();
  if (plan.dataBytes() > 0.8 * memory)
    throw std::runtime_error("q, k, v and o of these lengths and heads take " +
                             formatNumber(plan.dataBytes() * 1e-9, 1) + " GB; this machine has " +
                             formatNumber(memory * 1e-9, 1) + " GB");
  CompareResult result = plan.device.empty() ? Runner(plan).run() : runCompareOnDevice(plan);
  if (plan.withProjections)
    result.layers = runLayers(makeLayerPlan(plan));
  return result;
}

} // namespace gqa
