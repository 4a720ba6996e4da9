// gqa-run MODULE: runs, checks and times one entry of an artifact, or of an .mlir file compiled on the way.

#include "tools/Commands.h"

#include "runtime/gqa.h"
#include "tools/CompilerProcess.h"
#include "tools/DeviceSession.h"
#include "tools/InputSpec.h"
#include "tools/Npy.h"
#include "tools/OutputFile.h"
#include "tools/TemporaryDirectory.h"
#include "tools/TextTable.h"
#include "tools/Validators.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

namespace gqa {

namespace {

using Json = nlohmann::ordered_json;

struct RunOptions {
  std::string module, function, json, device;
  std::vector<std::string> inputs, outputs, expected, compileOptions;
  double atol = 1e-4, rtol = 1e-4, minTime = 0.5;
  uint64_t seed = 1;
  int threads = 0;
  bool list = false, benchmark = false, unfused = false;
};

/// A context, an artifact, and what its description says.
class Module {
public:
  Module(const std::string &path, int threads)
      : context(nullptr, gqa_context_destroy), artifact(nullptr, gqa_artifact_destroy) {
    gqa_options options = {};
    options.num_threads = threads;
    context.reset(gqa_context_create(&options));
    if (!context)
      throw std::runtime_error("number of threads must not be negative, got " + std::to_string(threads));
    gqa_artifact *loaded = nullptr;
    check(gqa_artifact_load(context.get(), path.c_str(), &loaded));
    artifact.reset(loaded);
    description = Json::parse(gqa_artifact_description(loaded));
  }

  const Json &getDescription() const { return description; }

  /// The entry called `name`, or the only one.
  const Json &getEntry(const std::string &name) const {
    const Json &entries = description.at("entries");
    std::string names;
    for (const Json &entry : entries) {
      names += (names.empty() ? "" : ", ") + entry.at("name").get<std::string>();
      if (entry.at("name") == name || (name.empty() && entries.size() == 1))
        return entry;
    }
    throw std::runtime_error(name.empty() ? "the module has several functions, name one by --function: " + names
                                          : "unknown function '" + name + "'; the module has: " + names);
  }

  /// Why this machine cannot run the module, or nothing.
  std::string getObstacle() const {
    return gqa_artifact_can_run(context.get(), artifact.get()) == GQA_OK ? "" : gqa_context_message(context.get());
  }

  std::vector<HostTensor> makeOutputs(const Json &entry, const std::vector<const DLTensor *> &inputs) const {
    std::vector<HostTensor> outputs;
    std::string name = entry.at("name");
    for (const Json &result : entry.at("results")) {
      std::vector<int64_t> shape(result.at("shape").size());
      int32_t rank = 0;
      check(gqa_result_shape(context.get(), artifact.get(), name.c_str(), inputs.data(),
                             static_cast<int32_t>(inputs.size()), static_cast<int32_t>(outputs.size()), shape.data(),
                             static_cast<int32_t>(shape.size()), &rank));
      outputs.emplace_back(result.at("type").get<std::string>(), shape);
    }
    return outputs;
  }

  gqa_context *getContext() const { return context.get(); }
  const gqa_artifact *getArtifact() const { return artifact.get(); }

  void call(const std::string &name, const std::vector<const DLTensor *> &inputs,
            const std::vector<DLTensor *> &outputs) const {
    check(gqa_call(context.get(), artifact.get(), name.c_str(), inputs.data(), static_cast<int32_t>(inputs.size()),
                   outputs.data(), static_cast<int32_t>(outputs.size())));
  }

private:
  void check(gqa_status status) const {
    if (status != GQA_OK)
      throw std::runtime_error(gqa_context_message(context.get()));
  }

