// RUN: gqa-opt %s --inline | FileCheck %s

// A function that attends is inlined into its caller, as code written for an artifact needs.
// CHECK-LABEL: func @layer
// CHECK-NOT: call
// CHECK: gqa.attention
// CHECK: gqa.attention
// CHECK: return
func.func @layer(%q: tensor<2x3x?x16xf32>, %k: tensor<2x?x16xf32>) -> tensor<2x3x?x16xf32> {
  %first = func.call @attend(%q, %k) : (tensor<2x3x?x16xf32>, tensor<2x?x16xf32>) -> tensor<2x3x?x16xf32>
  %second = func.call @attend(%first, %k) : (tensor<2x3x?x16xf32>, tensor<2x?x16xf32>) -> tensor<2x3x?x16xf32>
  return %second : tensor<2x3x?x16xf32>
}

func.func private @attend(%q: tensor<2x3x?x16xf32>, %k: tensor<2x?x16xf32>) -> tensor<2x3x?x16xf32> {
  %o = gqa.attention scale 0.25
    query(%q[hkv, g, m, dqk] : tensor<2x3x?x16xf32>) key(%k[hkv, n, dqk] : tensor<2x?x16xf32>)
    value(%k[hkv, n, dv] : tensor<2x?x16xf32>) outs(%q[hkv, g, m, dv] : tensor<2x3x?x16xf32>)
  return %o : tensor<2x3x?x16xf32>
}
