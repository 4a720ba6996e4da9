// The options of the pipeline. What its stages do is checked in walkthrough.mlir and in the tests of its passes.

// RUN: gqa-opt %s --lower-gqa=stop-after=raise | FileCheck %s --check-prefix=RAISE
// RUN: gqa-opt %s --lower-gqa=stop-after=fold | FileCheck %s --check-prefix=FOLD
// RUN: gqa-opt %s --lower-gqa="stop-after=schedule target-cpu=x86-64-v4" | FileCheck %s --check-prefix=SCHEDULE
// RUN: gqa-opt %s --lower-gqa="stop-after=schedule tile-g=1 tile-m=2 tile-n=8 target-cpu=x86-64-v4" \
// RUN:   | FileCheck %s --check-prefix=TILES
// RUN: gqa-opt %s --lower-gqa="stop-after=tile tile-g=1 tile-m=2 tile-n=8" | FileCheck %s --check-prefix=TASKS
// RUN: gqa-opt %s --lower-gqa="stop-after=registers target-cpu=x86-64-v3" | FileCheck %s --check-prefix=V3
// RUN: gqa-opt %s --lower-gqa="stop-after=registers target-cpu=x86-64-v4" | FileCheck %s --check-prefix=V4
// RUN: gqa-opt %s --lower-gqa="stop-after=registers target-cpu=znver4" | FileCheck %s --check-prefix=ZNVER4
// RUN: not gqa-opt %s --lower-gqa=target-cpu=abacus 2>&1 | FileCheck %s --check-prefix=CPU
// RUN: not gqa-opt %s --lower-gqa=stop-after=abacus 2>&1 | FileCheck %s --check-prefix=STAGE

// Raised, the key still has all four heads and nothing calls a function any more; folded, it has two, and a group.
// RAISE-LABEL: func.func @attention
// RAISE-NOT: call
// RAISE: tensor.collapse_shape
// RAISE: key(%{{.*}}[hkv, n, dqk] : tensor<4x?x16xbf16>)
// RAISE-NOT: @repeat
// FOLD-LABEL: func.func @attention
// FOLD-SAME: %{{[a-z0-9]*}}: tensor<4x64x16xbf16>, %[[K:[a-z0-9]*]]: tensor<2x?x16xbf16>
// FOLD: query(%{{.*}}[hkv, g, m, dqk] : tensor<2x2x64x16xbf16>)
// FOLD-NEXT: key(%[[K]][hkv, n, dqk] : tensor<2x?x16xbf16>)
// FOLD-NOT: schedule(

// The target chooses tiles, unless the caller does: (4 heads / 1) * (64 positions / 2) tasks.
// SCHEDULE: schedule(#gqa.schedule<lanes = row, g = 2, m = 32, rows = 64, n = 48, split = 0, dot = false>)
// TILES: schedule(#gqa.schedule<lanes = row, g = 1, m = 2, rows = 16, n = 8, split = 0, dot = false>)
// TASKS: scf.forall (%{{.*}}, %{{.*}}, %{{.*}}) in (2, 2, 32)

// Vectors of 256 bits: tiles of 32 rows. AVX-512 has 64; with its bf16 instructions products are made of pairs.
// V3: vector.contract {{.*}} into vector<{{[0-9]+}}x32xf32>
// V3-NOT: x86vector
// V4: vector.contract {{.*}} into vector<{{[0-9]+}}x64xf32>
// V4-NOT: x86vector
// ZNVER4: x86vector.avx512.dot {{.*}} : vector<32xbf16> -> vector<16xf32>

// CPU: unknown target CPU 'abacus'
// STAGE: Cannot find option named 'abacus'

func.func private @repeat(%x: tensor<2x?x16xbf16>, %n: index) -> tensor<4x?x16xbf16> {
  %empty = tensor.empty(%n) : tensor<2x2x?x16xbf16>
  %r = linalg.broadcast ins(%x : tensor<2x?x16xbf16>) outs(%empty : tensor<2x2x?x16xbf16>) dimensions = [1]
  %c = tensor.collapse_shape %r [[0, 1], [2], [3]] : tensor<2x2x?x16xbf16> into tensor<4x?x16xbf16>
  return %c : tensor<4x?x16xbf16>
}

func.func @attention(%q: tensor<4x64x16xbf16>, %k: tensor<2x?x16xbf16>, %v: tensor<2x?x16xbf16>) -> tensor<4x64x16xbf16> {
  %c1 = arith.constant 1 : index
  %n = tensor.dim %k, %c1 : tensor<2x?x16xbf16>
  %rk = call @repeat(%k, %n) : (tensor<2x?x16xbf16>, index) -> tensor<4x?x16xbf16>
  %rv = call @repeat(%v, %n) : (tensor<2x?x16xbf16>, index) -> tensor<4x?x16xbf16>
  %init = tensor.empty() : tensor<4x64x16xbf16>
  %o = gqa.attention scale 0.25 causal align bottom_right
    query(%q[hkv, m, dqk] : tensor<4x64x16xbf16>) key(%rk[hkv, n, dqk] : tensor<4x?x16xbf16>)
    value(%rv[hkv, n, dv] : tensor<4x?x16xbf16>) outs(%init[hkv, m, dv] : tensor<4x64x16xbf16>)
  return %o : tensor<4x64x16xbf16>
}
