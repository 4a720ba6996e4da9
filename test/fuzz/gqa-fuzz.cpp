// gqa-fuzz: compiles random attention functions, calls them on random data and judges the results.
//
// A case is one call of one function. Functions and data follow from the seed and the number of the case alone, so
// `--seed S --only CASE` repeats one.

#include "test/fuzz/CachedKernel.h"
#include "test/fuzz/FuzzCase.h"
#include "test/fuzz/RandomProblem.h"
#include "tools/AttentionModule.h"
#include "tools/CompilerProcess.h"
#include "tools/LoadedArtifact.h"
#include "tools/OutputFile.h"
#include "tools/TemporaryDirectory.h"

#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <unistd.h>

using namespace gqa;

namespace {

/// Calls of one function. Compilation takes most of the time.
constexpr int64_t kCallsPerFunction = 16;
/// Functions that one process compiles.
constexpr int64_t kFunctionsPerModule = 8;

struct Options {
  uint64_t seed = 1;
  int64_t cases = 320;
  int64_t first = 0;
  int64_t only = -1;
  int64_t maxFailures = 10;
  bool unfused = false;
  bool cached = false;
  bool list = false;
  std::string targetCpu = "native";
  std::string emulatedGpu;
  std::string keep;
};

/// The case that runs, for the message of a crash.
char currentCase[4096] = "";

void reportCrash(int signal) {
  const char *text = "gqa-fuzz: crashed in ";
  if (write(STDERR_FILENO, text, strlen(text)) < 0 || write(STDERR_FILENO, currentCase, strlen(currentCase)) < 0)
    _exit(2);
  _exit(128 + signal);
}

struct NumberedFunction {
  int64_t number;
  FuzzFunction function;
  std::optional<CacheLayout> layout; ///< with a twin on a KV cache

  std::string getName() const { return "f" + std::to_string(number); }
  std::string getCachedName() const { return "c" + std::to_string(number); }

  std::string print() const {
    std::string text = printAttentionFunction(function.problem, getName(), function.dynamicDims);
    if (!layout)
      return text;
    return text + printAttentionFunction(makeCachedProblem(function.problem, *layout), getCachedName(),
                                         getCachedDims(function, *layout));
  }

  std::string describe(const AttentionProblem &problem) const {
    std::string text = gqa::describe(problem, function.dynamicDims);
    if (layout) {
      static const char *const names[] = {"f32", "f16", "bf16", "i8", "f8e4m3", "i4"};
      text += std::string(" cache ") + names[static_cast<int>(layout->keyType)] + "/" +
              names[static_cast<int>(layout->valueType)] + " pages of " + std::to_string(layout->pageSize) +
              (layout->hasChannelScales ? " channel scales" : "");
      if (layout->ring)
        text += " ring of " + std::to_string(layout->ring->slots);
    }
    return text;
  }
};

/// An artifact with contexts of 1, 2 and 5 threads.
class Artifact {
public:
  explicit Artifact(std::string path) : path(std::move(path)) {}

  Kernel getKernel(const std::string &entry) {
    return [this, entry](const std::vector<DLTensor> &arguments, std::vector<DLTensor> &results, int numThreads) {
      auto it = loaded.find(numThreads);
      if (it == loaded.end())
        it = loaded.emplace(numThreads, std::make_unique<LoadedArtifact>(path, numThreads)).first;
      std::vector<const DLTensor *> inputs;
      std::vector<DLTensor *> outputs;
      for (const DLTensor &argument : arguments)
        inputs.push_back(&argument);
      for (DLTensor &result : results)
        outputs.push_back(&result);
      it->second->call(entry, inputs, outputs);
    };
  }

private:
  std::string path;
  std::map<int, std::unique_ptr<LoadedArtifact>> loaded;
};

class Fuzzer {
public:
  explicit Fuzzer(const Options &options) : options(options) {}

