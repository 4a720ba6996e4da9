// RUN: gqa-opt %s --gqa-widen-accumulators | FileCheck %s

// CHECK-LABEL: func @half
func.func @half(%a: tensor<4x8xf16>, %x: tensor<8xf16>, %init: tensor<4xf16>) -> tensor<4xf16> {
  // CHECK: %[[START:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<4xf16>) outs(%{{.*}} : tensor<4xf32>)
  // CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<4x8xf16>, tensor<8xf16>) outs(%[[START]] : tensor<4xf32>)
  // CHECK: linalg.generic {{.*}} ins(%[[SUM]] : tensor<4xf32>) outs(%{{.*}} : tensor<4xf16>)
  // CHECK: arith.truncf
  %r = linalg.matvec ins(%a, %x : tensor<4x8xf16>, tensor<8xf16>) outs(%init : tensor<4xf16>) -> tensor<4xf16>
  return %r : tensor<4xf16>
}

// CHECK-LABEL: func @single
// CHECK-NOT: linalg.generic
// CHECK: linalg.matvec
func.func @single(%a: tensor<4x8xf32>, %x: tensor<8xf32>, %init: tensor<4xf32>) -> tensor<4xf32> {
  %r = linalg.matvec ins(%a, %x : tensor<4x8xf32>, tensor<8xf32>) outs(%init : tensor<4xf32>) -> tensor<4xf32>
  return %r : tensor<4xf32>
}
