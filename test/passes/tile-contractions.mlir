// RUN: gqa-opt %s --split-input-file --gqa-tile-contractions --canonicalize --cse | FileCheck %s

// A row-major product: one task per block, the rhs packed to panels, register blocks of 6 x 64 with one step of the
// reduction. Each block of the reduction is summed from zero and added. The start of the sums goes straight to the accumulators.
// CHECK-LABEL: func @matmul
// CHECK-SAME: %[[A:.*]]: tensor<384x512xf32>, %[[B:.*]]: tensor<512x512xf32>
func.func @matmul(%a: tensor<384x512xf32>, %b: tensor<512x512xf32>) -> tensor<384x512xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<384x512xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<384x512xf32>) -> tensor<384x512xf32>
  // CHECK-NOT: linalg.fill
  // CHECK: scf.forall (%{{.*}}, %{{.*}}) in (2, 4)
  // CHECK: %[[ACC:.*]] = linalg.fill ins(%{{.*}} : f32) outs(%{{.*}} : tensor<192x128xf32>)
  // CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[ACC]])
  // CHECK: tensor.extract_slice %[[A]]
  // CHECK: tensor.insert_slice {{.*}} into tensor<2x128x64xf32>
  // CHECK: linalg.fill ins(%{{.*}} : f32) outs(%{{.*}} : tensor<6x64xf32>)
  // CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<6x1xf32>, tensor<1x64xf32>) outs(%{{.*}} : tensor<6x64xf32>)
  // CHECK: linalg.add ins(%{{.*}}, %{{.*}} : tensor<6x64xf32>, tensor<6x64xf32>)
  // CHECK: tensor.parallel_insert_slice
  %c = linalg.matmul ins(%a, %b : tensor<384x512xf32>, tensor<512x512xf32>) outs(%init : tensor<384x512xf32>)
    -> tensor<384x512xf32>
  return %c : tensor<384x512xf32>
}

// -----

// Scores of a layout [b, s, h, d]: both operands are read along d, so the rhs is transposed while it is packed. Extents
// are dynamic, half types are widened.
// CHECK-LABEL: func @scores
func.func @scores(%q: tensor<?x?x8x64xf16>, %k: tensor<?x?x8x64xf16>, %init: tensor<?x8x?x?xf32>)
    -> tensor<?x8x?x?xf32> {
  // CHECK: scf.forall
  // CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<?x64xf16>) outs(%{{.*}} : tensor<64x?xf32>)
  // CHECK: ins(%{{.*}}, %{{.*}} : tensor<6x1xf32>, tensor<1x64xf32>)
  %s = linalg.generic {
    indexing_maps = [affine_map<(b, h, m, n, d) -> (b, m, h, d)>, affine_map<(b, h, m, n, d) -> (b, n, h, d)>,
                     affine_map<(b, h, m, n, d) -> (b, h, m, n)>],
    iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
    ins(%q, %k : tensor<?x?x8x64xf16>, tensor<?x?x8x64xf16>) outs(%init : tensor<?x8x?x?xf32>) {
  ^bb0(%x: f16, %y: f16, %o: f32):
    %xf = arith.extf %x : f16 to f32
    %yf = arith.extf %y : f16 to f32
    %p = arith.mulf %xf, %yf : f32
    %sum = arith.addf %p, %o : f32
    linalg.yield %sum : f32
  } -> tensor<?x8x?x?xf32>
  return %s : tensor<?x8x?x?xf32>
}

// -----

// Left alone: a product of a matrix and a vector, a contraction of integers, one that rounds its inputs, and one that is
// part of a task already.
// CHECK-LABEL: func @near_misses
// CHECK-NOT: bufferization.alloc_tensor
func.func @near_misses(%a: tensor<64x64xf32>, %x: tensor<64xf32>, %y: tensor<64xf32>, %i: tensor<64x64xi8>,
                       %j: tensor<64x64xi32>, %c: tensor<64x64xf32>)
    -> (tensor<64xf32>, tensor<64x64xi32>, tensor<64x64xf32>, tensor<64x64xf32>) {
  %0 = linalg.matvec ins(%a, %x : tensor<64x64xf32>, tensor<64xf32>) outs(%y : tensor<64xf32>) -> tensor<64xf32>
  %1 = linalg.matmul ins(%i, %i : tensor<64x64xi8>, tensor<64x64xi8>) outs(%j : tensor<64x64xi32>) -> tensor<64x64xi32>
  %2 = linalg.generic {
    indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]}
    ins(%a, %a : tensor<64x64xf32>, tensor<64x64xf32>) outs(%c : tensor<64x64xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %short = arith.truncf %l : f32 to bf16
    %rounded = arith.extf %short : bf16 to f32
    %p = arith.mulf %rounded, %r : f32
    %sum = arith.addf %o, %p : f32
    linalg.yield %sum : f32
  } -> tensor<64x64xf32>
  %3 = scf.forall (%t) in (1) shared_outs(%out = %c) -> tensor<64x64xf32> {
    %d = linalg.matmul ins(%a, %a : tensor<64x64xf32>, tensor<64x64xf32>) outs(%out : tensor<64x64xf32>) -> tensor<64x64xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %d into %out[0, 0] [64, 64] [1, 1] : tensor<64x64xf32> into tensor<64x64xf32>
    }
  }
  return %0, %1, %2, %3 : tensor<64xf32>, tensor<64x64xi32>, tensor<64x64xf32>, tensor<64x64xf32>
}

// -----

// With sixteen registers of eight floats a block is 6 x 16.
// RUN: gqa-opt %s --split-input-file --gqa-tile-contractions="vector-bits=256 registers=16" | FileCheck %s --check-prefix=AVX2
// CHECK-LABEL: func @narrow
// AVX2-LABEL: func @narrow
// AVX2: outs(%{{.*}} : tensor<6x16xf32>)
func.func @narrow(%a: tensor<384x512xf32>, %b: tensor<512x512xf32>, %c: tensor<384x512xf32>) -> tensor<384x512xf32> {
  %r = linalg.matmul ins(%a, %b : tensor<384x512xf32>, tensor<512x512xf32>) outs(%c : tensor<384x512xf32>)
    -> tensor<384x512xf32>
  return %r : tensor<384x512xf32>
}