  /// Returns the number of failures.
  int64_t run() {
    int64_t begin = options.only >= 0 ? options.only : options.first;
    int64_t end = options.only >= 0 ? begin + 1 : begin + options.cases;
    int64_t functionEnd = (end + kCallsPerFunction - 1) / kCallsPerFunction;
    for (int64_t function = begin / kCallsPerFunction; function < functionEnd && mayGoOn();
         function += kFunctionsPerModule) {
      std::vector<NumberedFunction> functions;
      for (int64_t i = function; i < std::min(function + kFunctionsPerModule, functionEnd); ++i) {
        Random random(options.seed, static_cast<uint64_t>(i));
        if (options.cached) {
          CachedFuzzFunction function = makeRandomCachedFunction(random);
          functions.push_back({i, function.dense, function.layout});
        } else {
          functions.push_back({i, makeRandomFunction(random), std::nullopt});
        }
        if (!options.emulatedGpu.empty())
          functions.back().function = restrictToGpu(functions.back().function);
      }
      if (options.list)
        std::printf("%s", printAll(functions).c_str());
      else
        runModule(functions, begin, end);
    }
    if (!options.list)
      std::printf("gqa-fuzz: seed %llu: %lld cases, %lld failures\n", static_cast<unsigned long long>(options.seed),
                  static_cast<long long>(numCases), static_cast<long long>(numFailures));
    return numFailures;
  }

private:
  bool mayGoOn() const { return numFailures < options.maxFailures; }

  static std::string printAll(const std::vector<NumberedFunction> &functions) {
    std::string text;
    for (const NumberedFunction &function : functions)
      text += function.print();
    return text;
  }

  /// Compiles the functions together; where that fails, one by one, so that the failing ones are known.
  void runModule(const std::vector<NumberedFunction> &functions, int64_t begin, int64_t end) {
    TemporaryDirectory directory;
    std::string path = directory.file("module.so");
    try {
      compile(printAll(functions), directory.file("module.mlir"), path);
    } catch (const std::exception &error) {
      if (functions.size() > 1) {
        for (const NumberedFunction &function : functions)
          runModule({function}, begin, end);
        return;
      }
      numCases += 1;
      fail(functions[0], std::max(begin, functions[0].number * kCallsPerFunction), functions[0].function.problem,
           error.what());
      return;
    }
    Artifact artifact(path);
    for (const NumberedFunction &function : functions) {
      int64_t first = function.number * kCallsPerFunction;
      for (int64_t i = std::max(begin, first); i < std::min(end, first + kCallsPerFunction) && mayGoOn(); ++i)
        runCase(function, i, artifact);
    }
  }

  void compile(const std::string &text, const std::string &modulePath, const std::string &artifactPath) {
    writeOutput(modulePath, text);
    std::vector<std::string> arguments = {"--target-cpu=" + options.targetCpu};
    if (options.unfused)
      arguments.push_back("--unfused");
    if (!options.emulatedGpu.empty())
      arguments.insert(arguments.end(), {"--gpu=" + options.emulatedGpu, "--emulate"});
    compileArtifact(modulePath, artifactPath, arguments);
  }

  void runCase(const NumberedFunction &function, int64_t number, Artifact &artifact) {
    // Streams of calls lie apart from those of functions.
    Random random(~options.seed, static_cast<uint64_t>(number));
    AttentionProblem problem = makeRandomCall(function.function, random);
    std::string name = "case " + std::to_string(number) + ": " + function.describe(problem);
    std::snprintf(currentCase, sizeof currentCase, "seed %llu %s%s\n", static_cast<unsigned long long>(options.seed),
                  name.c_str(), options.unfused ? " unfused" : "");
    ++numCases;
    std::string error;
    try {
      // Kernels of a GPU take rows that begin at multiples of 16 bytes.
      FuzzCase fuzzCase = makeRandomCase(problem, random, /*paddingStep=*/options.emulatedGpu.empty() ? 1 : 8);
      bool canChangeBatch = function.function.dynamicDims.count(Dim::b) > 0;
      error = function.layout ? checkCached(function, problem, fuzzCase, artifact, canChangeBatch, random)
                              : checkCase(fuzzCase, artifact.getKernel(function.getName()), canChangeBatch, random);
    } catch (const std::exception &exception) {
      error = exception.what();
    }
    if (!error.empty())
      fail(function, number, problem, error);
  }

