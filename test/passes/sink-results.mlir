// RUN: gqa-opt %s --gqa-sink-results --split-input-file | FileCheck %s

// A result that is stored, reshaped, is stored in the branches, also in those of branches; what the function goes on to
// use stays a result.
// CHECK-LABEL: func @nested
// CHECK-SAME: %[[A:[a-z0-9]*]]: tensor<2x4xf32>, %[[B:[a-z0-9]*]]: tensor<2x4xf32>, {{.*}} %[[OUT:[a-z0-9]*]]: memref<8xf32>
// CHECK: %[[USED:.*]] = scf.if {{.*}} -> (f32) {
// CHECK-NEXT: %[[FLAT:.*]] = tensor.collapse_shape %[[A]]
// CHECK-NEXT: bufferization.materialize_in_destination %[[FLAT]] in restrict writable %[[OUT]]
// CHECK-NEXT: scf.yield %cst
// CHECK: } else {
// CHECK-NEXT: scf.if %{{.*}} {
// CHECK-NEXT: %[[FLAT:.*]] = tensor.collapse_shape %[[A]]
// CHECK-NEXT: bufferization.materialize_in_destination %[[FLAT]] in restrict writable %[[OUT]]
// CHECK-NEXT: } else {
// CHECK-NEXT: %[[FLAT:.*]] = tensor.collapse_shape %[[B]]
// CHECK-NEXT: bufferization.materialize_in_destination %[[FLAT]] in restrict writable %[[OUT]]
// CHECK-NEXT: }
// CHECK: scf.yield
// CHECK: return %[[USED]]
func.func @nested(%a: tensor<2x4xf32>, %b: tensor<2x4xf32>, %c: i1, %d: i1, %out: memref<8xf32>) -> f32 {
  %one = arith.constant 1.0 : f32
  %two = arith.constant 2.0 : f32
  %r:2 = scf.if %c -> (tensor<2x4xf32>, f32) {
    scf.yield %a, %one : tensor<2x4xf32>, f32
  } else {
    %s = scf.if %d -> (tensor<2x4xf32>) {
      scf.yield %a : tensor<2x4xf32>
    } else {
      scf.yield %b : tensor<2x4xf32>
    }
    scf.yield %s, %two : tensor<2x4xf32>, f32
  }
  %flat = tensor.collapse_shape %r#0 [[0, 1]] : tensor<2x4xf32> into tensor<8xf32>
  bufferization.materialize_in_destination %flat in restrict writable %out : (tensor<8xf32>, memref<8xf32>) -> ()
  return %r#1 : f32
}

// -----

// Near misses: a result with a second use, and a destination that is made after the choice.
// CHECK-LABEL: func @near_misses
// CHECK: %[[R:.*]]:2 = scf.if
// CHECK-NOT: materialize
// CHECK: }
// CHECK: bufferization.materialize_in_destination %[[R]]#0
// CHECK: %[[LATER:.*]] = memref.alloc
// CHECK: bufferization.materialize_in_destination %[[R]]#1 in restrict writable %[[LATER]]
func.func @near_misses(%a: tensor<8xf32>, %b: tensor<8xf32>, %c: i1, %out: memref<8xf32>) -> (tensor<8xf32>, memref<8xf32>) {
  %r:2 = scf.if %c -> (tensor<8xf32>, tensor<8xf32>) {
    scf.yield %a, %b : tensor<8xf32>, tensor<8xf32>
  } else {
    scf.yield %b, %a : tensor<8xf32>, tensor<8xf32>
  }
  bufferization.materialize_in_destination %r#0 in restrict writable %out : (tensor<8xf32>, memref<8xf32>) -> ()
  %later = memref.alloc() : memref<8xf32>
  bufferization.materialize_in_destination %r#1 in restrict writable %later : (tensor<8xf32>, memref<8xf32>) -> ()
  return %r#0, %later : tensor<8xf32>, memref<8xf32>
}
