// gqa-device-check: compiles the functions of test/integration/gpu/check ahead, and runs them where the device is.
//
//   gqa-device-check build DIR --gpu sm_90a     one artifact per function into DIR, and DIR/functions.json
//   gqa-device-check run DIR --stage block      calls them and judges the results; JSON to standard output
//   gqa-device-check info                       the device and its limits, as JSON
//
// Functions, problems and data follow from names and numbers alone, so both machines know them.

#include "test/devicecheck/BenchCall.h"
#include "test/devicecheck/CheckFunctions.h"
#include "test/fuzz/CachedKernel.h"
#include "tools/CompilerProcess.h"
#include "tools/DeviceLimits.h"
#include "tools/DeviceSession.h"
#include "tools/LoadedArtifact.h"
#include "tools/OutputFile.h"
#include "tools/TemporaryDirectory.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <unistd.h>

using namespace gqa;
using Json = nlohmann::ordered_json;

namespace {

/// 16 bytes of a half type: what the device's copy engine asks of strides.
constexpr int64_t kPaddingStep = 8;

struct Options {
  std::string directory, gpu, targetCpu = "x86-64-v3", device = "cuda:0", stage, only, after;
  int64_t call = -1, maxCalls = 1000;
  int jobs = 1, every = 1;
  bool isSmall = false, hasProgress = false, isEmulated = false, hasEmulatedKernels = false;
};

/// "" or what the compiler said.
std::string compile(const CheckFunction &function, const Options &options) {
  TemporaryDirectory directory;
  std::vector<std::string> flags = {"--target-cpu=" + options.targetCpu};
  if (!options.gpu.empty())
    flags.push_back("--gpu=" + options.gpu);
  if (options.isEmulated)
    flags.push_back("--emulate");
  if (options.hasEmulatedKernels)
    flags.push_back("--with-emulated-kernels");
  writeOutput(directory.file("f.mlir"), function.print());
  try {
    compileArtifact(directory.file("f.mlir"), options.directory + "/" + function.name + ".so", flags);
  } catch (const CompilerCrash &) {
    throw; // no refusal
  } catch (const std::exception &error) {
    return error.what();
  }
  return "";
}

std::vector<CheckFunction> chooseFunctions(const Options &options) {
  std::vector<CheckFunction> chosen;
  int number = 0;
  for (const CheckFunction &function : makeCheckFunctions())
    if ((options.stage.empty() || options.stage == getName(function.stage)) &&
        (options.only.empty() || options.only == function.name) && number++ % options.every == 0) {
      chosen.push_back(function);
      if (function.name == options.after)
        chosen.clear();
    }
  return chosen;
}

int build(const Options &options) {
  std::vector<CheckFunction> functions = chooseFunctions(options);
  // Schedules that are given are Hopper's.
  if (options.gpu != "sm_90a" || options.isEmulated)
    functions.erase(std::remove_if(functions.begin(), functions.end(),
                                   [](const CheckFunction &function) { return function.stage == Stage::tune; }),
                    functions.end());
  std::vector<std::string> errors(functions.size()), crashes(functions.size());
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (int job = 0; job < options.jobs; ++job)
    threads.emplace_back([&] {
      for (size_t i; (i = next++) < functions.size();)
        try {
          errors[i] = compile(functions[i], options);
        } catch (const std::exception &error) {
          crashes[i] = error.what();
        }
    });
  for (std::thread &thread : threads)
    thread.join();
  for (size_t i = 0; i < functions.size(); ++i)
    if (!crashes[i].empty())
      throw std::runtime_error(functions[i].name + ": " + crashes[i]);
  Json list = Json::array();
  size_t refused = 0;
  for (size_t i = 0; i < functions.size(); ++i) {
    list.push_back({{"name", functions[i].name},
                    {"stage", getName(functions[i].stage)},
                    {"refused", errors[i].empty() ? Json(nullptr) : Json(errors[i])}});
    refused += !errors[i].empty();
  }
  writeOutput(options.directory + "/functions.json", list.dump(1) + "\n");
  std::printf("gqa-device-check: %zu functions compiled, %zu refused by the compiler\n", functions.size() - refused,
              refused);
  return 0;
}

/// Runs the functions of one stage.
class Runner {
public:
  explicit Runner(const Options &options) : options(options), device(parseDevice(options.device)) {}