  static bool isInteger(CacheType type) { return type == CacheType::i8 || type == CacheType::i4; }

  /// A cache that holds the keys and values exactly gives the bits of dense tensors with lengths, whatever its pages
  /// are.
  std::string checkCached(const NumberedFunction &function, const AttentionProblem &problem, FuzzCase &fuzzCase,
                          Artifact &artifact, bool canChangeBatch, Random &random) const {
    bool isOnGpu = !options.emulatedGpu.empty();
    const CacheLayout &layout = *function.layout;
    roundToCache(fuzzCase, layout);
    fuzzCase.weightType = getWeightType(problem, layout, isOnGpu);
    // dialect/ShortProducts.h
    if (!isOnGpu && problem.query.type != ElementType::f32 && isInteger(layout.keyType) && isInteger(layout.valueType))
      fuzzCase.queryRoundoff = 0x1p-16;
    Kernel dense = artifact.getKernel(function.getName());
    Kernel cached = makeCachedKernel(problem, layout, artifact.getKernel(function.getCachedName()), random);
    std::string error = checkCase(fuzzCase, cached, canChangeBatch, random);
    if (!error.empty() || layout.ring || isQuantised(layout.keyType) || isQuantised(layout.valueType))
      return error;
    return compareKernels(fuzzCase, dense, cached, random);
  }

  std::string getModeOptions() const {
    std::string text = options.unfused ? " --unfused" : "";
    if (options.cached)
      text += " --cached";
    if (!options.emulatedGpu.empty())
      text += " --emulate-gpu " + options.emulatedGpu;
    return text;
  }

  void fail(const NumberedFunction &function, int64_t number, const AttentionProblem &problem,
            const std::string &error) {
    ++numFailures;
    std::printf("FAIL %s\n  %s\n  again: gqa-fuzz --seed %llu --only %lld%s\n", error.c_str(),
                function.describe(problem).c_str(), static_cast<unsigned long long>(options.seed),
                static_cast<long long>(number), getModeOptions().c_str());
    std::fflush(stdout);
    if (!options.keep.empty())
      writeOutput(options.keep + "/" + std::to_string(options.seed) + "-" + std::to_string(number) + ".mlir",
                  function.print());
  }

  const Options &options;
  int64_t numCases = 0, numFailures = 0;
};

} // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app("checks compiled attention on random problems against a double-precision reference", "gqa-fuzz");
  app.add_option("--seed", options.seed, "what problems and data follow from")->capture_default_str();
  app.add_option("--cases", options.cases, "how many calls to make")->capture_default_str();
  app.add_option("--first", options.first, "number of the first case")->capture_default_str();
  app.add_option("--only", options.only, "make this one call");
  app.add_option("--max-failures", options.maxFailures, "stop after so many failures")->capture_default_str();
  app.add_option("--target-cpu", options.targetCpu, "CPU to compile for")->capture_default_str();
  app.add_option("--emulate-gpu", options.emulatedGpu, "compile kernels for this GPU and run them by the emulator");
  app.add_option("--keep", options.keep, "directory for the modules of failing cases")->check(CLI::ExistingDirectory);
  app.add_flag("--unfused", options.unfused, "compile the unfused baseline");
  app.add_flag("--cached", options.cached, "keys and values in a KV cache: in pages, quantised, in rings");
  app.add_flag("--list", options.list, "print the functions of the cases and run nothing");
  CLI11_PARSE(app, argc, argv);

  // More threads than cores are part of the checks: they must not spin.
  setenv("OMP_WAIT_POLICY", "passive", /*overwrite=*/0);
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
    std::signal(signal, reportCrash);
  try {
    return Fuzzer(options).run() == 0 ? 0 : 1;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "gqa-fuzz: error: %s\n", error.what());
    return 1;
  }
}
