// RUN: gqa-opt %s --split-input-file --gqa-fuse-elementwise --canonicalize | FileCheck %s

// A chain of named ops is one op.
// CHECK-LABEL: func @chain
func.func @chain(%x: tensor<?xf32>, %y: tensor<?xf32>, %e: tensor<?xf32>) -> tensor<?xf32> {
  // CHECK-COUNT-1: linalg.generic
  // CHECK-NOT: linalg
  // CHECK: arith.addf
  // CHECK: math.exp
  %s = linalg.add ins(%x, %y : tensor<?xf32>, tensor<?xf32>) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %r = linalg.exp ins(%s : tensor<?xf32>) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  return %r : tensor<?xf32>
}

// -----

// What a contraction reads stays in memory.
// CHECK-LABEL: func @into_contraction
func.func @into_contraction(%x: tensor<8x8xf32>, %e: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // CHECK: linalg.generic
  // CHECK: linalg.matmul
  %s = linalg.add ins(%x, %x : tensor<8x8xf32>, tensor<8x8xf32>) outs(%e : tensor<8x8xf32>) -> tensor<8x8xf32>
  %r = linalg.matmul ins(%s, %x : tensor<8x8xf32>, tensor<8x8xf32>) outs(%e : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %r : tensor<8x8xf32>
}

// -----

// The reciprocal of a row is not computed for each of its elements; its sum with a constant may be.
// CHECK-LABEL: func @broadcast
func.func @broadcast(%x: tensor<8x8xf32>, %row: tensor<8xf32>, %e: tensor<8xf32>, %o: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // CHECK: linalg.generic
  // CHECK: math.rsqrt
  // CHECK: linalg.generic
  // CHECK: arith.mulf
  %s = linalg.rsqrt ins(%row : tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  %r = linalg.generic {
    indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]} ins(%x, %s : tensor<8x8xf32>, tensor<8xf32>) outs(%o : tensor<8x8xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %m = arith.mulf %a, %b : f32
    linalg.yield %m : f32
  } -> tensor<8x8xf32>
  return %r : tensor<8x8xf32>
}

// -----

// A softmax is spelled out: maximum, exponentials, sum, quotient.
// CHECK-LABEL: func @softmax
// CHECK-NOT: linalg.softmax
// CHECK: arith.maxnumf
// CHECK: math.exp
// CHECK: arith.addf
// CHECK: arith.divf
func.func @softmax(%x: tensor<?x37xf32>, %out: tensor<?x37xf32>) -> tensor<?x37xf32> {
  %r = linalg.softmax dimension(1) ins(%x : tensor<?x37xf32>) outs(%out : tensor<?x37xf32>) -> tensor<?x37xf32>
  return %r : tensor<?x37xf32>
}

// -----

// A contraction reads its operands as they lie before a transposition; a power with a constant exponent is a product, and
// dimensions of extent 1 are dropped.
// CHECK-LABEL: func @linear_of_squares
// CHECK-SAME: %[[X:[^:]*]]: tensor<1x8x32xf32>, %[[W:[^:]*]]: tensor<16x32xf32>
func.func @linear_of_squares(%x: tensor<1x8x32xf32>, %w: tensor<16x32xf32>, %init: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %two = arith.constant 2 : i64
  %e = tensor.empty() : tensor<1x8x32xf32>
  // CHECK: %[[ROWS:.*]] = tensor.collapse_shape %[[X]]
  // CHECK: %[[SQUARES:.*]] = linalg.generic {{.*}} ins(%[[ROWS]] : tensor<8x32xf32>)
  // CHECK-NOT: math.fpowi
  // CHECK: arith.mulf %[[A:.*]], %[[A]] : f32
  %s = linalg.generic {indexing_maps = [affine_map<(b, i, j) -> (0, i, j)>, affine_map<(b, i, j) -> (b, i, j)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%x : tensor<1x8x32xf32>) outs(%e : tensor<1x8x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %p = math.fpowi %a, %two : f32, i64
    linalg.yield %p : f32
  } -> tensor<1x8x32xf32>
  %rows = tensor.collapse_shape %s [[0, 1], [2]] : tensor<1x8x32xf32> into tensor<8x32xf32>
  %f = tensor.empty() : tensor<32x16xf32>
  %t = linalg.transpose ins(%w : tensor<16x32xf32>) outs(%f : tensor<32x16xf32>) permutation = [1, 0]
  // CHECK: linalg.generic {{.*}}"reduction"]} ins(%[[SQUARES]], %[[W]] : tensor<8x32xf32>, tensor<16x32xf32>)
  %r = linalg.matmul ins(%rows, %t : tensor<8x32xf32>, tensor<32x16xf32>) outs(%init : tensor<8x16xf32>) -> tensor<8x16xf32>
  return %r : tensor<8x16xf32>
}