  Json run() {
    std::ifstream stream(options.directory + "/functions.json");
    if (!stream)
      throw std::runtime_error("'" + options.directory + "' has no functions.json: build it first");
    Json built = Json::parse(stream);
    for (const CheckFunction &function : chooseFunctions(options)) {
      auto entry = std::find_if(built.begin(), built.end(), [&](const Json &e) { return e["name"] == function.name; });
      if (entry == built.end())
        continue;
      if (!entry->at("refused").is_null()) {
        report["refused"].push_back({{"name", function.name}, {"reason", entry->at("refused")}});
        continue;
      }
      runFunction(function);
      if (!report["failure"].is_null())
        break;
    }
    return report;
  }

private:
  void runFunction(const CheckFunction &function) {
    report["functions"] = report["functions"].get<int>() + 1;
    std::string what;
    currentCall = 0;
    showProgress(function);
    try {
      LoadedArtifact artifact(options.directory + "/" + function.name + ".so", /*threads=*/0);
      if (function.stage == Stage::bench || function.stage == Stage::tune) {
        what = function.name;
        auto *run = function.decodeCase ? runCacheBench : runBench;
        report["benches"].push_back(run(function, artifact, device, options.isSmall));
        return;
      }
      int64_t first = options.call < 0 ? 0 : options.call;
      int64_t end = options.call < 0 ? std::min(function.calls, options.maxCalls) : options.call + 1;
      for (int64_t call = first; call < end; ++call) {
        AttentionProblem problem = makeCheckCall(function, call, options.isSmall);
        what = describe(problem, function.function.dynamicDims);
        currentCall = call;
        showProgress(function);
        std::string error = check(function, problem, call, artifact);
        report["calls"] = report["calls"].get<int>() + 1;
        if (!error.empty())
          throw std::runtime_error(error);
      }
    } catch (const std::exception &error) {
      report["failure"] = {{"function", function.name},
                           {"call", currentCall},
                           {"problem", what},
                           {"error", error.what()},
                           {"again", "gqa-device-check run " + options.directory + " --device " + options.device +
                                         " --only " + function.name + " --call " + std::to_string(currentCall) +
                                         (options.isSmall ? " --small" : "")}};
    }
  }

  /// What runs, for who finds that it does not end.
  void showProgress(const CheckFunction &function) const {
    if (options.hasProgress)
      std::fprintf(stderr, "%s call %lld\n", function.name.c_str(), static_cast<long long>(currentCall));
  }

  std::string check(const CheckFunction &function, const AttentionProblem &problem, int64_t call,
                    const LoadedArtifact &artifact) const {
    Random random(~getStream(function), static_cast<uint64_t>(call)); // another one than the lengths
    FuzzCase fuzzCase = makeRandomCase(problem, random, kPaddingStep);
    auto kernel = [&](const std::vector<DLTensor> &arguments, std::vector<DLTensor> &results, int) {
      std::vector<const DLTensor *> inputs;
      std::vector<DLTensor *> outputs;
      for (const DLTensor &argument : arguments)
        inputs.push_back(&argument);
      for (DLTensor &result : results)
        outputs.push_back(&result);
      if (device.device_type == kDLCPU)
        return artifact.call("f", inputs, outputs);
      DeviceCall deviceCall(device.device_id, artifact.getContext(), artifact.getArtifact(), "f", inputs, outputs);
      deviceCall.run();
      deviceCall.download();
    };
    if (!function.layout)
      return checkCase(fuzzCase, kernel, /*canChangeBatch=*/true, random);
    roundToCache(fuzzCase, *function.layout);
    fuzzCase.weightType = getWeightType(problem, *function.layout, /*isOnGpu=*/true);
    return checkCase(fuzzCase, makeCachedKernel(problem, *function.layout, kernel, random), /*canChangeBatch=*/true,
                     random);
  }

