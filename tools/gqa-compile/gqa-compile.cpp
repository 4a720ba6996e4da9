// gqa-compile IN.mlir -o OUT.so: compiles public functions to an artifact (docs/design.md, "Artifact").

#include "dialect/GQADialect.h"
#include "passes/EmitArtifact.h"
#include "passes/Pipelines.h"

#include "mlir/Bytecode/BytecodeReader.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ToolOutputFile.h"

namespace cl = llvm::cl;
using namespace mlir;

namespace {

enum class Emit { artifact, mlir, llvmIR, assembly };

struct Options {
  cl::OptionCategory category{"gqa-compile options"};
  cl::opt<std::string> input{cl::Positional, cl::desc("IN.mlir"), cl::Required, cl::cat(category)};
  cl::opt<std::string> output{"o", cl::desc("output file"), cl::value_desc("OUT.so"), cl::Required, cl::cat(category)};
  cl::opt<std::string> targetCpu{"target-cpu",
                                 cl::desc("CPU to make code for: native (default), x86-64-v3, x86-64-v4, znver4, ..."),
                                 cl::init("native"), cl::cat(category)};
  cl::opt<bool> unfused{"unfused", cl::desc("compile attention as separate products and softmax (the baseline)"),
                        cl::cat(category)};
  cl::opt<Emit> emit{"emit", cl::desc("what to write"), cl::init(Emit::artifact), cl::cat(category),
                     cl::values(clEnumValN(Emit::artifact, "artifact", "a shared object (default)"),
                                clEnumValN(Emit::mlir, "mlir", "the LLVM dialect"),
                                clEnumValN(Emit::llvmIR, "llvm-ir", "optimised LLVM IR"),
                                clEnumValN(Emit::assembly, "assembly", "assembly"))};
};

int fail(const Twine &message) {
  llvm::errs() << "gqa-compile: error: " << message << "\n";
  return 1;
}

/// Writes `text` to `path`; nothing is left behind on failure.
int writeText(StringRef path, StringRef text) {
  std::string message;
  std::unique_ptr<llvm::ToolOutputFile> file = openOutputFile(path, &message);
  if (!file)
    return fail(message);
  file->os() << text;
  file->keep();
  return 0;
}

int compile(const Options &options) {
  llvm::Expected<gqa::Target> target = gqa::Target::get(options.targetCpu);
  if (!target)
    return fail(llvm::toString(target.takeError()));

  DialectRegistry registry;
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registerAllToLLVMIRTranslations(registry);
  registry.insert<gqa::GQADialect>();
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);

  std::string message;
  std::unique_ptr<llvm::MemoryBuffer> buffer = openInputFile(options.input, &message);
  if (!buffer)
    return fail(message);
  if (buffer->getBuffer().contains('\0') && !isBytecode(buffer->getMemBufferRef()))
    return fail("'" + options.input + "' is neither MLIR text nor MLIR bytecode");
  auto sources = std::make_shared<llvm::SourceMgr>();
  sources->AddNewSourceBuffer(std::move(buffer), SMLoc());
  SourceMgrDiagnosticHandler diagnostics(*sources, &context);
  context.printOpOnDiagnostic(false);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(*sources, &context);
  if (!module)
    return 1;
  if (llvm::none_of(module->getOps<func::FuncOp>(),
                    [](func::FuncOp function) { return function.isPublic() && !function.isExternal(); }))
    return fail("'" + options.input + "' has no public function to compile");

  PassManager manager(&context);
  gqa::LowerOptions lowerOptions;
  lowerOptions.targetCpu = options.targetCpu.getValue();
  auto *build = options.unfused ? gqa::buildLowerGQAUnfused : gqa::buildLowerGQA;
  build(manager, lowerOptions, *target);
  if (failed(manager.run(*module)))
    return 1;

  if (options.emit == Emit::artifact) {
    llvm::Error error = gqa::emitArtifact(*module, *target, options.output.getValue());
    return error ? fail(llvm::toString(std::move(error))) : 0;
  }
  if (options.emit == Emit::mlir) {
    std::string text;
    llvm::raw_string_ostream(text) << *module;
    return writeText(options.output, text);
  }
  auto kind = options.emit == Emit::llvmIR ? gqa::EmitKind::llvmIR : gqa::EmitKind::assembly;
  llvm::Expected<std::string> text = gqa::emitText(*module, *target, kind);
  return text ? writeText(options.output, *text) : fail(llvm::toString(text.takeError()));
}

} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  Options options;
  cl::HideUnrelatedOptions(options.category);
  cl::ParseCommandLineOptions(argc, argv, "compiles MLIR functions with grouped-query attention to an artifact\n");
  return compile(options);
}
