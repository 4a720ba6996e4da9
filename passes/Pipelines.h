#ifndef GQA_PASSES_PIPELINES_H
#define GQA_PASSES_PIPELINES_H

#include "passes/Target.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

/// The only place where passes are ordered. Both tools call these functions.
namespace mlir::gqa {

/// The stages of `--lower-gqa`, in order. `stop-after` names one of them.
enum class Stage { raise, fold, schedule, entries, tile, decompose, registers, bufferize, outline, llvm };

struct LowerOptions : PassPipelineOptions<LowerOptions> {
  Option<std::string> targetCpu{*this, "target-cpu",
                                llvm::cl::desc("CPU to make code for: native, x86-64-v3, x86-64-v4, znver4, ..."),
                                llvm::cl::init("native")};
  Option<Stage> stopAfter{*this, "stop-after", llvm::cl::desc("last stage to run"), llvm::cl::init(Stage::llvm),
                          llvm::cl::values(clEnumValN(Stage::raise, "raise", "attention is raised from upstream ops"),
                                           clEnumValN(Stage::fold, "fold", "repeated K/V are index maps"),
                                           clEnumValN(Stage::schedule, "schedule", "attention ops carry a schedule"),
                                           clEnumValN(Stage::entries, "entries", "public functions are entries"),
                                           clEnumValN(Stage::tile, "tile", "tasks and key blocks"),
                                           clEnumValN(Stage::decompose, "decompose", "linalg on tiles"),
                                           clEnumValN(Stage::registers, "registers", "vectors on tensors"),
                                           clEnumValN(Stage::bufferize, "bufferize", "vectors on buffers"),
                                           clEnumValN(Stage::outline, "outline", "tasks are functions"),
                                           clEnumValN(Stage::llvm, "llvm", "the LLVM dialect"))};
  Option<int64_t> tileG{*this, "tile-g", llvm::cl::desc("query heads per tile; 0: chosen"), llvm::cl::init(0)};
  Option<int64_t> tileM{*this, "tile-m", llvm::cl::desc("query positions per tile; 0: chosen"), llvm::cl::init(0)};
  Option<int64_t> tileN{*this, "tile-n", llvm::cl::desc("keys per block; 0: chosen"), llvm::cl::init(0)};
};

/// What frontends emit as calls and TOSA becomes one function of linalg on tensors.
void buildImport(OpPassManager &manager);

/// `--lower-gqa`: attention, raised where needed, to fused code in the LLVM dialect.
void buildLowerGQA(OpPassManager &manager, const LowerOptions &options, const Target &target);

/// `--lower-gqa-unfused`: the baseline. K/V are repeated in memory, scores exist whole; the products, like all that is
/// not attention, take the same route as in `--lower-gqa`.
void buildLowerGQAUnfused(OpPassManager &manager, const LowerOptions &options, const Target &target);

/// The stages of `--lower-gqa-gpu`, in order.
enum class GpuStage { schedule, entries, kernels, decompose, distribute, instructions, bufferize, llvm };

struct GpuLowerOptions : PassPipelineOptions<GpuLowerOptions> {
  Option<std::string> targetCpu{*this, "target-cpu", llvm::cl::desc("CPU to make the host's code for"),
                                llvm::cl::init("native")};
  Option<std::string> gpu{*this, "gpu", llvm::cl::desc("chip to make kernels for"), llvm::cl::init("sm_80")};
  Option<bool> emulate{*this, "emulate", llvm::cl::desc("kernels run on the CPU, by the functional emulator"),
                       llvm::cl::init(false)};
  Option<GpuStage> stopAfter{
      *this, "stop-after", llvm::cl::desc("last stage to run"), llvm::cl::init(GpuStage::llvm),
      llvm::cl::values(clEnumValN(GpuStage::schedule, "schedule", "attention ops carry a schedule"),
                       clEnumValN(GpuStage::entries, "entries", "public functions are entries"),
                       clEnumValN(GpuStage::kernels, "kernels", "attention is kernels and launches"),
                       clEnumValN(GpuStage::decompose, "decompose", "kernels are linalg on tiles of a warp"),
                       clEnumValN(GpuStage::distribute, "distribute", "kernels are the code of one lane"),
                       clEnumValN(GpuStage::instructions, "instructions", "kernels use NVVM, or call the emulator"),
                       clEnumValN(GpuStage::bufferize, "bufferize", "entries work on buffers"),
                       clEnumValN(GpuStage::llvm, "llvm", "the LLVM dialect"))};
};

/// `--lower-gqa-gpu`: attention, raised where needed, to kernels in a module `@gqa_device` of the LLVM dialect and
/// entries that launch them.
void buildLowerGQAGpu(OpPassManager &manager, const GpuLowerOptions &options, const Target &target);

void registerPipelines();

} // namespace mlir::gqa

#endif // GQA_PASSES_PIPELINES_H
