// The example of docs/pipeline.md, which shows its IR after every stage: here, the least that each stage must have done.

// RUN: gqa-opt %s --lower-gqa="target-cpu=x86-64-v4 stop-after=schedule" | FileCheck %s --check-prefix=SCHEDULE
// RUN: gqa-opt %s --lower-gqa="target-cpu=x86-64-v4 stop-after=entries" | FileCheck %s --check-prefix=ENTRIES
// RUN: gqa-opt %s --lower-gqa="target-cpu=x86-64-v4 stop-after=tile" | FileCheck %s --check-prefix=TILE
// RUN: gqa-opt %s --lower-gqa="target-cpu=x86-64-v4 stop-after=decompose" | FileCheck %s --check-prefix=DECOMPOSE
// RUN: gqa-opt %s --lower-gqa="target-cpu=x86-64-v4 stop-after=registers" | FileCheck %s --check-prefix=REGISTERS
// RUN: gqa-opt %s --lower-gqa="target-cpu=x86-64-v4 stop-after=bufferize" | FileCheck %s --check-prefix=BUFFERIZE
// RUN: gqa-opt %s --lower-gqa="target-cpu=x86-64-v4 stop-after=outline" | FileCheck %s --check-prefix=OUTLINE
// RUN: gqa-opt %s --lower-gqa="target-cpu=x86-64-v4" | FileCheck %s --check-prefix=LLVM

// SCHEDULE: gqa.attention {{.*}} schedule(#gqa.schedule<lanes = row, g = 4, m = 16, rows = 64, n = 48

// An entry takes the host's table and buffers, and returns a status.
// ENTRIES: func.func @attention(%{{.*}}: !llvm.ptr, %{{.*}}: memref<2x4x256x64xf32
// ENTRIES-SAME: -> i32
// ENTRIES: gqa.attention
// ENTRIES: func.func @gqa_shape_attention

// Tasks over K/V heads and query blocks; full key blocks without a mask, then the blocks on the diagonal with it.
// TILE-NOT: {{gqa\.attention }}
// TILE: scf.forall (%{{.*}}, %{{.*}}) in (2, 16)
// TILE: scf.for
// TILE: gqa.online_attention scale 1.250000e-01{{$}}
// TILE: scf.for
// TILE: gqa.online_attention scale 1.250000e-01 causal
// TILE: scf.forall.in_parallel

// DECOMPOSE-NOT: {{gqa\.(online_)?attention }}
// DECOMPOSE: scf.forall
// DECOMPOSE: linalg.generic
// DECOMPOSE: math.exp2

// REGISTERS-NOT: {{linalg\.[a-z]+ }}
// REGISTERS: scf.forall
// REGISTERS: vector.contract
// REGISTERS: math.exp2 %{{.*}} : vector<64xf32>
// REGISTERS: vector.contract

// Tasks use their stack alone. Scores start from zeros in registers, although other zeros of the same shape exist.
// BUFFERIZE-NOT: {{[^a-z]tensor<}}
// BUFFERIZE: %[[ZEROS:.*]] = arith.constant dense<0.000000e+00> : vector<6x64xf32>
// BUFFERIZE: scf.forall
// BUFFERIZE-NOT: memref.alloc()
// BUFFERIZE: scf.for {{.*}} iter_args(%[[SUMS:.*]] = %[[ZEROS]]) -> (vector<6x64xf32>)
// BUFFERIZE: vector.contract {{.*}}, %[[SUMS]]

// OUTLINE-NOT: {{scf\.forall}}
// OUTLINE: func.func {{.*}}@attention_task0(

// LLVM-NOT: {{^ *(func|scf|vector|memref)\.}}
// LLVM: llvm.func @gqa_run_attention(

func.func @attention(%q: tensor<2x4x256x64xf32>, %k: tensor<2x256x64xf32>, %v: tensor<2x256x64xf32>)
    -> tensor<2x4x256x64xf32> {
  %init = tensor.empty() : tensor<2x4x256x64xf32>
  %o = gqa.attention scale 0.125 causal align top_left
    query(%q[hkv, g, m, dqk] : tensor<2x4x256x64xf32>)
    key(%k[hkv, n, dqk] : tensor<2x256x64xf32>)
    value(%v[hkv, n, dv] : tensor<2x256x64xf32>)
    outs(%init[hkv, g, m, dv] : tensor<2x4x256x64xf32>)
  return %o : tensor<2x4x256x64xf32>
}
