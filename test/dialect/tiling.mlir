// RUN: gqa-opt %s --transform-interpreter --canonicalize --cse | FileCheck %s

// A tile of query rows carries on in position: `align top_left` becomes an offset of the tile's first row, and the key
// and the value stay whole.
// CHECK-LABEL: func @rows
// CHECK: scf.for %[[ROW:[a-z0-9]+]] =
// CHECK: tensor.extract_slice %{{.*}}[0, 0, %[[ROW]], 0] [2, 3, 4, 16] [1, 1, 1, 1]
// CHECK: gqa.attention scale 2.500000e-01 causal
// CHECK: query(%{{.*}}[hkv, g, m, dqk] : tensor<2x3x4x16xf32>)
// CHECK: key(%{{.*}}[hkv, n, dqk] : tensor<2x7x16xf32>)
// CHECK: offset(
// CHECK: tensor.insert_slice
func.func @rows(%q: tensor<2x3x8x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>,
                %init: tensor<2x3x8x16xf32>) -> tensor<2x3x8x16xf32> {
  %o = gqa.attention scale 0.25 causal align top_left
    query(%q[hkv, g, m, dqk] : tensor<2x3x8x16xf32>)
    key(%k[hkv, n, dqk] : tensor<2x7x16xf32>)
    value(%v[hkv, n, dv] : tensor<2x7x16xf32>)
    outs(%init[hkv, g, m, dv] : tensor<2x3x8x16xf32>)
  return %o : tensor<2x3x8x16xf32>
}

// A tile of keys starts later: the running softmax goes through the loop, and key_start is the loop's variable.
// CHECK-LABEL: func @keys
// CHECK: scf.for %[[KEY:[a-z0-9]+]] = {{.*}} iter_args
// CHECK: tensor.extract_slice %{{.*}}[%[[KEY]], 0] [16, 8] [1, 1]
// CHECK: gqa.online_attention
// CHECK: outs({{.*}}) key_start(%[[KEY]])
func.func @keys(%q: tensor<4x8xf32>, %k: tensor<64x8xf32>, %v: tensor<64x8xf32>, %len: tensor<i32>,
                %a: tensor<4x8xf32>, %x: tensor<4xf32>, %s: tensor<4xf32>) -> tensor<4x8xf32> {
  %r:3 = gqa.online_attention scale 1.0
    query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<64x8xf32>) value(%v[n, dv] : tensor<64x8xf32>)
    kv_len(%len[] : tensor<i32>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<4xf32>, %s[m] : tensor<4xf32>)
  return %r#0 : tensor<4x8xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%module: !transform.any_op {transform.readonly}) {
    %attention = transform.structured.match ops{["gqa.attention"]} in %module
        : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.tile_using_for %attention tile_sizes [0, 0, 0, 4]
        : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    %online = transform.structured.match ops{["gqa.online_attention"]} in %module
        : (!transform.any_op) -> !transform.any_op
    %tiledKeys, %keyLoop = transform.structured.tile_using_for %online tile_sizes [0, 0, 0, 0, 16]
        : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
