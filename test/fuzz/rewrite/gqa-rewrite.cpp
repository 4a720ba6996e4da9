// gqa-rewrite IN.mlir -o OUT.mlir --seed N: the same function, written differently.
//
// Draws upstream passes and small changes of our own, each of which keeps the numbers, and applies them one after the
// other. Prints as JSON what it did, and in which order of dimensions the arguments are to be passed now.

#include "test/fuzz/rewrite/Rewrites.h"

#include "dialect/GQADialect.h"

#include "mlir/IR/Verifier.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/ToolOutputFile.h"

namespace cl = llvm::cl;
using namespace mlir;

static cl::opt<std::string> inputPath(cl::Positional, cl::desc("IN.mlir"), cl::Required);
static cl::opt<std::string> outputPath("o", cl::desc("output file"), cl::value_desc("OUT.mlir"), cl::Required);
static cl::opt<uint64_t> seed("seed", cl::desc("what is drawn"), cl::init(1));
static cl::opt<int64_t> rewriteCount("count", cl::desc("number of rewrites; 0: drawn, from 1 to 12"), cl::init(0));

static int fail(const Twine &message) {
  llvm::errs() << "gqa-rewrite: error: " << message << "\n";
  return 1;
}

static void printReport(const mlir::gqa::Program &program, ArrayRef<std::string> names) {
  llvm::json::Array permutations;
  for (ArrayRef<int64_t> permutation : program.permutations)
    permutations.push_back(llvm::json::Array(permutation));
  llvm::json::Object report{{"seed", static_cast<int64_t>(seed)},
                            {"rewrites", llvm::json::Array(names)},
                            {"permutations", std::move(permutations)}};
  llvm::outs() << llvm::json::Value(std::move(report)) << "\n";
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::ParseCommandLineOptions(argc, argv, "rewrites a function so that it gives the same numbers\n");
  DialectRegistry registry;
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registerAllPasses();
  registry.insert<mlir::gqa::GQADialect>();
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(inputPath, &context);
  if (!module)
    return 1;

  std::vector<mlir::gqa::Rewrite> rewrites;
  mlir::gqa::addPassRewrites(rewrites);
  mlir::gqa::addScalarRewrites(rewrites);
  mlir::gqa::addLoopRewrites(rewrites);
  mlir::gqa::addTensorRewrites(rewrites);
  mlir::gqa::addFunctionRewrites(rewrites);

  mlir::gqa::Random random(seed);
  mlir::gqa::Program program(*module);
  SmallVector<std::string> names;
  int64_t count = rewriteCount > 0 ? static_cast<int64_t>(rewriteCount) : random.between(1, 12);
  for (int64_t tries = 0; static_cast<int64_t>(names.size()) < count && tries < 10 * count; ++tries) {
    const mlir::gqa::Rewrite &rewrite = random.pick(rewrites);
    if (!rewrite.apply(program, random))
      continue;
    names.push_back(rewrite.name);
    if (failed(verify(*module)))
      return fail("'" + rewrite.name + "' made the module invalid");
  }

  std::string message;
  std::unique_ptr<llvm::ToolOutputFile> file = openOutputFile(outputPath, &message);
  if (!file)
    return fail(message);
  file->os() << *module;
  file->keep();
  printReport(program, names);
  return 0;
}
