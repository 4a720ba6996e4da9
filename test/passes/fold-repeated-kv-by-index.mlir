// Repeats of K and V spelled by indices, slices and transpositions. Every head is followed back on its own, so only the
// order decides, not the ops: 6 query heads read heads 0, 0, 0, 1, 1, 1.
//
// RUN: gqa-opt %s --gqa-fold-repeated-kv --canonicalize --split-input-file | FileCheck %s

// tensor.gather along the heads by a constant table, with and without the unit dimension kept.
// CHECK-LABEL: func @gather
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @gather(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %table = arith.constant dense<[[0], [0], [0], [1], [1], [1]]> : tensor<6x1xi32>
  %gk = tensor.gather %k[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x?x8xf32>
  %gv = tensor.gather %v[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x1x?x8xf32>
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %rk = linalg.transpose ins(%gk : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  %uv = tensor.collapse_shape %gv [[0], [1, 2], [3], [4]] : tensor<6x1x1x?x8xf32> into tensor<6x1x?x8xf32>
  %rv = linalg.transpose ins(%uv : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  // CHECK: key(%[[K]][b, hkv, n, dqk] : tensor<1x2x?x8xf32>)
  // CHECK: value(%[[V]][b, hkv, n, dv] : tensor<1x2x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// Near miss: the table is in tile order, h mod 2.
// CHECK-LABEL: func @gather_tile
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @gather_tile(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %table = arith.constant dense<[[0], [1], [0], [1], [0], [1]]> : tensor<6x1xi32>
  %gk = tensor.gather %k[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x?x8xf32>
  %gv = tensor.gather %v[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x1x?x8xf32>
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %rk = linalg.transpose ins(%gk : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  %uv = tensor.collapse_shape %gv [[0], [1, 2], [3], [4]] : tensor<6x1x1x?x8xf32> into tensor<6x1x?x8xf32>
  %rv = linalg.transpose ins(%uv : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// Near miss: reversed.
// CHECK-LABEL: func @gather_reversed
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @gather_reversed(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %table = arith.constant dense<[[1], [1], [1], [0], [0], [0]]> : tensor<6x1xi32>
  %gk = tensor.gather %k[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x?x8xf32>
  %gv = tensor.gather %v[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x1x?x8xf32>
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %rk = linalg.transpose ins(%gk : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  %uv = tensor.collapse_shape %gv [[0], [1, 2], [3], [4]] : tensor<6x1x1x?x8xf32> into tensor<6x1x?x8xf32>
  %rv = linalg.transpose ins(%uv : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// Near miss: rolled by one head.
// CHECK-LABEL: func @gather_rolled
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @gather_rolled(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %table = arith.constant dense<[[0], [0], [1], [1], [1], [0]]> : tensor<6x1xi32>
  %gk = tensor.gather %k[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x?x8xf32>
  %gv = tensor.gather %v[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x1x?x8xf32>
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %rk = linalg.transpose ins(%gk : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  %uv = tensor.collapse_shape %gv [[0], [1, 2], [3], [4]] : tensor<6x1x1x?x8xf32> into tensor<6x1x?x8xf32>
  %rv = linalg.transpose ins(%uv : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// Near miss: the key interleaved, the value tiled.
// CHECK-LABEL: func @gather_mixed
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @gather_mixed(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %table = arith.constant dense<[[0], [0], [0], [1], [1], [1]]> : tensor<6x1xi32>
  %other = arith.constant dense<[[0], [1], [0], [1], [0], [1]]> : tensor<6x1xi32>
  %gk = tensor.gather %k[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x?x8xf32>
  %gv = tensor.gather %v[%other] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x1x?x8xf32>
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %rk = linalg.transpose ins(%gk : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  %uv = tensor.collapse_shape %gv [[0], [1, 2], [3], [4]] : tensor<6x1x1x?x8xf32> into tensor<6x1x?x8xf32>
  %rv = linalg.transpose ins(%uv : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// Near miss: one head more often than the other.
// CHECK-LABEL: func @gather_uneven
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @gather_uneven(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %table = arith.constant dense<[[0], [0], [1], [1], [1], [1]]> : tensor<6x1xi32>
  %gk = tensor.gather %k[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x?x8xf32>
  %gv = tensor.gather %v[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x1x?x8xf32>
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %rk = linalg.transpose ins(%gk : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  %uv = tensor.collapse_shape %gv [[0], [1, 2], [3], [4]] : tensor<6x1x1x?x8xf32> into tensor<6x1x?x8xf32>
  %rv = linalg.transpose ins(%uv : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

#all = affine_map<(b, h, s, d) -> (b, h, s, d)>
// linalg.generic that reads head h floordiv 3.
// CHECK-LABEL: func @extract_floordiv
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @extract_floordiv(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %rk = linalg.generic {indexing_maps = [#all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%e : tensor<1x6x?x8xf32>) {
  ^bb0(%out: f32):
    %b = linalg.index 0 : index
    %h = linalg.index 1 : index
    %s = linalg.index 2 : index
    %d = linalg.index 3 : index
    %i = affine.apply affine_map<(h) -> (h floordiv 3)>(%h)
    %x = tensor.extract %k[%b, %i, %s, %d] : tensor<1x2x?x8xf32>
    linalg.yield %x : f32
  } -> tensor<1x6x?x8xf32>
  %rv = linalg.generic {indexing_maps = [#all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%e : tensor<1x6x?x8xf32>) {
  ^bb0(%out: f32):
    %b = linalg.index 0 : index
    %h = linalg.index 1 : index
    %s = linalg.index 2 : index
    %d = linalg.index 3 : index
    %i = affine.apply affine_map<(h) -> (h floordiv 3)>(%h)
    %x = tensor.extract %v[%b, %i, %s, %d] : tensor<1x2x?x8xf32>
    linalg.yield %x : f32
  } -> tensor<1x6x?x8xf32>
  // CHECK: key(%[[K]][b, hkv, n, dqk] : tensor<1x2x?x8xf32>)
  // CHECK: value(%[[V]][b, hkv, n, dv] : tensor<1x2x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

#all = affine_map<(b, h, s, d) -> (b, h, s, d)>
// Near miss: head h mod 2.
// CHECK-LABEL: func @extract_mod
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @extract_mod(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %rk = linalg.generic {indexing_maps = [#all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%e : tensor<1x6x?x8xf32>) {
  ^bb0(%out: f32):
    %b = linalg.index 0 : index
    %h = linalg.index 1 : index
    %s = linalg.index 2 : index
    %d = linalg.index 3 : index
    %i = affine.apply affine_map<(h) -> (h mod 2)>(%h)
    %x = tensor.extract %k[%b, %i, %s, %d] : tensor<1x2x?x8xf32>
    linalg.yield %x : f32
  } -> tensor<1x6x?x8xf32>
  %rv = linalg.generic {indexing_maps = [#all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%e : tensor<1x6x?x8xf32>) {
  ^bb0(%out: f32):
    %b = linalg.index 0 : index
    %h = linalg.index 1 : index
    %s = linalg.index 2 : index
    %d = linalg.index 3 : index
    %i = affine.apply affine_map<(h) -> (h mod 2)>(%h)
    %x = tensor.extract %v[%b, %i, %s, %d] : tensor<1x2x?x8xf32>
    linalg.yield %x : f32
  } -> tensor<1x6x?x8xf32>
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

#all = affine_map<(b, h, s, d) -> (b, h, s, d)>
// A computed table of indices, negative ones counted from the end, as frontends write k[:, arange(6) // 3].
// CHECK-LABEL: func @extract_computed_table
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @extract_computed_table(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %te = tensor.empty() : tensor<6xi64>
  %table = linalg.generic {indexing_maps = [affine_map<(h) -> (h)>], iterator_types = ["parallel"]}
      outs(%te : tensor<6xi64>) {
  ^bb0(%out: i64):
    %h = linalg.index 0 : index
    %hi = arith.index_cast %h : index to i64
    %three = arith.constant 3 : i64
    %g = arith.floordivsi %hi, %three : i64
    linalg.yield %g : i64
  } -> tensor<6xi64>
  %rk = linalg.generic {indexing_maps = [#all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%e : tensor<1x6x?x8xf32>) {
  ^bb0(%out: f32):
    %b = linalg.index 0 : index
    %h = linalg.index 1 : index
    %s = linalg.index 2 : index
    %d = linalg.index 3 : index
    %t = tensor.extract %table[%h] : tensor<6xi64>
    %two = arith.constant 2 : i64
    %zero = arith.constant 0 : i64
    %isNegative = arith.cmpi slt, %t, %zero : i64
    %wrapped = arith.addi %t, %two : i64
    %chosen = arith.select %isNegative, %wrapped, %t : i64
    %i = arith.index_cast %chosen : i64 to index
    %x = tensor.extract %k[%b, %i, %s, %d] : tensor<1x2x?x8xf32>
    linalg.yield %x : f32
  } -> tensor<1x6x?x8xf32>
  %rv = linalg.generic {indexing_maps = [#all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%e : tensor<1x6x?x8xf32>) {
  ^bb0(%out: f32):
    %b = linalg.index 0 : index
    %h = linalg.index 1 : index
    %s = linalg.index 2 : index
    %d = linalg.index 3 : index
    %t = tensor.extract %table[%h] : tensor<6xi64>
    %two = arith.constant 2 : i64
    %zero = arith.constant 0 : i64
    %isNegative = arith.cmpi slt, %t, %zero : i64
    %wrapped = arith.addi %t, %two : i64
    %chosen = arith.select %isNegative, %wrapped, %t : i64
    %i = arith.index_cast %chosen : i64 to index
    %x = tensor.extract %v[%b, %i, %s, %d] : tensor<1x2x?x8xf32>
    linalg.yield %x : f32
  } -> tensor<1x6x?x8xf32>
  // CHECK: key(%[[K]][b, hkv, n, dqk] : tensor<1x2x?x8xf32>)
  // CHECK: value(%[[V]][b, hkv, n, dv] : tensor<1x2x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

#all = affine_map<(b, h, s, d) -> (b, h, s, d)>
// Negative ones counted from the end: heads 0, 0, 0, 1, 1, 1.
// CHECK-LABEL: func @extract_wrapped_table
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @extract_wrapped_table(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %table = arith.constant dense<[-2, -2, 0, 1, -1, -1]> : tensor<6xi64>
  %rk = linalg.generic {indexing_maps = [#all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%e : tensor<1x6x?x8xf32>) {
  ^bb0(%out: f32):
    %b = linalg.index 0 : index
    %h = linalg.index 1 : index
    %s = linalg.index 2 : index
    %d = linalg.index 3 : index
    %t = tensor.extract %table[%h] : tensor<6xi64>
    %two = arith.constant 2 : i64
    %zero = arith.constant 0 : i64
    %isNegative = arith.cmpi slt, %t, %zero : i64
    %wrapped = arith.addi %t, %two : i64
    %chosen = arith.select %isNegative, %wrapped, %t : i64
    %i = arith.index_cast %chosen : i64 to index
    %x = tensor.extract %k[%b, %i, %s, %d] : tensor<1x2x?x8xf32>
    linalg.yield %x : f32
  } -> tensor<1x6x?x8xf32>
  %rv = linalg.generic {indexing_maps = [#all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%e : tensor<1x6x?x8xf32>) {
  ^bb0(%out: f32):
    %b = linalg.index 0 : index
    %h = linalg.index 1 : index
    %s = linalg.index 2 : index
    %d = linalg.index 3 : index
    %t = tensor.extract %table[%h] : tensor<6xi64>
    %two = arith.constant 2 : i64
    %zero = arith.constant 0 : i64
    %isNegative = arith.cmpi slt, %t, %zero : i64
    %wrapped = arith.addi %t, %two : i64
    %chosen = arith.select %isNegative, %wrapped, %t : i64
    %i = arith.index_cast %chosen : i64 to index
    %x = tensor.extract %v[%b, %i, %s, %d] : tensor<1x2x?x8xf32>
    linalg.yield %x : f32
  } -> tensor<1x6x?x8xf32>
  // CHECK: key(%[[K]][b, hkv, n, dqk] : tensor<1x2x?x8xf32>)
  // CHECK: value(%[[V]][b, hkv, n, dv] : tensor<1x2x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

#all = affine_map<(b, h, s, d) -> (b, h, s, d)>
// Near miss: head (h + 1) floordiv 3, wrapped around.
// CHECK-LABEL: func @extract_shifted
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @extract_shifted(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %rk = linalg.generic {indexing_maps = [#all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%e : tensor<1x6x?x8xf32>) {
  ^bb0(%out: f32):
    %b = linalg.index 0 : index
    %h = linalg.index 1 : index
    %s = linalg.index 2 : index
    %d = linalg.index 3 : index
    %h1 = arith.addi %h, %c1 : index
    %i0 = arith.divui %h1, %c3 : index
    %i = arith.remui %i0, %c2 : index
    %x = tensor.extract %k[%b, %i, %s, %d] : tensor<1x2x?x8xf32>
    linalg.yield %x : f32
  } -> tensor<1x6x?x8xf32>
  %rv = linalg.generic {indexing_maps = [#all],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%e : tensor<1x6x?x8xf32>) {
  ^bb0(%out: f32):
    %b = linalg.index 0 : index
    %h = linalg.index 1 : index
    %s = linalg.index 2 : index
    %d = linalg.index 3 : index
    %h1 = arith.addi %h, %c1 : index
    %i0 = arith.divui %h1, %c3 : index
    %i = arith.remui %i0, %c2 : index
    %x = tensor.extract %v[%b, %i, %s, %d] : tensor<1x2x?x8xf32>
    linalg.yield %x : f32
  } -> tensor<1x6x?x8xf32>
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// tensor.concat of slices.
// CHECK-LABEL: func @concat
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @concat(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %nv = tensor.dim %v, %c2 : tensor<1x2x?x8xf32>
  %k0 = tensor.extract_slice %k[0, 0, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %k1 = tensor.extract_slice %k[0, 1, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %rk = tensor.concat dim(1) %k0, %k0, %k0, %k1, %k1, %k1
      : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x6x?x8xf32>
  %v0 = tensor.extract_slice %v[0, 0, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %v1 = tensor.extract_slice %v[0, 1, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %rv = tensor.concat dim(1) %v0, %v0, %v0, %v1, %v1, %v1
      : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x6x?x8xf32>
  // CHECK: key(%[[K]][b, hkv, n, dqk] : tensor<1x2x?x8xf32>)
  // CHECK: value(%[[V]][b, hkv, n, dv] : tensor<1x2x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// Near miss: the whole tensor three times over.
// CHECK-LABEL: func @concat_tile
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @concat_tile(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %nv = tensor.dim %v, %c2 : tensor<1x2x?x8xf32>
  %k0 = tensor.extract_slice %k[0, 0, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %k1 = tensor.extract_slice %k[0, 1, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %rk = tensor.concat dim(1) %k0, %k1, %k0, %k1, %k0, %k1
      : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x6x?x8xf32>
  %v0 = tensor.extract_slice %v[0, 0, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %v1 = tensor.extract_slice %v[0, 1, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %rv = tensor.concat dim(1) %v0, %v1, %v0, %v1, %v0, %v1
      : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x6x?x8xf32>
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// Near miss: reversed.
// CHECK-LABEL: func @concat_reversed
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @concat_reversed(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %nv = tensor.dim %v, %c2 : tensor<1x2x?x8xf32>
  %k0 = tensor.extract_slice %k[0, 0, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %k1 = tensor.extract_slice %k[0, 1, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %rk = tensor.concat dim(1) %k1, %k1, %k1, %k0, %k0, %k0
      : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x6x?x8xf32>
  %v0 = tensor.extract_slice %v[0, 0, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %v1 = tensor.extract_slice %v[0, 1, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<1x1x?x8xf32>
  %rv = tensor.concat dim(1) %v1, %v1, %v1, %v0, %v0, %v0
      : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x6x?x8xf32>
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// A chain of tensor.insert_slice.
// CHECK-LABEL: func @insert_slices
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @insert_slices(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %k0 = tensor.extract_slice %k[0, 0, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %k1 = tensor.extract_slice %k[0, 1, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %ki0 = tensor.insert_slice %k0 into %e[0, 0, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki1 = tensor.insert_slice %k0 into %ki0[0, 1, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki2 = tensor.insert_slice %k0 into %ki1[0, 2, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki3 = tensor.insert_slice %k1 into %ki2[0, 3, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki4 = tensor.insert_slice %k1 into %ki3[0, 4, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %rk = tensor.insert_slice %k1 into %ki4[0, 5, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %nv = tensor.dim %v, %c2 : tensor<1x2x?x8xf32>
  %ev = tensor.empty(%nv) : tensor<1x6x?x8xf32>
  %v0 = tensor.extract_slice %v[0, 0, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %v1 = tensor.extract_slice %v[0, 1, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %vi0 = tensor.insert_slice %v0 into %ev[0, 0, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi1 = tensor.insert_slice %v0 into %vi0[0, 1, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi2 = tensor.insert_slice %v0 into %vi1[0, 2, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi3 = tensor.insert_slice %v1 into %vi2[0, 3, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi4 = tensor.insert_slice %v1 into %vi3[0, 4, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %rv = tensor.insert_slice %v1 into %vi4[0, 5, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  // CHECK: key(%[[K]][b, hkv, n, dqk] : tensor<1x2x?x8xf32>)
  // CHECK: value(%[[V]][b, hkv, n, dv] : tensor<1x2x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// Near miss: in tile order.
// CHECK-LABEL: func @insert_slices_tile
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @insert_slices_tile(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %k0 = tensor.extract_slice %k[0, 0, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %k1 = tensor.extract_slice %k[0, 1, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %ki0 = tensor.insert_slice %k0 into %e[0, 0, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki1 = tensor.insert_slice %k1 into %ki0[0, 1, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki2 = tensor.insert_slice %k0 into %ki1[0, 2, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki3 = tensor.insert_slice %k1 into %ki2[0, 3, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki4 = tensor.insert_slice %k0 into %ki3[0, 4, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %rk = tensor.insert_slice %k1 into %ki4[0, 5, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %nv = tensor.dim %v, %c2 : tensor<1x2x?x8xf32>
  %ev = tensor.empty(%nv) : tensor<1x6x?x8xf32>
  %v0 = tensor.extract_slice %v[0, 0, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %v1 = tensor.extract_slice %v[0, 1, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %vi0 = tensor.insert_slice %v0 into %ev[0, 0, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi1 = tensor.insert_slice %v1 into %vi0[0, 1, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi2 = tensor.insert_slice %v0 into %vi1[0, 2, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi3 = tensor.insert_slice %v1 into %vi2[0, 3, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi4 = tensor.insert_slice %v0 into %vi3[0, 4, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %rv = tensor.insert_slice %v1 into %vi4[0, 5, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// Near miss: two heads swapped.
// CHECK-LABEL: func @insert_slices_interleaved
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @insert_slices_interleaved(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %k0 = tensor.extract_slice %k[0, 0, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %k1 = tensor.extract_slice %k[0, 1, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %ki0 = tensor.insert_slice %k0 into %e[0, 0, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki1 = tensor.insert_slice %k0 into %ki0[0, 1, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki2 = tensor.insert_slice %k1 into %ki1[0, 2, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki3 = tensor.insert_slice %k0 into %ki2[0, 3, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %ki4 = tensor.insert_slice %k1 into %ki3[0, 4, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %rk = tensor.insert_slice %k1 into %ki4[0, 5, 0, 0] [1, 1, %n, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %nv = tensor.dim %v, %c2 : tensor<1x2x?x8xf32>
  %ev = tensor.empty(%nv) : tensor<1x6x?x8xf32>
  %v0 = tensor.extract_slice %v[0, 0, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %v1 = tensor.extract_slice %v[0, 1, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<1x2x?x8xf32> to tensor<?x8xf32>
  %vi0 = tensor.insert_slice %v0 into %ev[0, 0, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi1 = tensor.insert_slice %v0 into %vi0[0, 1, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi2 = tensor.insert_slice %v1 into %vi1[0, 2, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi3 = tensor.insert_slice %v0 into %vi2[0, 3, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %vi4 = tensor.insert_slice %v1 into %vi3[0, 4, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  %rv = tensor.insert_slice %v1 into %vi4[0, 5, 0, 0] [1, 1, %nv, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x6x?x8xf32>
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// linalg.broadcast puts the group first, a transposition moves it behind the heads; two repeats in a row, 3 = 3 x 1.
// CHECK-LABEL: func @broadcast_permuted
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @broadcast_permuted(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<3x1x2x?x8xf32>
  %t = tensor.empty(%n) : tensor<1x2x3x?x8xf32>
  %bk = linalg.broadcast ins(%k : tensor<1x2x?x8xf32>) outs(%e : tensor<3x1x2x?x8xf32>) dimensions = [0]
  %tk = linalg.transpose ins(%bk : tensor<3x1x2x?x8xf32>) outs(%t : tensor<1x2x3x?x8xf32>) permutation = [1, 2, 0, 3, 4]
  %rk = tensor.collapse_shape %tk [[0], [1, 2], [3], [4]] : tensor<1x2x3x?x8xf32> into tensor<1x6x?x8xf32>
  %bv = linalg.broadcast ins(%v : tensor<1x2x?x8xf32>) outs(%t : tensor<1x2x3x?x8xf32>) dimensions = [2]
  %cv = tensor.collapse_shape %bv [[0, 1, 2], [3], [4]] : tensor<1x2x3x?x8xf32> into tensor<6x?x8xf32>
  %c1 = arith.constant 1 : index
  %nv = tensor.dim %v, %c2 : tensor<1x2x?x8xf32>
  %rv = tensor.expand_shape %cv [[0, 1], [2], [3]] output_shape [1, 6, %nv, 8] : tensor<6x?x8xf32> into tensor<1x6x?x8xf32>
  // CHECK: key(%[[K]][b, hkv, n, dqk] : tensor<1x2x?x8xf32>)
  // CHECK: value(%[[V]][b, hkv, n, dv] : tensor<1x2x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// Near miss: the broadcast group is left in front of the heads, so the copies are in tile order.
// CHECK-LABEL: func @broadcast_in_front
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @broadcast_in_front(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %t = tensor.empty(%n) : tensor<1x3x2x?x8xf32>
  %bk = linalg.broadcast ins(%k : tensor<1x2x?x8xf32>) outs(%t : tensor<1x3x2x?x8xf32>) dimensions = [1]
  %rk = tensor.collapse_shape %bk [[0], [1, 2], [3], [4]] : tensor<1x3x2x?x8xf32> into tensor<1x6x?x8xf32>
  %bv = linalg.broadcast ins(%v : tensor<1x2x?x8xf32>) outs(%t : tensor<1x3x2x?x8xf32>) dimensions = [1]
  %rv = tensor.collapse_shape %bv [[0], [1, 2], [3], [4]] : tensor<1x3x2x?x8xf32> into tensor<1x6x?x8xf32>
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// All query heads read one K/V head, which has no dimension of its own (multi-query attention).
// CHECK-LABEL: func @one_head
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x?x8xf32>, %[[V:.*]]: tensor<1x1x?x8xf32>
func.func @one_head(%q: tensor<1x6x5x8xf32>, %k: tensor<1x?x8xf32>, %v: tensor<1x1x?x8xf32>,
    %init: tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32> {
  %c1 = arith.constant 1 : index
  %n = tensor.dim %k, %c1 : tensor<1x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %rk = linalg.broadcast ins(%k : tensor<1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) dimensions = [1]
  %rv = linalg.generic {indexing_maps = [affine_map<(b, h, s, d) -> (b, 0, s, d)>,
                                         affine_map<(b, h, s, d) -> (b, h, s, d)>],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%v : tensor<1x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<1x6x?x8xf32>
  // CHECK: query(%{{.*}}[b, hkv, g, m, dqk] : tensor<1x1x6x5x8xf32>)
  // CHECK: key(%[[K]][b, n, dqk] : tensor<1x?x8xf32>)
  // CHECK: value(%{{.*}} : tensor<1x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}

// -----

// Near miss: indices that are known only at run time.
// CHECK-LABEL: func @gather_unknown
// CHECK-SAME: %{{.*}}: tensor<1x6x5x8xf32>, %[[K:.*]]: tensor<1x2x?x8xf32>, %[[V:.*]]: tensor<1x2x?x8xf32>
func.func @gather_unknown(%q: tensor<1x6x5x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
    %init: tensor<1x6x5x8xf32>, %table: tensor<6x1xi32>) -> tensor<1x6x5x8xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %e = tensor.empty(%n) : tensor<1x6x?x8xf32>
  %gk = tensor.gather %k[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x?x8xf32>
  %gv = tensor.gather %v[%table] gather_dims([1]) : (tensor<1x2x?x8xf32>, tensor<6x1xi32>) -> tensor<6x1x?x8xf32>
  %rk = linalg.transpose ins(%gk : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  %rv = linalg.transpose ins(%gv : tensor<6x1x?x8xf32>) outs(%e : tensor<1x6x?x8xf32>) permutation = [1, 0, 2, 3]
  // CHECK: key(%{{.*}}[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x6x5x8xf32>)
    key(%rk[b, hkv, n, dqk] : tensor<1x6x?x8xf32>)
    value(%rv[b, hkv, n, dv] : tensor<1x6x?x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x6x5x8xf32>)
  return %o : tensor<1x6x5x8xf32>
}
