// RUN: gqa-opt %s --verify-roundtrip | FileCheck %s

// Llama-3-8B heads, [B, H, S, D], causal, cache longer than the queries.
// CHECK-LABEL: func @causal
func.func @causal(%q: tensor<1x8x4x?x128xf32>, %k: tensor<1x8x?x128xf32>, %v: tensor<1x8x?x128xf32>,
                  %init: tensor<1x8x4x?x128xf32>) -> tensor<1x8x4x?x128xf32> {
  // CHECK: gqa.attention scale 0.0883883461 causal align bottom_right
  // CHECK-NEXT: query(%{{.*}}[b, hkv, g, m, dqk] : tensor<1x8x4x?x128xf32>)
  // CHECK-NEXT: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x8x?x128xf32>)
  // CHECK-NEXT: value(%{{.*}}[b, hkv, n, dv] : tensor<1x8x?x128xf32>)
  // CHECK-NEXT: outs(%{{.*}}[b, hkv, g, m, dv] : tensor<1x8x4x?x128xf32>)
  %o = gqa.attention scale 0.0883883461 causal align bottom_right
    query(%q[b, hkv, g, m, dqk] : tensor<1x8x4x?x128xf32>)
    key(%k[b, hkv, n, dqk] : tensor<1x8x?x128xf32>)
    value(%v[b, hkv, n, dv] : tensor<1x8x?x128xf32>)
    outs(%init[b, hkv, g, m, dv] : tensor<1x8x4x?x128xf32>)
  return %o : tensor<1x8x4x?x128xf32>
}

// Every operand and attribute at once, [B, S, H, D], dqk != dv.
// CHECK-LABEL: func @everything
func.func @everything(%q: tensor<2x?x3x5x72xf16>, %k: tensor<2x?x3x72xf16>, %v: tensor<2x?x3x40xbf16>,
                      %bias: tensor<3x5x?xf32>, %mask: tensor<2x?x?xi1>, %len: tensor<2xi32>, %off: tensor<2xi64>,
                      %sink: tensor<3x5xf32>, %init: tensor<2x?x3x5x40xf16>, %lse: tensor<2x3x5x?xf32>)
    -> (tensor<2x?x3x5x40xf16>, tensor<2x3x5x?xf32>) {
  // CHECK: %[[R:.*]]:2 = gqa.attention scale 1.250000e-01 softcap 5.000000e+01 causal window(left 4095 right 7)
  // CHECK-SAME: schedule(#gqa.schedule<lanes = row, g = 1, m = 64, rows = 64, n = 64, split = 0, dot = false>)
  // CHECK: bias(%{{.*}}[hkv, g, n] : tensor<3x5x?xf32>)
  // CHECK: sink(%{{.*}}[hkv, g] : tensor<3x5xf32>)
  %o, %l = gqa.attention scale 0.125 softcap 50.0 causal window(left 4095 right 7)
    schedule(#gqa.schedule<lanes = row, g = 1, m = 64, rows = 64, n = 64, split = 0, dot = false>)
    query(%q[b, m, hkv, g, dqk] : tensor<2x?x3x5x72xf16>)
    key(%k[b, n, hkv, dqk] : tensor<2x?x3x72xf16>)
    value(%v[b, n, hkv, dv] : tensor<2x?x3x40xbf16>)
    bias(%bias[hkv, g, n] : tensor<3x5x?xf32>)
    mask(%mask[b, m, n] : tensor<2x?x?xi1>)
    kv_len(%len[b] : tensor<2xi32>)
    offset(%off[b] : tensor<2xi64>)
    sink(%sink[hkv, g] : tensor<3x5xf32>)
    outs(%init[b, m, hkv, g, dv] : tensor<2x?x3x5x40xf16>, %lse[b, hkv, g, m] : tensor<2x3x5x?xf32>)
  // CHECK: return %[[R]]#0, %[[R]]#1
  return %o, %l : tensor<2x?x3x5x40xf16>, tensor<2x3x5x?xf32>
}
