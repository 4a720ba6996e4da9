// RUN: gqa-opt %s --split-input-file --gqa-unfuse-attention --canonicalize --cse | FileCheck %s

// K and V are repeated over g in memory; scores exist whole.
// CHECK-LABEL: func @grouped
// CHECK-SAME: %[[Q:.*]]: tensor<2x3x4x?x8xf32>, %[[K:.*]]: tensor<2x3x?x8xf32>, %[[V:.*]]: tensor<2x3x?x16xf32>
func.func @grouped(%q: tensor<2x3x4x?x8xf32>, %k: tensor<2x3x?x8xf32>, %v: tensor<2x3x?x16xf32>,
                   %init: tensor<2x3x4x?x16xf32>) -> tensor<2x3x4x?x16xf32> {
  // CHECK: linalg.generic {{.*}} ins(%[[K]] : tensor<2x3x?x8xf32>) outs(%{{.*}} : tensor<2x3x4x?x8xf32>)
  // CHECK: linalg.generic {{.*}} "reduction"{{.*}} outs(%{{.*}} : tensor<2x3x4x?x?xf32>)
  // CHECK: math.exp2
  // CHECK: linalg.generic {{.*}} ins(%[[V]] : tensor<2x3x?x16xf32>) outs(%{{.*}} : tensor<2x3x4x?x16xf32>)
  // CHECK-NOT: gqa.attention
  %o = gqa.attention scale 0.5
    query(%q[b, hkv, g, m, dqk] : tensor<2x3x4x?x8xf32>) key(%k[b, hkv, n, dqk] : tensor<2x3x?x8xf32>)
    value(%v[b, hkv, n, dv] : tensor<2x3x?x16xf32>) outs(%init[b, hkv, g, m, dv] : tensor<2x3x4x?x16xf32>)
  return %o : tensor<2x3x4x?x16xf32>
}

// -----

// One query head per key head: nothing to repeat. Half types are widened in the products.
// CHECK-LABEL: func @multi_head
// CHECK-SAME: %[[Q:.*]]: tensor<3x5x8xf16>, %[[K:.*]]: tensor<3x7x8xf16>, %[[V:.*]]: tensor<3x7x8xbf16>
func.func @multi_head(%q: tensor<3x5x8xf16>, %k: tensor<3x7x8xf16>, %v: tensor<3x7x8xbf16>, %init: tensor<3x5x8xf16>)
    -> tensor<3x5x8xf16> {
  // CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[K]] : tensor<3x5x8xf32>, tensor<3x7x8xf16>) outs(%{{.*}} : tensor<3x5x7xf32>)
  // CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[V]] : tensor<3x5x7xf32>, tensor<3x7x8xbf16>) outs(%{{.*}} : tensor<3x5x8xf32>)
  %o = gqa.attention scale 1.0
    query(%q[hkv, m, dqk] : tensor<3x5x8xf16>) key(%k[hkv, n, dqk] : tensor<3x7x8xf16>)
    value(%v[hkv, n, dv] : tensor<3x7x8xbf16>) outs(%init[hkv, m, dv] : tensor<3x5x8xf16>)
  return %o : tensor<3x5x8xf16>
}

// -----

// Value rows beyond kv_len become 0 in the copy, also when there is nothing to repeat.
// CHECK-LABEL: func @lengths
// CHECK-SAME: %[[V:[a-z0-9]*]]: tensor<2x9x8xf32>, %[[LEN:[a-z0-9]*]]: tensor<2xi64>
func.func @lengths(%q: tensor<2x8xf32>, %k: tensor<2x9x8xf32>, %v: tensor<2x9x8xf32>, %len: tensor<2xi64>,
                   %init: tensor<2x8xf32>, %lse: tensor<2xf32>) -> (tensor<2x8xf32>, tensor<2xf32>) {
  // CHECK: %[[CLAMPED:.*]] = linalg.generic {{.*}} ins(%[[LEN]] : tensor<2xi64>) outs(%{{.*}} : tensor<2xi32>)
  // CHECK: linalg.generic {{.*}} ins(%[[V]], %[[CLAMPED]] : tensor<2x9x8xf32>, tensor<2xi32>)
  // CHECK: math.log2
  %o, %l = gqa.attention scale 1.0
    query(%q[b, dqk] : tensor<2x8xf32>) key(%k[b, n, dqk] : tensor<2x9x8xf32>)
    value(%v[b, n, dv] : tensor<2x9x8xf32>) kv_len(%len[b] : tensor<2xi64>)
    outs(%init[b, dv] : tensor<2x8xf32>, %lse[b] : tensor<2xf32>)
  return %o, %l : tensor<2x8xf32>, tensor<2xf32>
}
