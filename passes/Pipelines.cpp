#include "passes/Pipelines.h"

#include "passes/Passes.h"
#include "passes/gpu/GpuPasses.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MathToLibm/MathToLibm.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/TosaToArith/TosaToArith.h"
#include "mlir/Conversion/TosaToLinalg/TosaToLinalg.h"
#include "mlir/Conversion/TosaToTensor/TosaToTensor.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Pipelines/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/Passes.h"
#include "mlir/Dialect/Vector/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace mlir::gqa {

namespace {

void addCleanUp(OpPassManager &manager) {
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

/// What is not fused attention: contractions become packed blocks, everything else rows of vectors.
void buildTileOthers(OpPassManager &manager, const Target &target) {
  TileContractionsOptions contractions;
  contractions.vectorBits = target.vectorBits;
  contractions.registers = target.registers;
  manager.addNestedPass<func::FuncOp>(createTileContractions(contractions));
  addCleanUp(manager);
  TileRowsOptions rows;
  rows.vectorBits = target.vectorBits;
  manager.addNestedPass<func::FuncOp>(createTileRows(rows));
  addCleanUp(manager);
}

void buildRegisters(OpPassManager &manager, const Target &target) {
  if (target.hasMatrixTiles)
    manager.addNestedPass<func::FuncOp>(createChooseMatrixTiles());
  TileToRegistersOptions options;
  options.vectorBits = target.vectorBits;
  options.registers = target.registers;
  manager.addNestedPass<func::FuncOp>(createTileToRegisters(options));
  addCleanUp(manager);
  manager.addNestedPass<func::FuncOp>(createVectorizeTiles());
  addCleanUp(manager);
}

void buildBufferize(OpPassManager &manager) {
  manager.addNestedPass<func::FuncOp>(createSeparateResults());
  manager.addPass(bufferization::createEmptyTensorEliminationPass());
  manager.addPass(bufferization::createEmptyTensorToAllocTensorPass());
  bufferization::OneShotBufferizePassOptions options;
  options.bufferizeFunctionBoundaries = true;
  // Loops of the input may carry tensors that each iteration makes anew. Ours update in place.
  options.allowReturnAllocsFromLoops = true;
  options.functionBoundaryTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  manager.addPass(bufferization::createOneShotBufferizePass(options));
  addCleanUp(manager);
  manager.addNestedPass<func::FuncOp>(createStackBuffers());
  bufferization::BufferDeallocationPipelineOptions deallocation;
  bufferization::buildBufferDeallocationPipeline(manager, deallocation);
  addCleanUp(manager);
  manager.addNestedPass<func::FuncOp>(createPrefetchTiles());
}

void buildOutline(OpPassManager &manager, const Target &target) {
  if (target.hasMatrixTiles)
    manager.addNestedPass<func::FuncOp>(createLowerMatrixTiles());
  manager.addNestedPass<func::FuncOp>(createExpandCopies());
  manager.addPass(createOutlineTasks());
  manager.addPass(createShareTasks());
  addCleanUp(manager);
}

void buildLLVM(OpPassManager &manager, const Target &target) {
  ExpandMathOptions math;
  math.hasScale = target.hasScale;
  math.hasBF16 = target.hasDot;
  manager.addNestedPass<func::FuncOp>(createExpandMath(math));
  manager.addNestedPass<func::FuncOp>(createLowerVectors());
  VectorTransferToSCFOptions transfers;
  transfers.enableFullUnroll();
  manager.addNestedPass<func::FuncOp>(createConvertVectorToSCFPass(transfers));
  manager.addPass(createLowerAffinePass());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass());
  ConvertVectorToLLVMPassOptions vectors;
  vectors.vectorContractLowering = vector::VectorContractLowering::OuterProduct;
  vectors.vectorTransposeLowering = vector::VectorTransposeLowering::Shuffle16x16;
  vectors.reassociateFPReductions = true;
  vectors.x86Vector = target.vectorBits == 512;
  vectors.amx = target.hasMatrixTiles;
  manager.addPass(createConvertVectorToLLVMPass(vectors));
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createConvertMathToLibmPass());
  // Functions of libm are called element by element, so there are vectors to take apart once more.
  manager.addPass(createConvertVectorToLLVMPass(vectors));
  manager.addPass(createUBToLLVMConversionPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createConvertIndexToLLVMPass());
  manager.addPass(createFinalizeMemRefToLLVMConversionPass());
  manager.addPass(createConvertFuncToLLVMPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
  manager.addPass(createBooleansAsBytes());
  addCleanUp(manager);
  manager.addPass(createBindHost());
}

} // namespace

