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

// Shapes of which nothing is static but what must be, one clause after the other in any order, an attribute of someone
// else's, no dimension that could be left out; a [Hkv, G, D] decoding step on a [S, Hkv, D] cache.
// CHECK-LABEL: func @decode
func.func @decode(%q: tensor<2x4x64xbf16>, %k: tensor<?x2x64xbf16>, %v: tensor<?x2x64xbf16>, %len: tensor<i64>,
                  %mask: tensor<?xi8>, %init: tensor<2x4x64xbf16>) -> tensor<2x4x64xbf16> {
  // CHECK: gqa.attention scale 1.000000e+00
  // CHECK-NEXT: query(%{{.*}}[hkv, g, dqk] : tensor<2x4x64xbf16>)
  // CHECK-NEXT: key(%{{.*}}[n, hkv, dqk] : tensor<?x2x64xbf16>)
  // CHECK-NEXT: value(%{{.*}}[n, hkv, dv] : tensor<?x2x64xbf16>)
  // CHECK-NEXT: mask(%{{.*}}[n] : tensor<?xi8>)
  // CHECK-NEXT: kv_len(%{{.*}}[] : tensor<i64>)
  // CHECK-NEXT: outs(%{{.*}}[hkv, g, dv] : tensor<2x4x64xbf16>) {note = "mine"}
  %o = gqa.attention
    kv_len(%len[] : tensor<i64>) outs(%init[hkv, g, dv] : tensor<2x4x64xbf16>)
    mask(%mask[n] : tensor<?xi8>) value(%v[n, hkv, dv] : tensor<?x2x64xbf16>)
    query(%q[hkv, g, dqk] : tensor<2x4x64xbf16>) key(%k[n, hkv, dqk] : tensor<?x2x64xbf16>) scale 1.0 {note = "mine"}
  return %o : tensor<2x4x64xbf16>
}

// K and V repeated, as a frontend gives them: they list g. A window to one side.
// CHECK-LABEL: func @repeated
func.func @repeated(%q: tensor<?x2x4x?x64xf32>, %k: tensor<?x2x4x?x64xf32>, %v: tensor<?x2x4x?x32xf32>,
                    %init: tensor<?x2x4x?x32xf32>) -> tensor<?x2x4x?x32xf32> {
  // CHECK: gqa.attention scale -5.000000e-01 window(right 0) align top_left
  // CHECK-NEXT: query
  // CHECK-NEXT: key(%{{.*}}[b, hkv, g, n, dqk] :
  %o = gqa.attention scale -0.5 window(right 0) align top_left
    query(%q[b, hkv, g, m, dqk] : tensor<?x2x4x?x64xf32>) key(%k[b, hkv, g, n, dqk] : tensor<?x2x4x?x64xf32>)
    value(%v[b, hkv, g, n, dv] : tensor<?x2x4x?x32xf32>) outs(%init[b, hkv, g, m, dv] : tensor<?x2x4x?x32xf32>)
  return %o : tensor<?x2x4x?x32xf32>
}

// A head and nothing else; an empty cache.
// CHECK-LABEL: func @single_row
func.func @single_row(%q: tensor<8xf32>, %k: tensor<0x8xf32>, %v: tensor<0x16xf32>, %init: tensor<16xf32>,
                      %lse: tensor<f32>) -> (tensor<16xf32>, tensor<f32>) {
  // CHECK: outs(%{{.*}}[dv] : tensor<16xf32>, %{{.*}}[] : tensor<f32>)
  %o, %l = gqa.attention scale 1.0 query(%q[dqk] : tensor<8xf32>) key(%k[n, dqk] : tensor<0x8xf32>)
    value(%v[n, dv] : tensor<0x16xf32>) outs(%init[dv] : tensor<16xf32>, %lse[] : tensor<f32>)
  return %o, %l : tensor<16xf32>, tensor<f32>
}

