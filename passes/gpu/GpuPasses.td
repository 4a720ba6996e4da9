#ifndef GQA_PASSES_GPU_GPUPASSES_TD
#define GQA_PASSES_GPU_GPUPASSES_TD

include "mlir/Pass/PassBase.td"

def SelectGpuSchedule : Pass<"gqa-gpu-select-schedule", "::mlir::func::FuncOp"> {
  let summary = "choose blocks, warps and key split of each attention on a GPU";
  let description = [{
    The cost model for GPUs: writes a `#gqa_gpu.schedule` on each `gqa.attention` that has none. On Hopper (`sm_90a`),
    attention with many rows gets a `#gqa_gpu.warpgroup_schedule`; where it does not, `gqa_gpu.fallback` says why.
  }];
  let options = [
    Option<"gpu", "gpu", "std::string", "\"sm_80\"", "chip to choose for">,
  ];
  let dependentDialects = ["::mlir::gqa_gpu::GQAGpuDialect"];
}

def BuildKernels : Pass<"gqa-gpu-build-kernels", "::mlir::ModuleOp"> {
  let summary = "gqa.attention becomes launches of kernels";
  let description = [{
    Obeys the op's `#gqa_gpu.schedule`. Each attention becomes one kernel, or, if its keys are split, one that computes
    partial results and one that merges them; they are functions of the module `@gqa_device`, written for one warp:
    `gqa.online_attention` on the warp's tiles, in a loop over blocks of keys that are copied to shared memory ahead of
    time.
  }];
  let dependentDialects = ["affine::AffineDialect", "arith::ArithDialect", "bufferization::BufferizationDialect",
                           "linalg::LinalgDialect", "scf::SCFDialect", "tensor::TensorDialect",
                           "::mlir::gqa_gpu::GQAGpuDialect"];
}

def DistributeFragments : Pass<"gqa-gpu-distribute", "::mlir::func::FuncOp"> {
  let summary = "tiles of a warp become the elements that each lane holds";
  let description = [{
    Every tile has the layout of the accumulators of mma.m16n8k16 (passes/gpu/Fragment.h). A contraction becomes
    `ldmatrix` and `mma`; an elementwise `linalg.generic` its body, once for every element that a lane holds, with
    `linalg.index` as that element's row and column; a reduction of rows a tree and shuffles.
  }];
  let dependentDialects = ["arith::ArithDialect", "LLVM::LLVMDialect", "scf::SCFDialect", "ub::UBDialect",
                           "vector::VectorDialect", "::mlir::gqa_gpu::GQAGpuDialect"];
}

def LowerToNVVM : Pass<"gqa-gpu-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "the instructions of gqa_gpu become NVVM's";
  let description = [{
    Shared memory is one external array; exponentials and logarithms are the
    chip's own; pairs are rounded to half precision by one instruction. On Hopper 8-bit floats are widened by one.
  }];
  let options = [
    Option<"gpu", "gpu", "std::string", "\"sm_80\"", "chip to lower for">,
  ];
  let dependentDialects = ["arith::ArithDialect", "LLVM::LLVMDialect", "math::MathDialect", "NVVM::NVVMDialect"];
}

def LowerToEmulator : Pass<"gqa-gpu-to-emulator", "::mlir::ModuleOp"> {
  let summary = "the instructions of gqa_gpu become calls of the functional emulator";
  let description = [{
    Each kernel becomes a function of one thread on the CPU, and gets an entry `@kernel_emulated(thread, parameters)`
    for runtime/emulator/Emulator.h.
  }];
  let dependentDialects = ["LLVM::LLVMDialect"];
}

def LowerLaunch : Pass<"gqa-gpu-lower-launch", "::mlir::ModuleOp"> {
  let summary = "launches become calls of the host's device table, or of the emulator";
  let description = [{
    Entries may do nothing on a device but launch kernels; anything else that would touch memory is an error. The first
    launch that fails ends the entry with its status, and so do rows that do not begin at multiples of 16 bytes.
  }];
  let options = [
    Option<"emulate", "emulate", "bool", "false", "kernels run on the CPU, by the emulator">,
  ];
  let dependentDialects = ["arith::ArithDialect", "LLVM::LLVMDialect", "memref::MemRefDialect", "scf::SCFDialect"];
}

#endif // GQA_PASSES_GPU_GPUPASSES_TD