void buildImport(OpPassManager &manager) {
  // What is inlined everywhere is dead, and so are private functions that nothing calls: they have no host to run on.
  manager.addPass(createInlinerPass());
  manager.addPass(createSymbolDCEPass());
  manager.addNestedPass<func::FuncOp>(tosa::createTosaToLinalgNamed());
  manager.addNestedPass<func::FuncOp>(tosa::createTosaToLinalg());
  manager.addNestedPass<func::FuncOp>(createTosaToArithPass(TosaToArithPassOptions{/*includeApplyRescale=*/true,
                                                                                   /*use32Bit=*/false}));
  manager.addNestedPass<func::FuncOp>(createTosaToTensorPass());
  addCleanUp(manager);
  manager.addNestedPass<func::FuncOp>(createFormContractions());
}

static void buildLower(OpPassManager &manager, const LowerOptions &options, const Target &target, bool isFused) {
  auto isPast = [&](Stage stage) { return options.stopAfter < stage; };
  manager.addPass(createRaiseAttention());
  addCleanUp(manager);
  if (isPast(Stage::fold))
    return;
  manager.addNestedPass<func::FuncOp>(createFoldRepeatedKV());
  // What is no repeat of heads. Later passes know linalg and slices alone.
  manager.addNestedPass<func::FuncOp>(createExpandGathers());
  addCleanUp(manager);
  if (isPast(Stage::schedule))
    return;
  SelectScheduleOptions schedule;
  schedule.vectorBits = target.vectorBits;
  schedule.registers = target.registers;
  schedule.hasDot = target.hasDot;
  schedule.hasShortDot = target.hasShortDot;
  schedule.hasMatrixTiles = target.hasMatrixTiles;
  schedule.tileG = options.tileG;
  schedule.tileM = options.tileM;
  schedule.tileN = options.tileN;
  manager.addNestedPass<func::FuncOp>(createSelectSchedule(schedule));
  if (isPast(Stage::entries))
    return;
  manager.addPass(createBuildEntries());
  addCleanUp(manager);
  if (isPast(Stage::tile))
    return;
  manager.addNestedPass<func::FuncOp>(isFused ? createSpecializeRows() : createUnfuseAttention());
  manager.addNestedPass<func::FuncOp>(createSinkResults());
  manager.addNestedPass<func::FuncOp>(createWidenAccumulators());
  manager.addNestedPass<func::FuncOp>(createFuseElementwise());
  manager.addNestedPass<func::FuncOp>(createTileAttention());
  addCleanUp(manager);
  buildTileOthers(manager, target);
  if (isPast(Stage::decompose))
    return;
  manager.addNestedPass<func::FuncOp>(createDecomposeAttention());
  addCleanUp(manager);
  if (isPast(Stage::registers))
    return;
  buildRegisters(manager, target);
  if (isPast(Stage::bufferize))
    return;
  buildBufferize(manager);
  manager.addNestedPass<func::FuncOp>(createVerifyNoKVExpansion());
  if (isPast(Stage::outline))
    return;
  buildOutline(manager, target);
  if (isPast(Stage::llvm))
    return;
  buildLLVM(manager, target);
}

void buildLowerGQA(OpPassManager &manager, const LowerOptions &options, const Target &target) {
  buildLower(manager, options, target, /*isFused=*/true);
}

void buildLowerGQAUnfused(OpPassManager &manager, const LowerOptions &options, const Target &target) {
  buildLower(manager, options, target, /*isFused=*/false);
}