// The state with query rows innermost; keys start somewhere.
// CHECK-LABEL: func @online
func.func @online(%q: tensor<64x72xbf16>, %k: tensor<32x72xbf16>, %v: tensor<32x40xbf16>, %bias: tensor<64xf16>,
                  %mask: tensor<64x32xi1>, %len: tensor<i32>, %p: tensor<64xi32>, %n0: index,
                  %a: tensor<40x64xf32>, %x: tensor<64xf32>, %s: tensor<64xf32>)
    -> (tensor<40x64xf32>, tensor<64xf32>, tensor<64xf32>) {
  // CHECK: %[[R:.*]]:3 = gqa.online_attention scale 1.250000e-01 softcap 5.000000e+01 causal window(left 4095 right 7) dot
  // CHECK-NEXT: query(%{{.*}}[m, dqk] : tensor<64x72xbf16>)
  // CHECK-NEXT: key(%{{.*}}[n, dqk] : tensor<32x72xbf16>)
  // CHECK-NEXT: value(%{{.*}}[n, dv] : tensor<32x40xbf16>)
  // CHECK-NEXT: bias(%{{.*}}[m] : tensor<64xf16>)
  // CHECK-NEXT: mask(%{{.*}}[m, n] : tensor<64x32xi1>)
  // CHECK-NEXT: kv_len(%{{.*}}[] : tensor<i32>)
  // CHECK-NEXT: positions(%{{.*}}[m] : tensor<64xi32>)
  // CHECK-NEXT: outs(%{{.*}}[dv, m] : tensor<40x64xf32>, %{{.*}}[m] : tensor<64xf32>, %{{.*}}[m] : tensor<64xf32>) key_start(%{{.*}})
  %r:3 = gqa.online_attention scale 0.125 softcap 50.0 causal window(left 4095 right 7) dot key_start(%n0)
    query(%q[m, dqk] : tensor<64x72xbf16>) key(%k[n, dqk] : tensor<32x72xbf16>) value(%v[n, dv] : tensor<32x40xbf16>)
    bias(%bias[m] : tensor<64xf16>) mask(%mask[m, n] : tensor<64x32xi1>) kv_len(%len[] : tensor<i32>)
    positions(%p[m] : tensor<64xi32>)
    outs(%a[dv, m] : tensor<40x64xf32>, %x[m] : tensor<64xf32>, %s[m] : tensor<64xf32>)
  // CHECK: return %[[R]]#0, %[[R]]#1, %[[R]]#2
  return %r#0, %r#1, %r#2 : tensor<40x64xf32>, tensor<64xf32>, tensor<64xf32>
}

// All dimensions, dynamic.
// CHECK-LABEL: func @online_dynamic
func.func @online_dynamic(%q: tensor<?x3x5x?x8xf32>, %k: tensor<?x3x?x8xf32>, %v: tensor<?x3x?x8xf32>,
                          %a: tensor<?x3x5x?x8xf32>, %x: tensor<?x3x5x?xf32>, %s: tensor<?x3x5x?xf32>)
    -> tensor<?x3x5x?x8xf32> {
  // CHECK: gqa.online_attention scale 1.000000e+00
  // CHECK: outs(%{{.*}}[b, hkv, g, m, dv] : tensor<?x3x5x?x8xf32>, %{{.*}}[b, hkv, g, m] : tensor<?x3x5x?xf32>, %{{.*}}[b, hkv, g, m] : tensor<?x3x5x?xf32>)
  %r:3 = gqa.online_attention scale 1.0
    query(%q[b, hkv, g, m, dqk] : tensor<?x3x5x?x8xf32>) key(%k[b, hkv, n, dqk] : tensor<?x3x?x8xf32>)
    value(%v[b, hkv, n, dv] : tensor<?x3x?x8xf32>)
    outs(%a[b, hkv, g, m, dv] : tensor<?x3x5x?x8xf32>, %x[b, hkv, g, m] : tensor<?x3x5x?xf32>,
         %s[b, hkv, g, m] : tensor<?x3x5x?xf32>)
  return %r#0 : tensor<?x3x5x?x8xf32>
}

// Pages of 16 tokens, 4-bit keys two to a byte, i8 values, a ring.
// CHECK-LABEL: func @cache
func.func @cache(%q: tensor<?x8x4x128xf16>, %k: tensor<?x8x16x64xi8>, %v: tensor<?x8x16x128xi8>, %t: tensor<?x?xi32>,
                 %ks: tensor<?x8x16xf32>, %vs: tensor<8xf32>, %len: tensor<?xi64>, %init: tensor<?x8x4x128xf16>)
    -> tensor<?x8x4x128xf16> {
  // CHECK: gqa.attention scale {{[^ ]*}} causal window(left 4095) align bottom_right ring(sinks 4 slots 4096)
  // CHECK-NEXT: query(%{{.*}}[b, hkv, g, dqk] : tensor<?x8x4x128xf16>)
  // CHECK-NEXT: key(%{{.*}}[page, hkv, slot, dqk2] : tensor<?x8x16x64xi8>)
  // CHECK-NEXT: value(%{{.*}}[page, hkv, slot, dv] : tensor<?x8x16x128xi8>)
  // CHECK-NEXT: block_table(%{{.*}}[b, block] : tensor<?x?xi32>)
  // CHECK-NEXT: key_scale(%{{.*}}[page, hkv, slot] : tensor<?x8x16xf32>)
  // CHECK-NEXT: value_scale(%{{.*}}[hkv] : tensor<8xf32>)
  // CHECK-NEXT: length(%{{.*}}[b] : tensor<?xi64>)
  %o = gqa.attention scale 0.0883789 causal window(left 4095) align bottom_right ring(sinks 4 slots 4096)
    query(%q[b, hkv, g, dqk] : tensor<?x8x4x128xf16>)
    key(%k[page, hkv, slot, dqk2] : tensor<?x8x16x64xi8>)
    value(%v[page, hkv, slot, dv] : tensor<?x8x16x128xi8>)
    block_table(%t[b, block] : tensor<?x?xi32>)
    key_scale(%ks[page, hkv, slot] : tensor<?x8x16xf32>)
    value_scale(%vs[hkv] : tensor<8xf32>)
    length(%len[b] : tensor<?xi64>)
    outs(%init[b, hkv, g, dv] : tensor<?x8x4x128xf16>)
  return %o : tensor<?x8x4x128xf16>
}

