// RUN: gqa-opt %s --gqa-separate-results | FileCheck %s

// Two sums from the same zeros: the second one is saved before the first is written, and so before its buffer, which may
// be the first one's destination, is overwritten.
// CHECK-LABEL: func @shared_start
// CHECK:         %[[ZEROS:.*]] = linalg.fill
// CHECK:         %[[SUM:.*]] = linalg.reduce {{.*}} outs(%[[ZEROS]]
// CHECK:         %[[OTHER:.*]] = linalg.reduce {{.*}} outs(%[[ZEROS]]
// CHECK:         %[[SAVED:.*]] = bufferization.alloc_tensor() copy(%[[OTHER]])
// CHECK:         bufferization.materialize_in_destination %[[SUM]] in
// CHECK:         bufferization.materialize_in_destination %[[SAVED]] in
func.func @shared_start(%x: tensor<4x16xf32>, %y: tensor<4x16xf32>, %a: memref<4xf32>, %b: memref<4xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
  %sum = linalg.reduce {arith.addf} ins(%x : tensor<4x16xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
  %other = linalg.reduce {arith.addf} ins(%y : tensor<4x16xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
  bufferization.materialize_in_destination %sum in restrict writable %a : (tensor<4xf32>, memref<4xf32>) -> ()
  bufferization.materialize_in_destination %other in restrict writable %b : (tensor<4xf32>, memref<4xf32>) -> ()
  return
}

// An empty tensor holds nothing, so each use gets its own, and nothing is saved.
// CHECK-LABEL: func @shared_empty
// CHECK:         %[[A:.*]] = tensor.empty
// CHECK:         %[[B:.*]] = tensor.empty
// CHECK-NOT:     bufferization.alloc_tensor
func.func @shared_empty(%x: tensor<4xf32>, %a: memref<4xf32>, %b: memref<4xf32>) {
  %empty = tensor.empty() : tensor<4xf32>
  %exp = linalg.exp ins(%x : tensor<4xf32>) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
  %log = linalg.log ins(%x : tensor<4xf32>) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
  bufferization.materialize_in_destination %exp in restrict writable %a : (tensor<4xf32>, memref<4xf32>) -> ()
  bufferization.materialize_in_destination %log in restrict writable %b : (tensor<4xf32>, memref<4xf32>) -> ()
  return
}

// Without results, four uses in a row take turns in one, the fifth has another, and so has one of another block.
// CHECK-LABEL: func @shared_empty_within
// CHECK:         linalg.exp {{.*}} outs(%[[A:[a-z0-9]+]]
// CHECK:         linalg.log {{.*}} outs(%[[A]]
// CHECK:         linalg.exp {{.*}} outs(%[[A]]
// CHECK:         linalg.log {{.*}} outs(%[[A]]
// CHECK:         linalg.abs {{.*}} outs(%[[B:[a-z0-9]+]]
// CHECK:         scf.if
// CHECK-NOT:     outs(%[[A]]
// CHECK-NOT:     outs(%[[B]]
// CHECK:         return
func.func @shared_empty_within(%x: tensor<4xf32>, %c: i1) -> tensor<4xf32> {
  %empty = tensor.empty() : tensor<4xf32>
  %p = linalg.exp ins(%x : tensor<4xf32>) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
  %q = linalg.log ins(%p : tensor<4xf32>) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
  %r = linalg.exp ins(%q : tensor<4xf32>) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
  %s = linalg.log ins(%r : tensor<4xf32>) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
  %t = linalg.abs ins(%s : tensor<4xf32>) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
  %u = scf.if %c -> tensor<4xf32> {
    %v = linalg.exp ins(%t : tensor<4xf32>) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
    scf.yield %v : tensor<4xf32>
  } else {
    scf.yield %t : tensor<4xf32>
  }
  return %u : tensor<4xf32>
}

// Heads that are merged in the result are written apart, and a batch of one is left out.
// CHECK-LABEL: func @reshaped
// CHECK-SAME:    %[[X:.*]]: tensor<2x4x8xf32>, %[[A:.*]]: memref
// CHECK:         %[[ONE:.*]] = memref.subview %[[A]][0, 0, 0] [1, 8, 8] [1, 1, 1] : {{.*}} to memref<8x8xf32
// CHECK:         %[[APART:.*]] = memref.expand_shape %[[ONE]] {{\[\[}}0, 1], [2]] {{.*}} into memref<2x4x8xf32, strided<[?, ?, 1], offset: ?>>
// CHECK:         bufferization.materialize_in_destination %[[X]] in restrict writable %[[APART]]
func.func @reshaped(%x: tensor<2x4x8xf32>, %a: memref<1x8x8xf32, strided<[?, ?, 1], offset: ?>>) {
  %merged = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x4x8xf32> into tensor<8x8xf32>
  %batch = tensor.expand_shape %merged [[0, 1], [2]] output_shape [1, 8, 8] : tensor<8x8xf32> into tensor<1x8x8xf32>
  bufferization.materialize_in_destination %batch in restrict writable %a
    : (tensor<1x8x8xf32>, memref<1x8x8xf32, strided<[?, ?, 1], offset: ?>>) -> ()
  return
}