  const Options &options;
  DLDevice device;
  int64_t currentCall = 0;
  Json report = {
      {"functions", 0}, {"calls", 0}, {"refused", Json::array()}, {"benches", Json::array()}, {"failure", nullptr}};
};

int run(const Options &options) {
  auto start = std::chrono::steady_clock::now();
  Json report = Runner(options).run();
  report["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%s\n", report.dump(1).c_str());
  return report["failure"].is_null() ? 0 : 1;
}

int printInfo(const Options &options) {
  DLDevice place = parseDevice(options.device);
  if (place.device_type == kDLCPU) {
    std::printf("%s\n", Json({{"device", "cpu"}}).dump(1).c_str());
    return 0;
  }
  std::shared_ptr<const cuda::Device> device = cuda::Device::open(place.device_id);
  DeviceLimits limits = measureDeviceLimits(device);
  Json info = {{"device", device->getName()},
               {"compute_capability", device->getComputeCapability()},
               {"multiprocessors", device->getMultiprocessors()},
               {"driver_cuda_version", device->getDriver().getVersion()},
               {"copy_gb_per_second", limits.copyGBs},
               {"gemm_bf16_tflops", limits.gemmTflops > 0 ? Json(limits.gemmTflops) : Json(nullptr)},
               {"gemm_source", limits.gemmSource}};
  std::printf("%s\n", info.dump(1).c_str());
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app("checks attention on a device with artifacts that were compiled ahead", "gqa-device-check");
  app.require_subcommand(1);
  CLI::App *buildCommand = app.add_subcommand("build", "compile the functions");
  buildCommand->add_option("DIR", options.directory)->required()->check(CLI::ExistingDirectory);
  buildCommand->add_option("--gpu", options.gpu, "device to compile for: sm_90a, sm_80; none: the CPU");
  buildCommand->add_flag("--emulate", options.isEmulated, "with --gpu: kernels run on the CPU, by the emulator");
  buildCommand->add_flag("--with-emulated-kernels", options.hasEmulatedKernels,
                         "with --gpu: kernels for the emulator, too, which a driver that only pretends runs");
  buildCommand->add_option("--target-cpu", options.targetCpu, "CPU of the host code")->capture_default_str();
  buildCommand->add_option("--jobs", options.jobs, "compilations at a time")->check(CLI::Range(1, 256));
  CLI::App *runCommand = app.add_subcommand("run", "run a stage");
  runCommand->add_option("DIR", options.directory)->required()->check(CLI::ExistingDirectory);
  runCommand->add_option("--call", options.call, "make this call only");
  runCommand->add_option("--calls", options.maxCalls, "most calls of each function");
  runCommand->add_option("--after", options.after, "skip the functions up to this one");
  runCommand->add_flag("--small", options.isSmall, "few tokens");
  runCommand->add_flag("--progress", options.hasProgress, "say on standard error what begins");
  CLI::App *infoCommand = app.add_subcommand("info", "print the device and its limits");
  for (CLI::App *command : {runCommand, infoCommand})
    command->add_option("--device", options.device, "cuda:N or cpu")->capture_default_str();
  for (CLI::App *command : {buildCommand, runCommand}) {
    command->add_option("--stage", options.stage, "tiles, block, correctness, cached, bench or tune")
        ->check(CLI::IsMember({"tiles", "block", "correctness", "cached", "bench", "tune"}));
    command->add_option("--only", options.only, "one function by name");
    command->add_option("--every", options.every, "every so many functions only")->check(CLI::PositiveNumber);
  }
  CLI11_PARSE(app, argc, argv);
  try {
    return buildCommand->parsed() ? build(options) : runCommand->parsed() ? run(options) : printInfo(options);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "gqa-device-check: error: %s\n", error.what());
    return 2;
  }
}