// Quantised tensors without pages: fp8 with a scale per channel of the key.
// CHECK-LABEL: func @quantised
func.func @quantised(%q: tensor<2x4x64xf32>, %k: tensor<2x?x64xf8E4M3FN>, %v: tensor<2x?x64xf8E4M3FN>,
                     %ks: tensor<2x64xf32>, %vs: tensor<2x?xf32>, %init: tensor<2x4x64xf32>) -> tensor<2x4x64xf32> {
  // CHECK: key_scale(%{{.*}}[hkv, dqk] : tensor<2x64xf32>)
  // CHECK-NEXT: value_scale(%{{.*}}[hkv, n] : tensor<2x?xf32>)
  %o = gqa.attention scale 1.0
    query(%q[hkv, g, dqk] : tensor<2x4x64xf32>) key(%k[hkv, n, dqk] : tensor<2x?x64xf8E4M3FN>)
    value(%v[hkv, n, dv] : tensor<2x?x64xf8E4M3FN>) key_scale(%ks[hkv, dqk] : tensor<2x64xf32>)
    value_scale(%vs[hkv, n] : tensor<2x?xf32>) outs(%init[hkv, g, dv] : tensor<2x4x64xf32>)
  return %o : tensor<2x4x64xf32>
}

// A tile of a ring, with scales.
// CHECK-LABEL: func @quantised_tile
func.func @quantised_tile(%q: tensor<4x32xf32>, %k: tensor<64x16xi8>, %v: tensor<64x16xi8>, %p: tensor<4xi32>,
                          %ks: tensor<64xf32>, %vs: tensor<f32>, %kp: tensor<64xi32>, %a: tensor<4x32xf32>,
                          %x: tensor<4xf32>, %s: tensor<4xf32>) -> tensor<4x32xf32> {
  // CHECK: gqa.online_attention scale 1.000000e+00 causal sinks 4
  // CHECK: key_scale(%{{.*}}[n] : tensor<64xf32>)
  // CHECK-NEXT: value_scale(%{{.*}}[] : tensor<f32>)
  // CHECK-NEXT: key_positions(%{{.*}}[n] : tensor<64xi32>)
  %r:3 = gqa.online_attention scale 1.0 causal sinks 4
    query(%q[m, dqk] : tensor<4x32xf32>) key(%k[n, dqk2] : tensor<64x16xi8>) value(%v[n, dv2] : tensor<64x16xi8>)
    positions(%p[m] : tensor<4xi32>) key_scale(%ks[n] : tensor<64xf32>) value_scale(%vs[] : tensor<f32>)
    key_positions(%kp[n] : tensor<64xi32>)
    outs(%a[m, dv] : tensor<4x32xf32>, %x[m] : tensor<4xf32>, %s[m] : tensor<4xf32>)
  return %r#0 : tensor<4x32xf32>
}

// CHECK-LABEL: func @gather
func.func @gather(%k: tensor<?x16x128xf16>, %t: tensor<?xi32>, %n: index) -> tensor<64x128xf16> {
  // CHECK: gqa.gather_pages %{{.*}}[%{{.*}}] from %{{.*}} : tensor<?x16x128xf16>, tensor<?xi32> -> tensor<64x128xf16>
  %r = gqa.gather_pages %k[%t] from %n : tensor<?x16x128xf16>, tensor<?xi32> -> tensor<64x128xf16>
  return %r : tensor<64x128xf16>
}

// Products of 16-bit integers, as a tile and as one instruction.
// CHECK-LABEL: func @shorts
func.func @shorts(%q: tensor<4x32xf16>, %k: tensor<8x32xi8>, %a: tensor<4x32xf32>, %x: tensor<4xf32>,
                  %sums: vector<16xi32>, %pairs: vector<32xi16>) -> (tensor<4x32xf32>, vector<16xi32>) {
  // CHECK: gqa.online_attention scale 1.000000e+00 dot shorts
  %r:3 = gqa.online_attention scale 1.0 dot shorts
    query(%q[m, dqk] : tensor<4x32xf16>) key(%k[n, dqk] : tensor<8x32xi8>) value(%k[n, dv] : tensor<8x32xi8>)
    outs(%a[m, dv] : tensor<4x32xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  // CHECK: gqa.dot_shorts %{{.*}}, %{{.*}}, %{{.*}} : vector<16xi32>, vector<32xi16>
  %s = gqa.dot_shorts %sums, %pairs, %pairs : vector<16xi32>, vector<32xi16>
  return %r#0, %s : tensor<4x32xf32>, vector<16xi32>
}