  std::unique_ptr<gqa_context, void (*)(gqa_context *)> context;
  std::unique_ptr<gqa_artifact, void (*)(gqa_artifact *)> artifact;
  Json description;
};

std::string printShape(const Json &tensor) {
  std::string text = tensor.at("type").get<std::string>() + "[";
  for (const Json &dim : tensor.at("shape")) {
    if (text.back() != '[')
      text += ", ";
    text += dim.is_string() ? dim.get<std::string>() : dim.dump();
  }
  return text + "]";
}

void list(const Module &module, const RunOptions &options) {
  std::string obstacle = module.getObstacle();
  if (!options.json.empty()) {
    Json description = module.getDescription();
    description["can_run"] = obstacle.empty();
    if (!obstacle.empty())
      description["reason"] = obstacle;
    writeOutput(options.json, description.dump(2) + "\n");
    return;
  }
  TextTable table;
  table.addRow({"function", "arguments", "results"});
  auto join = [](const Json &tensors) {
    std::string text;
    for (const Json &tensor : tensors)
      text += (text.empty() ? "" : " ") + printShape(tensor);
    return text;
  };
  for (const Json &entry : module.getDescription().at("entries"))
    table.addRow({entry.at("name"), join(entry.at("arguments")), join(entry.at("results"))});
  const Json &target = module.getDescription().at("target");
  std::printf("%s\ncompiled by %s for %s, %s\n", table.str().c_str(),
              module.getDescription().at("compiler").get<std::string>().c_str(),
              target.at("cpu").get<std::string>().c_str(), target.at("triple").get<std::string>().c_str());
  std::printf("this machine can run it: %s\n", obstacle.empty() ? "yes" : ("no, " + obstacle).c_str());
}

/// The greatest difference between an output and what was expected.
struct Comparison {
  bool isGood = true;
  double error = 0, actual = 0, expected = 0;
  int64_t index = -1;
};

Comparison compare(const HostTensor &actual, const HostTensor &expected, const RunOptions &options) {
  Comparison result;
  double worst = -1;
  for (int64_t i = 0, count = actual.getNumElements(); i < count; ++i) {
    double a = actual.get(i), e = expected.get(i);
    if (a == e || (std::isnan(a) && std::isnan(e)))
      continue;
    double error = std::fabs(a - e), excess = error - (options.atol + options.rtol * std::fabs(e));
    bool isBad = !(excess <= 0); // a NaN on one side is bad
    double rank = std::isnan(error) ? HUGE_VAL : error;
    result.isGood &= !isBad;
    if (rank > worst) {
      worst = rank;
      result.error = error;
      result.actual = a;
      result.expected = e;
      result.index = i;
    }
  }
  return result;
}

std::string printIndex(int64_t flat, const std::vector<int64_t> &shape) {
  std::string text;
  for (size_t dim = shape.size(); dim-- > 0; flat /= shape[dim])
    text = std::to_string(flat % shape[dim]) + (text.empty() ? "" : ", ") + text;
  return "[" + text + "]";
}

/// Compares outputs with files; throws at the first that differs by more than the tolerance.
Json checkOutputs(const std::vector<HostTensor> &outputs, const RunOptions &options) {
  Json checks = Json::array();
  for (size_t i = 0; i < options.expected.size(); ++i) {
    const std::string &spec = options.expected[i];
    HostTensor expected = makeInput(spec, options.seed);
    if (expected.getShape() != outputs[i].getShape())
      throw std::runtime_error("result " + std::to_string(i) + " is " + outputs[i].print() + ", but '" + spec +
                               "' is " + expected.print());
    Comparison comparison = compare(outputs[i], expected, options);
    if (!comparison.isGood) {
      char text[256];
      std::snprintf(text, sizeof text, "result %zu differs from '%s': %.9g instead of %.9g at %s (atol %g, rtol %g)", i,
                    spec.c_str(), comparison.actual, comparison.expected,
                    printIndex(comparison.index, outputs[i].getShape()).c_str(), options.atol, options.rtol);
      throw std::runtime_error(text);
    }
    checks.push_back({{"expect", spec}, {"max_error", comparison.error}});
  }
  return checks;
}

/// What a person wants to know of a result at a glance.
Json summarise(const HostTensor &tensor) {
  double low = HUGE_VAL, high = -HUGE_VAL, sum = 0;
  int64_t nans = 0, count = tensor.getNumElements();
  for (int64_t i = 0; i < count; ++i) {
    double value = tensor.get(i);
    nans += std::isnan(value);
    if (std::isnan(value))
      continue;
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
  }
  Json summary = {{"type", tensor.getType()}, {"shape", tensor.getShape()}};
  if (count > nans)
    summary.update({{"min", low}, {"max", high}, {"mean", sum / static_cast<double>(count - nans)}});
  summary["nan"] = nans;
  return summary;
}

template <typename Body> std::vector<double> measure(Body body, double minTime) {
  using Clock = std::chrono::steady_clock;
  body();
  std::vector<double> times;
  double total = 0;
  while (total < minTime || times.size() < 5) {
    Clock::time_point start = Clock::now();
    body();
    times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    total += times.back();
  }
  return times;
}

Json summariseTimes(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return {{"runs", times.size()},
          {"min_ms", times.front() * 1e3},
          {"median_ms", times[times.size() / 2] * 1e3},
          {"max_ms", times.back() * 1e3}};
}

void printReport(const Json &report) {
  size_t index = 0;
  for (const Json &result : report.at("results")) {
    std::printf("result %zu: %s", index++, printShape(result).c_str());
    if (result.contains("min"))
      std::printf("  min %.6g  max %.6g  mean %.6g", result["min"].get<double>(), result["max"].get<double>(),
                  result["mean"].get<double>());
    if (result.at("nan") != 0)
      std::printf("  NaN %lld", static_cast<long long>(result["nan"].get<int64_t>()));
    std::printf("\n");
  }
  for (const Json &check : report.at("checks"))
    std::printf("equals %s: greatest error %.3g\n", check["expect"].get<std::string>().c_str(),
                check["max_error"].get<double>());
  if (report.contains("benchmark")) {
    const Json &times = report["benchmark"];
    std::printf("time: median %.4f ms, min %.4f, max %.4f, %d runs\n", times["median_ms"].get<double>(),
                times["min_ms"].get<double>(), times["max_ms"].get<double>(), times["runs"].get<int>());
  }
}

/// Where the entry runs, or why not where the user wants it to.
DLDevice chooseDevice(const Json &entry, const std::string &wanted) {
  bool isForDevice = entry.contains("device");
  if (wanted.empty())
    return {isForDevice ? kDLCUDA : kDLCPU, 0};
  DLDevice device = parseDevice(wanted);
  if (isForDevice != (device.device_type == kDLCUDA))
    throw std::runtime_error("'" + entry.at("name").get<std::string>() + "' runs on " +
                             (isForDevice ? "a CUDA device" : "the CPU") + ", not on '" + wanted + "'");
  return device;
}

void runEntry(const Module &module, const RunOptions &options) {
  const Json &entry = module.getEntry(options.function);
  DLDevice device = chooseDevice(entry, options.device);
  std::string name = entry.at("name");
  size_t resultCount = entry.at("results").size();
  for (auto [what, count] :
       {std::pair("--output", options.outputs.size()), std::pair("--expect", options.expected.size())})
    if (count > resultCount)
      throw std::runtime_error("'" + name + "' has " + std::to_string(resultCount) + " results, but " + what +
                               " is given " + std::to_string(count) + " times");
  for (const std::string &output : options.outputs)
    if (output != "-")
      checkWritable(output.substr(output.front() == '@'));

  std::vector<HostTensor> inputs;
  for (const std::string &spec : options.inputs)
    inputs.push_back(makeInput(spec, options.seed + inputs.size()));
  std::vector<DLTensor> views;
  for (HostTensor &input : inputs)
    views.push_back(input.view());
  std::vector<const DLTensor *> arguments;
  for (const DLTensor &view : views)
    arguments.push_back(&view);

  std::vector<HostTensor> outputs = module.makeOutputs(entry, arguments);
  std::vector<DLTensor> outputViews;
  for (HostTensor &output : outputs)
    outputViews.push_back(output.view());
  std::vector<DLTensor *> destinations;
  for (DLTensor &view : outputViews)
    destinations.push_back(&view);

  std::optional<DeviceCall> deviceCall;
  if (device.device_type == kDLCUDA) {
    deviceCall.emplace(device.device_id, module.getContext(), module.getArtifact(), name, arguments, destinations);
    deviceCall->run();
    deviceCall->download();
  } else {
    module.call(name, arguments, destinations);
  }
  Json report = {{"function", name}, {"results", Json::array()}};
  for (const HostTensor &output : outputs)
    report["results"].push_back(summarise(output));
  if (deviceCall)
    report["device"] = deviceCall->getDevice().describe();
  report["checks"] = checkOutputs(outputs, options);
  for (size_t i = 0; i < options.outputs.size(); ++i)
    if (options.outputs[i] != "-")
      writeNpy(options.outputs[i].substr(options.outputs[i].front() == '@'), outputs[i]);
  if (options.benchmark)
    report["benchmark"] =
        summariseTimes(deviceCall ? deviceCall->time(options.minTime, /*maxCalls=*/1000)
                                  : measure([&] { module.call(name, arguments, destinations); }, options.minTime));
  if (options.json.empty())
    printReport(report);
  else
    writeOutput(options.json, report.dump(2) + "\n");
}

bool isSource(const std::string &path) { return path.size() > 5 && path.compare(path.size() - 5, 5, ".mlir") == 0; }

void run(const RunOptions &options) {
  std::optional<TemporaryDirectory> directory;
  std::string path = options.module;
  if (!isSource(path) && (options.unfused || !options.compileOptions.empty()))
    throw std::runtime_error(std::string(options.unfused ? "--unfused" : "--compile-option") +
                             " needs an .mlir file to compile, but '" + path + "' is none");
  if (isSource(path)) {
    directory.emplace();
    path = directory->file("module.so");
    std::vector<std::string> flags = options.compileOptions;
    if (options.unfused)
      flags.push_back("--unfused");
    DLDevice device = options.device.empty() ? DLDevice{kDLCPU, 0} : parseDevice(options.device);
    if (device.device_type == kDLCUDA)
      compileForDevice(*cuda::Device::open(device.device_id), options.module, path, flags);
    else
      compileArtifact(options.module, path, flags);
  }
  Module module(path, options.threads);
  if (options.list)
    list(module, options);
  else
    runEntry(module, options);
}

} // namespace

void addRunCommand(CLI::App &app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App *command = app.add_subcommand("run", "run, check or time one function of an artifact or an .mlir file");
  command->add_option("MODULE", options->module, "an artifact of gqa-compile, or an .mlir file")->required();
  command->add_option("--function", options->function, "the function to run; may be left out if there is one");
  command->add_option("--input", options->inputs, "an argument: @FILE.npy, or SHAPExTYPE[=VALUE|random|uniform]")
      ->allow_extra_args(false);
  command->add_option("--output", options->outputs, "where a result goes: @FILE.npy, or - for nowhere")
      ->allow_extra_args(false);
  command->add_option("--expect", options->expected, "what a result must equal: @FILE.npy, or as for --input")
      ->allow_extra_args(false);
  command->add_option("--atol", options->atol, "absolute tolerance of --expect")
      ->check(nonNegativeNumber())
      ->capture_default_str();
  command->add_option("--rtol", options->rtol, "relative tolerance of --expect")
      ->check(nonNegativeNumber())
      ->capture_default_str();
  command->add_option("--seed", options->seed, "seed of random inputs")
      ->check(integerUpTo(UINT64_MAX))
      ->capture_default_str();
  command->add_option("--device", options->device, "where to run: cpu or cuda:N; default: where the module can");
  command->add_option("--threads", options->threads, "number of threads; 0: all")
      ->check(integerUpTo(4096))
      ->capture_default_str();
  command->add_flag("--benchmark", options->benchmark, "time repeated calls");
  command->add_option("--min-time", options->minTime, "seconds that --benchmark runs for at least")
      ->check(nonNegativeNumber())
      ->capture_default_str();
  command->add_flag("--list", options->list, "list the functions, their types and what they need");
  command->add_option("--json", options->json, "write the report as JSON to a file, or - for standard output")
      ->expected(0, 1)
      ->default_str("-");
  command->add_flag("--unfused", options->unfused, "compile an .mlir file as the unfused baseline");
  command->add_option("--compile-option", options->compileOptions, "an option for gqa-compile, for an .mlir file")
      ->allow_extra_args(false);
  command->callback([options] { run(*options); });
}

} // namespace gqa
