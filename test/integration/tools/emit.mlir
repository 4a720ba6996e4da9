// What gqa-compile writes besides artifacts, for people who read code.

// RUN: gqa-compile %s --emit=mlir -o %t.mlir
// RUN: FileCheck %s --check-prefix=MLIR < %t.mlir
// RUN: gqa-compile %s --emit=llvm-ir --target-cpu=x86-64-v4 -o %t.ll
// RUN: FileCheck %s --check-prefix=IR < %t.ll
// RUN: gqa-compile %s --emit=assembly --target-cpu=x86-64-v4 -o %t.v4.s
// RUN: FileCheck %s --check-prefix=V4 < %t.v4.s
// RUN: gqa-compile %s --emit=assembly --target-cpu=x86-64-v3 -o %t.v3.s
// RUN: FileCheck %s --check-prefix=V3 < %t.v3.s
// RUN: rm -f %t.none
// RUN: not gqa-compile %s --emit=poetry -o %t.none 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not ls %t.none

// The LLVM dialect, which gqa-opt reads. Only the entries are visible.
// RUN: gqa-opt %t.mlir -o /dev/null
// MLIR: module attributes {{.*}}gqa.description
// MLIR-DAG: llvm.func @gqa_run_attention(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr) -> i32
// MLIR-DAG: llvm.func @gqa_shape_attention(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr) -> i32
// MLIR-DAG: llvm.func internal @attention_task0

// Optimised LLVM IR with the description of the entries. A tile has 64 rows in its lanes, multiplied and added at once;
// exp2 is no call.
// IR-DAG: @gqa_description = {{.*}}\22name\22:\22attention\22
// IR-DAG: define i32 @gqa_run_attention(ptr {{.*}}, ptr {{.*}})
// IR-DAG: call {{.*}}<64 x float> @llvm.fmuladd.v64f32
// IR-NOT: call {{.*}}@exp2

// Assembly for the CPU that was asked for: registers of 512 bits, or none wider than 256.
// V4-DAG: .globl gqa_run_attention
// V4-DAG: vfmadd{{.*}}%zmm
// V4-DAG: vscalefps
// V4-DAG: .globl gqa_description
// V3-NOT: %zmm
// V3: vfmadd{{.*}}%ymm
// V3-NOT: %zmm

// UNKNOWN: gqa-compile: for the --emit option: Cannot find option named 'poetry'!

func.func @attention(%q: tensor<2x64x16xf32>, %k: tensor<?x16xf32>, %v: tensor<?x16xf32>) -> tensor<2x64x16xf32> {
  %init = tensor.empty() : tensor<2x64x16xf32>
  %o = gqa.attention scale 0.25
    query(%q[g, m, dqk] : tensor<2x64x16xf32>) key(%k[n, dqk] : tensor<?x16xf32>)
    value(%v[n, dv] : tensor<?x16xf32>) outs(%init[g, m, dv] : tensor<2x64x16xf32>)
  return %o : tensor<2x64x16xf32>
}
