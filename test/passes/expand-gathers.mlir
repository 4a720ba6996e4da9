// RUN: gqa-opt %s --gqa-expand-gathers --split-input-file | FileCheck %s

// The gathered dimension is left out of the result.
// CHECK-LABEL: func @gather
// CHECK-SAME: %[[X:.*]]: tensor<2x?x8xf32>, %[[I:.*]]: tensor<6x1xi32>
func.func @gather(%x: tensor<2x?x8xf32>, %i: tensor<6x1xi32>) -> tensor<6x?x8xf32> {
  // CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<6x?x8xf32>)
  // CHECK: %[[H:.*]] = linalg.index 0
  // CHECK: %[[HEAD:.*]] = tensor.extract %[[I]][%[[H]], %{{.*}}]
  // CHECK: %[[AT:.*]] = arith.index_cast %[[HEAD]]
  // CHECK: %[[N:.*]] = linalg.index 1
  // CHECK: %[[D:.*]] = linalg.index 2
  // CHECK: tensor.extract %[[X]][%[[AT]], %[[N]], %[[D]]]
  %r = tensor.gather %x[%i] gather_dims([0]) : (tensor<2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x?x8xf32>
  return %r : tensor<6x?x8xf32>
}

// -----

// It stays as a unit dimension; two dimensions are gathered by pairs.
// CHECK-LABEL: func @pairs
// CHECK-SAME: %[[X:.*]]: tensor<2x3x8xf32>, %[[I:.*]]: tensor<6x2xindex>
func.func @pairs(%x: tensor<2x3x8xf32>, %i: tensor<6x2xindex>) -> tensor<6x1x1x8xf32> {
  // CHECK: %[[H:.*]] = linalg.index 0
  // CHECK: %[[FIRST:.*]] = tensor.extract %[[I]][%[[H]], %{{.*}}]
  // CHECK: %[[SECOND:.*]] = tensor.extract %[[I]][%[[H]], %{{.*}}]
  // CHECK: %[[D:.*]] = linalg.index 3
  // CHECK: tensor.extract %[[X]][%[[FIRST]], %[[SECOND]], %[[D]]]
  %r = tensor.gather %x[%i] gather_dims([0, 1]) : (tensor<2x3x8xf32>, tensor<6x2xindex>) -> tensor<6x1x1x8xf32>
  return %r : tensor<6x1x1x8xf32>
}

// -----

// CHECK-LABEL: func @concat
// CHECK-NOT: tensor.concat
// CHECK-COUNT-2: tensor.insert_slice
func.func @concat(%x: tensor<2x?xf32>, %y: tensor<3x?xf32>) -> tensor<5x?xf32> {
  %r = tensor.concat dim(0) %x, %y : (tensor<2x?xf32>, tensor<3x?xf32>) -> tensor<5x?xf32>
  return %r : tensor<5x?xf32>
}