/// Kernels to instructions of the chip, in the LLVM dialect.
static void buildDevice(OpPassManager &manager, const GpuLowerOptions &options) {
  auto isPast = [&](GpuStage stage) { return options.stopAfter < stage; };
  manager.addNestedPass<func::FuncOp>(createDecomposeAttention());
  addCleanUp(manager);
  if (isPast(GpuStage::distribute))
    return;
  manager.addNestedPass<func::FuncOp>(createDistributeFragments());
  manager.addPass(createLowerAffinePass());
  addCleanUp(manager);
  manager.addNestedPass<func::FuncOp>(createLoopInvariantCodeMotionPass());
  if (isPast(GpuStage::instructions))
    return;
  if (options.emulate) {
    manager.addPass(createLowerToEmulator());
    return;
  }
  LowerToNVVMOptions instructions;
  instructions.gpu = options.gpu;
  manager.addPass(createLowerToNVVM(instructions));
  addCleanUp(manager);
  if (isPast(GpuStage::llvm))
    return;
  // Positions and extents fit 32 bits; offsets into tensors are i64 by themselves.
  constexpr unsigned kIndexBits = 32;
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(createConvertVectorToLLVMPass());
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createUBToLLVMConversionPass(UBToLLVMConversionPassOptions{kIndexBits}));
  manager.addPass(createArithToLLVMConversionPass(ArithToLLVMConversionPassOptions{kIndexBits}));
  ConvertFuncToLLVMPassOptions functions;
  functions.indexBitwidth = kIndexBits;
  manager.addPass(createConvertFuncToLLVMPass(functions));
  manager.addPass(createConvertControlFlowToLLVMPass(ConvertControlFlowToLLVMPassOptions{kIndexBits}));
  manager.addPass(createReconcileUnrealizedCastsPass());
  addCleanUp(manager);
}

/// Entries on buffers. What a device entry allocates is part of its workspace, so nothing is freed.
static void buildBufferizeGpu(OpPassManager &manager, const GpuLowerOptions &options) {
  manager.addNestedPass<func::FuncOp>(createSeparateResults());
  manager.addPass(bufferization::createEmptyTensorEliminationPass());
  manager.addPass(bufferization::createEmptyTensorToAllocTensorPass());
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  manager.addPass(bufferization::createOneShotBufferizePass(bufferize));
  addCleanUp(manager);
  if (options.emulate)
    bufferization::buildBufferDeallocationPipeline(manager, bufferization::BufferDeallocationPipelineOptions());
  addCleanUp(manager);
}

void buildLowerGQAGpu(OpPassManager &manager, const GpuLowerOptions &options, const Target &target) {
  auto isPast = [&](GpuStage stage) { return options.stopAfter < stage; };
  buildImport(manager);
  manager.addPass(createRaiseAttention());
  addCleanUp(manager);
  manager.addNestedPass<func::FuncOp>(createFoldRepeatedKV());
  addCleanUp(manager);
  SelectGpuScheduleOptions schedule;
  schedule.gpu = options.gpu;
  manager.addNestedPass<func::FuncOp>(createSelectGpuSchedule(schedule));
  if (isPast(GpuStage::entries))
    return;
  manager.addPass(createBuildEntries());
  addCleanUp(manager);
  if (isPast(GpuStage::kernels))
    return;
  manager.addPass(createBuildKernels());
  addCleanUp(manager);
  if (isPast(GpuStage::decompose))
    return;
  buildDevice(manager.nest<ModuleOp>(), options);
  if (isPast(GpuStage::bufferize))
    return;
  buildBufferizeGpu(manager, options);
  if (isPast(GpuStage::llvm))
    return;
  LowerLaunchOptions launch;
  launch.emulate = options.emulate;
  manager.addPass(createLowerLaunch(launch));
  addCleanUp(manager);
  buildLLVM(manager, target);
}

static void registerLowering(StringRef name, StringRef description,
                             void (*build)(OpPassManager &, const LowerOptions &, const Target &)) {
  PassPipelineRegistration<LowerOptions>(name, description,
                                         [build](OpPassManager &manager, const LowerOptions &options) {
                                           llvm::Expected<Target> target = Target::get(options.targetCpu);
                                           if (!target)
                                             llvm::report_fatal_error(target.takeError(), /*gen_crash_diag=*/false);
                                           build(manager, options, *target);
                                         });
}

static void registerGpuLowering() {
  PassPipelineRegistration<GpuLowerOptions>("lower-gqa-gpu", "Attention to kernels for a GPU",
                                            [](OpPassManager &manager, const GpuLowerOptions &options) {
                                              llvm::Expected<Target> target = Target::get(options.targetCpu);
                                              if (!target)
                                                llvm::report_fatal_error(target.takeError(), /*gen_crash_diag=*/false);
                                              buildLowerGQAGpu(manager, options, *target);
                                            });
}

void registerPipelines() {
  registerGpuLowering();
  registerLowering("lower-gqa", "Attention to fused CPU code", buildLowerGQA);
  registerLowering("lower-gqa-unfused", "Attention to separate products and softmax on repeated K/V: the baseline",
                   buildLowerGQAUnfused);
}

} // namespace mlir::gqa
