// RUN: gqa-opt %s --gqa-fold-repeated-kv --canonicalize --split-input-file | FileCheck %s

// repeat_interleave on [B, H, S, D]: a copy along a new dimension behind the heads, collapsed into them.
#small = affine_map<(b, h, g, s, d) -> (b, h, s, d)>
#all = affine_map<(b, h, g, s, d) -> (b, h, g, s, d)>
// CHECK-LABEL: func @repeat_interleave
// CHECK-SAME: %[[Q:.*]]: tensor<1x6x?x16xf32>, %[[K:.*]]: tensor<1x2x?x16xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @repeat_interleave(%q: tensor<1x6x?x16xf32>, %k: tensor<1x2x?x16xf32>, %v: tensor<1x2x?x8xf32>,
                             %ek: tensor<1x2x3x?x16xf32>, %ev: tensor<1x2x3x?x8xf32>, %init: tensor<1x6x?x8xf32>)
    -> tensor<1x6x?x8xf32> {
  %rk = linalg.generic {indexing_maps = [#small, #all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%k : tensor<1x2x?x16xf32>) outs(%ek : tensor<1x2x3x?x16xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<1x2x3x?x16xf32>
  %rv = linalg.broadcast ins(%v : tensor<1x2x?x8xf32>) outs(%ev : tensor<1x2x3x?x8xf32>) dimensions = [2]
  %ck = tensor.collapse_shape %rk [[0], [1, 2], [3], [4]] : tensor<1x2x3x?x16xf32> into tensor<1x6x?x16xf32>
  %cv = tensor.collapse_shape %rv [[0], [1, 2], [3], [4]] : tensor<1x2x3x?x8xf32> into tensor<1x6x?x8xf32>
  // CHECK: %[[EQ:.*]] = tensor.expand_shape %[[Q]] {{\[}}[0], [1, 2], [3], [4]]
  // CHECK: %[[O:.*]] = gqa.attention scale 2.500000e-01
  // CHECK-NEXT: query(%[[EQ]][b, hkv, g, m, dqk] : tensor<1x2x3x?x16xf32>)
  // CHECK-NEXT: key(%[[K]][b, hkv, n, dqk] : tensor<1x2x?x16xf32>)
  // CHECK-NEXT: value(%[[V]][b, hkv, n, dv] : tensor<1x2x?x8xf32>)
  // CHECK: %[[R:.*]] = tensor.collapse_shape %[[O]] {{\[}}[0], [1, 2], [3], [4]]
  // CHECK: return %[[R]]
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x?x16xf32>)
    key(%ck[b, hkv, n, dqk] : tensor<1x6x?x16xf32>)
    value(%cv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x?x8xf32>)
  return %o : tensor<1x6x?x8xf32>
}

// -----

// The same on [B, S, H, D], the source with a unit dimension that is read at 0.
#unit = affine_map<(b, s, h, g, d) -> (b, s, h, 0, d)>
#all = affine_map<(b, s, h, g, d) -> (b, s, h, g, d)>
// CHECK-LABEL: func @unit_dimension
func.func @unit_dimension(%q: tensor<2x5x4x8xf32>, %k: tensor<2x7x2x1x8xf32>, %v: tensor<2x7x2x1x8xf32>,
                          %e: tensor<2x7x2x2x8xf32>, %init: tensor<2x5x4x8xf32>) -> tensor<2x5x4x8xf32> {
  %rk = linalg.generic {indexing_maps = [#unit, #all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%k : tensor<2x7x2x1x8xf32>) outs(%e : tensor<2x7x2x2x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<2x7x2x2x8xf32>
  %rv = linalg.generic {indexing_maps = [#unit, #all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%v : tensor<2x7x2x1x8xf32>) outs(%e : tensor<2x7x2x2x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<2x7x2x2x8xf32>
  %ck = tensor.collapse_shape %rk [[0], [1], [2, 3], [4]] : tensor<2x7x2x2x8xf32> into tensor<2x7x4x8xf32>
  %cv = tensor.collapse_shape %rv [[0], [1], [2, 3], [4]] : tensor<2x7x2x2x8xf32> into tensor<2x7x4x8xf32>
  // CHECK: gqa.attention
  // CHECK: key(%{{.*}}[b, n, hkv, dqk] : tensor<2x7x2x8xf32>)
  // CHECK: value(%{{.*}}[b, n, hkv, dv] : tensor<2x7x2x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, m, hkv, dqk] : tensor<2x5x4x8xf32>)
    key(%ck[b, n, hkv, dqk] : tensor<2x7x4x8xf32>)
    value(%cv[b, n, hkv, dv] : tensor<2x7x4x8xf32>)
    outs(%init[b, m, hkv, dv] : tensor<2x5x4x8xf32>)
  return %o : tensor<2x5x4x8xf32>
}

// -----

// Near miss: tile order. Query head h reads K/V head h mod 3; the shapes are the same as for repeat_interleave, since
// group and heads are both 3.
#tile = affine_map<(b, g, h, s, d) -> (b, h, s, d)>
#all = affine_map<(b, g, h, s, d) -> (b, g, h, s, d)>
// CHECK-LABEL: func @tile
func.func @tile(%q: tensor<1x9x5x8xf32>, %k: tensor<1x3x7x8xf32>, %v: tensor<1x3x7x8xf32>,
                %e: tensor<1x3x3x7x8xf32>, %init: tensor<1x9x5x8xf32>) -> tensor<1x9x5x8xf32> {
  %rk = linalg.generic {indexing_maps = [#tile, #all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%k : tensor<1x3x7x8xf32>) outs(%e : tensor<1x3x3x7x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<1x3x3x7x8xf32>
  %rv = linalg.generic {indexing_maps = [#tile, #all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%v : tensor<1x3x7x8xf32>) outs(%e : tensor<1x3x3x7x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<1x3x3x7x8xf32>
  %ck = tensor.collapse_shape %rk [[0], [1, 2], [3], [4]] : tensor<1x3x3x7x8xf32> into tensor<1x9x7x8xf32>
  %cv = tensor.collapse_shape %rv [[0], [1, 2], [3], [4]] : tensor<1x3x3x7x8xf32> into tensor<1x9x7x8xf32>
  // CHECK: gqa.attention
  // CHECK-NEXT: query(%{{.*}}[b, hkv, m, dqk] : tensor<1x9x5x8xf32>)
  // CHECK-NEXT: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x9x7x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x9x5x8xf32>)
    key(%ck[b, hkv, n, dqk] : tensor<1x9x7x8xf32>)
    value(%cv[b, hkv, n, dv] : tensor<1x9x7x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x9x5x8xf32>)
  return %o : tensor<1x9x5x8xf32>
}

// -----

// Near miss: only the key is repeated.
#small = affine_map<(b, h, g, s, d) -> (b, h, s, d)>
#all = affine_map<(b, h, g, s, d) -> (b, h, g, s, d)>
// CHECK-LABEL: func @key_only
func.func @key_only(%q: tensor<1x4x5x8xf32>, %k: tensor<1x2x7x8xf32>, %v: tensor<1x4x7x8xf32>,
                    %e: tensor<1x2x2x7x8xf32>, %init: tensor<1x4x5x8xf32>) -> tensor<1x4x5x8xf32> {
  %rk = linalg.generic {indexing_maps = [#small, #all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%k : tensor<1x2x7x8xf32>) outs(%e : tensor<1x2x2x7x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<1x2x2x7x8xf32>
  %ck = tensor.collapse_shape %rk [[0], [1, 2], [3], [4]] : tensor<1x2x2x7x8xf32> into tensor<1x4x7x8xf32>
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x4x7x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x4x5x8xf32>)
    key(%ck[b, hkv, n, dqk] : tensor<1x4x7x8xf32>)
    value(%v[b, hkv, n, dv] : tensor<1x4x7x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x4x5x8xf32>)
  return %o : tensor<1x4x5x8xf32>
}

// -----

// Key and value that list g but only repeat along it.
#small = affine_map<(b, h, g, s, d) -> (b, h, s, d)>
#all = affine_map<(b, h, g, s, d) -> (b, h, g, s, d)>
// CHECK-LABEL: func @listed_group
// CHECK-SAME: %{{.*}}: tensor<1x2x2x5x8xf32>, %[[K:.*]]: tensor<1x2x7x8xf32>
func.func @listed_group(%q: tensor<1x2x2x5x8xf32>, %k: tensor<1x2x7x8xf32>, %e: tensor<1x2x2x7x8xf32>,
                        %init: tensor<1x2x2x5x8xf32>) -> tensor<1x2x2x5x8xf32> {
  %r = linalg.generic {indexing_maps = [#small, #all],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%k : tensor<1x2x7x8xf32>) outs(%e : tensor<1x2x2x7x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<1x2x2x7x8xf32>
  // CHECK: key(%[[K]][b, hkv, n, dqk] : tensor<1x2x7x8xf32>)
  // CHECK-NEXT: value(%[[K]][b, hkv, n, dv] : tensor<1x2x7x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, g, m, dqk] : tensor<1x2x2x5x8xf32>)
    key(%r[b, hkv, g, n, dqk] : tensor<1x2x2x7x8xf32>)
    value(%r[b, hkv, g, n, dv] : tensor<1x2x2x7x8xf32>)
    outs(%init[b, hkv, g, m, dv] : tensor<1x2x2x5x8xf32>)
  return %o : tensor<1x2x2x5x8xf32>
}
