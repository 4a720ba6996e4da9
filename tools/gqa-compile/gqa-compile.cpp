// gqa-compile IN.mlir -o OUT.so: compiles public functions to an artifact (docs/design.md, "Artifact").
// gqa-compile --for-cache LAYER -o OUT.so: makes the functions that attend to a layer of a KV cache, and compiles them.

#include "dialect/GQADialect.h"
#include "dialect/gpu/GQAGpuDialect.h"
#include "passes/EmitArtifact.h"
#include "passes/Pipelines.h"
#include "passes/gpu/EmulatedKernels.h"
#include "tools/CacheEntries.h"

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
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ToolOutputFile.h"

namespace cl = llvm::cl;
using namespace mlir;

namespace {

enum class Emit { artifact, source, mlir, llvmIR, assembly, ptx };

struct Options {
  cl::OptionCategory category{"gqa-compile options"};
  cl::opt<std::string> input{cl::Positional, cl::desc("IN.mlir"), cl::cat(category)};
  cl::opt<std::string> output{"o", cl::desc("output file"), cl::value_desc("OUT.so"), cl::Required, cl::cat(category)};
  cl::opt<std::string> targetCpu{"target-cpu",
                                 cl::desc("CPU to make code for: native (default), x86-64-v3, x86-64-v4, znver4, ..."),
                                 cl::init("native"), cl::cat(category)};
  cl::opt<std::string> forCache{
      "for-cache",
      cl::desc("in place of IN.mlir: entries that gqa_cache_attend calls on a layer of a KV cache, described as in "
               "heads=32,kv-heads=8,head-dim=128,type=f16,page-size=16; also key-dim, value-dim, key-type, value-type, "
               "query-type (f32, f16, bf16, i8, f8e4m3, i4), page-size=contiguous, window, sinks, slack, scale, "
               "softcap, channel-scales=1, head-sinks=1, mask=1, rows=1, name"),
      cl::value_desc("LAYER"), cl::cat(category)};
  cl::opt<bool> unfused{"unfused", cl::desc("compile attention as separate products and softmax (the baseline)"),
                        cl::cat(category)};
  cl::opt<std::string> gpu{"gpu", cl::desc("GPU to make kernels for: sm_80, which later ones can also run, or sm_90a"),
                           cl::value_desc("ARCH"), cl::cat(category)};
  cl::opt<bool> emulate{"emulate", cl::desc("with --gpu: kernels run on the CPU, by a functional emulator"),
                        cl::cat(category)};
  cl::opt<bool> withEmulatedKernels{
      "with-emulated-kernels",
      cl::desc("with --gpu: as for a device (PTX alone), and kernels for the emulator beside them, which a driver that "
               "only pretends can run"),
      cl::cat(category)};
  cl::opt<bool> explain{"explain", cl::desc("with --gpu: print what each kernel takes of a multiprocessor"),
                        cl::cat(category)};
  cl::opt<Emit> emit{"emit", cl::desc("what to write"), cl::init(Emit::artifact), cl::cat(category),
                     cl::values(clEnumValN(Emit::artifact, "artifact", "a shared object (default)"),
                                clEnumValN(Emit::source, "source", "what is compiled, before any pass"),
                                clEnumValN(Emit::mlir, "mlir", "the LLVM dialect"),
                                clEnumValN(Emit::llvmIR, "llvm-ir", "optimised LLVM IR"),
                                clEnumValN(Emit::assembly, "assembly", "assembly"),
                                clEnumValN(Emit::ptx, "ptx", "PTX of the kernels"))};
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

/// The module to compile; null, and a message, if there is none.
std::unique_ptr<llvm::MemoryBuffer> openInput(const Options &options, std::string &message) {
  bool hasLayer = options.forCache.getNumOccurrences() > 0;
  if (hasLayer == (options.input.getNumOccurrences() > 0)) {
    message = "one of IN.mlir and --for-cache must be given";
    return nullptr;
  }
  if (!hasLayer) {
    // A device such as /dev/zero has no end.
    llvm::sys::fs::file_status status;
    if (!llvm::sys::fs::status(options.input, status) && status.type() == llvm::sys::fs::file_type::character_file) {
      message = "cannot read '" + options.input + "': it is no regular file";
      return nullptr;
    }
    return openInputFile(options.input, &message);
  }
  std::string text;
  if (::gqa::makeCacheEntries(options.forCache, text, message))
    return llvm::MemoryBuffer::getMemBufferCopy(text, "cache layer");
  message = "--for-cache: " + message;
  return nullptr;
}

void buildPipeline(PassManager &manager, const Options &options, const mlir::gqa::Target &target, bool emulate) {
  if (!options.gpu.empty()) {
    mlir::gqa::GpuLowerOptions gpuOptions;
    gpuOptions.targetCpu = options.targetCpu.getValue();
    gpuOptions.gpu = options.gpu.getValue();
    gpuOptions.emulate = emulate;
    return mlir::gqa::buildLowerGQAGpu(manager, gpuOptions, target);
  }
  mlir::gqa::LowerOptions lowerOptions;
  lowerOptions.targetCpu = options.targetCpu.getValue();
  auto *build = options.unfused ? mlir::gqa::buildLowerGQAUnfused : mlir::gqa::buildLowerGQA;
  build(manager, lowerOptions, target);
}

/// `emulate`: kernels are for the emulator.
LogicalResult lower(ModuleOp module, const Options &options, const mlir::gqa::Target &target, bool emulate) {
  PassManager manager(module.getContext());
  buildPipeline(manager, options, target, emulate);
  return manager.run(module);
}

/// The archive with the emulator, beside this program's own directory.
std::string getEmulatorPath(const char *program) {
  std::string path = llvm::sys::fs::getMainExecutable(program, reinterpret_cast<void *>(&getEmulatorPath));
  llvm::SmallString<128> archive(llvm::sys::path::parent_path(llvm::sys::path::parent_path(path)));
  llvm::sys::path::append(archive, "lib", "libgqa_emulator.a");
  return archive.str().str();
}

int compile(const Options &options, const char *program) {
  std::optional<mlir::gqa::GpuTarget> gpu;
  if (!options.gpu.empty()) {
    llvm::Expected<mlir::gqa::GpuTarget> found = mlir::gqa::GpuTarget::get(options.gpu);
    if (!found)
      return fail(llvm::toString(found.takeError()));
    gpu = *found;
  }
  if (gpu && options.unfused)
    return fail("--unfused is for CPUs; leave --gpu out");
  if (options.emit == Emit::artifact && options.output == "-")
    return fail("an artifact needs a file, '-' is for text (--emit)");
  if (!gpu && (options.emulate || options.withEmulatedKernels || options.explain || options.emit == Emit::ptx))
    return fail("--emulate, --with-emulated-kernels, --explain and --emit=ptx need --gpu");
  if (options.emulate && options.withEmulatedKernels)
    return fail("--emulate runs kernels without a driver, --with-emulated-kernels with one: give one of them");
  if (options.emulate && (options.explain || options.emit == Emit::ptx))
    return fail("with --emulate there are no kernels for a chip to explain or print");
  llvm::Expected<mlir::gqa::Target> target = mlir::gqa::Target::get(options.targetCpu);
  if (!target)
    return fail(llvm::toString(target.takeError()));

  DialectRegistry registry;
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registerAllToLLVMIRTranslations(registry);
  registry.insert<mlir::gqa::GQADialect, gqa_gpu::GQAGpuDialect>();
  gqa_gpu::registerBufferization(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);

  std::string message;
  std::unique_ptr<llvm::MemoryBuffer> buffer = openInput(options, message);
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

  if (options.emit == Emit::source) {
    std::string text;
    llvm::raw_string_ostream(text) << *module << "\n";
    return writeText(options.output, text);
  }

  OwningOpRef<ModuleOp> emulated;
  if (options.withEmulatedKernels)
    emulated = module->clone();
  if (failed(lower(*module, options, *target, options.emulate)) ||
      (emulated && failed(lower(*emulated, options, *target, /*emulate=*/true))))
    return 1;

  if (options.emit == Emit::mlir) {
    std::string text;
    llvm::raw_string_ostream(text) << *module;
    return writeText(options.output, text);
  }
  mlir::gqa::ArtifactParts parts;
  std::optional<mlir::gqa::DeviceCode> device;
  if (gpu && !options.emulate) {
    llvm::Expected<mlir::gqa::DeviceCode> compiled = mlir::gqa::compileDevice(*module, *gpu, /*isAssembled=*/!emulated);
    if (!compiled)
      return fail(llvm::toString(compiled.takeError()));
    device = std::move(*compiled);
    parts.device = &*device;
    parts.gpu = &*gpu;
    if (options.explain)
      llvm::outs() << mlir::gqa::explain(*device, *gpu);
    if (options.emit == Emit::ptx)
      return writeText(options.output, device->ptx);
  }
  if (emulated)
    if (llvm::Error error = mlir::gqa::addEmulatedKernels(*module, *emulated))
      return fail(llvm::toString(std::move(error)));
  if (options.emulate || emulated)
    parts.archives.push_back(getEmulatorPath(program));
  if (options.emit == Emit::artifact) {
    llvm::Error error = mlir::gqa::emitArtifact(*module, *target, options.output.getValue(), parts);
    return error ? fail(llvm::toString(std::move(error))) : 0;
  }
  auto kind = options.emit == Emit::llvmIR ? mlir::gqa::EmitKind::llvmIR : mlir::gqa::EmitKind::assembly;
  llvm::Expected<std::string> text = mlir::gqa::emitText(*module, *target, kind, parts);
  return text ? writeText(options.output, *text) : fail(llvm::toString(text.takeError()));
}

} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  Options options;
  cl::HideUnrelatedOptions(options.category);
  cl::ParseCommandLineOptions(argc, argv, "compiles MLIR functions with grouped-query attention to an artifact\n");
  return compile(options, argv[0]);
}
