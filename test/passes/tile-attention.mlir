// RUN: gqa-opt %s --split-input-file --gqa-tile-attention --canonicalize --cse | FileCheck %s

// Everything divides: one task per K/V head, its 2 x 4 query rows one dimension of 8, one key block. There is nothing
// to pad or to mask, and no second loop. The full extents of the scores are left for gqa-verify-no-kv-expansion.
#schedule = #gqa.schedule<lanes = row, g = 2, m = 4, rows = 8, n = 8, split = 0, dot = false>
// CHECK-LABEL: func @whole
// CHECK-SAME: %[[Q:[a-z0-9]*]]: tensor<2x2x4x16xf32>, %[[K:[a-z0-9]*]]: tensor<2x8x16xf32>
// CHECK-SAME: %[[V:[a-z0-9]*]]: tensor<2x8x16xf32>, %[[INIT:[a-z0-9]*]]: tensor<2x2x4x16xf32>
// CHECK-SAME: gqa.score_shapes = [array<i64: 1, 2, 2, 4, 8>]
func.func @whole(%q: tensor<2x2x4x16xf32>, %k: tensor<2x8x16xf32>, %v: tensor<2x8x16xf32>, %init: tensor<2x2x4x16xf32>)
    -> tensor<2x2x4x16xf32> {
  // CHECK-NOT: scf.for{{ }}
  // CHECK-NOT: tensor.insert_slice
  // CHECK: %[[ALL:.*]] = scf.forall (%[[H:.*]]) in (2) shared_outs(%[[OUT:.*]] = %[[INIT]])
  // CHECK: %[[HEADS:.*]] = tensor.extract_slice %[[Q]][%[[H]], 0, 0, 0] [1, 2, 4, 16]
  // CHECK: %[[ROWS:.*]] = tensor.collapse_shape %[[HEADS]] {{\[}}[0, 1], [2]] : tensor<2x4x16xf32> into tensor<8x16xf32>
  // CHECK: %[[KEYS:.*]] = tensor.extract_slice %[[K]][%[[H]], 0, 0] [1, 8, 16]
  // CHECK: %[[VALUES:.*]] = tensor.extract_slice %[[V]][%[[H]], 0, 0] [1, 8, 16]
  // CHECK: gqa.online_attention scale 2.500000e-01
  // CHECK-NEXT: query(%[[ROWS]][m, dqk]
  // CHECK-NEXT: key(%[[KEYS]][n, dqk]
  // CHECK-NEXT: value(%[[VALUES]][n, dv]
  // CHECK-NEXT: outs(%{{.*}}[dv, m] : tensor<16x8xf32>, %{{.*}}[m] : tensor<8xf32>, %{{.*}}[m] : tensor<8xf32>)
  // CHECK-NOT: scf.for{{ }}
  // CHECK: %[[RESULT:.*]] = tensor.expand_shape %{{.*}} {{\[}}[0, 1], [2]] output_shape [2, 4, 16]
  // CHECK: tensor.parallel_insert_slice %[[RESULT]] into %[[OUT]][%[[H]], 0, 0, 0] [1, 2, 4, 16]
  // CHECK: return %[[ALL]]
  %o = gqa.attention scale 0.25 schedule(#schedule)
    query(%q[hkv, g, m, dqk] : tensor<2x2x4x16xf32>) key(%k[hkv, n, dqk] : tensor<2x8x16xf32>)
    value(%v[hkv, n, dv] : tensor<2x8x16xf32>) outs(%init[hkv, g, m, dv] : tensor<2x2x4x16xf32>)
  return %o : tensor<2x2x4x16xf32>
}

// -----

// Keys between which the rows of another head lie are copied to a tile of their own, block by block, for 32 rows or more.
// Values, [hkv, n, dv], lie together already.
#schedule = #gqa.schedule<lanes = row, g = 1, m = 32, rows = 32, n = 8, split = 0, dot = false>
// CHECK-LABEL: func @scattered
// CHECK-SAME: %{{[a-z0-9]*}}: tensor<2x32x16xf32>, %[[K:[a-z0-9]*]]: tensor<16x2x16xf32>
// CHECK-SAME: %[[V:[a-z0-9]*]]: tensor<2x16x16xf32>
// CHECK: %[[SLICE:.*]] = tensor.extract_slice %[[K]]
// CHECK: %[[KEYS:.*]] = bufferization.alloc_tensor() copy(%[[SLICE]]) : tensor<8x16xf32>
// CHECK: %[[VALUES:.*]] = tensor.extract_slice %[[V]]
// CHECK: gqa.online_attention
// CHECK: key(%[[KEYS]][n, dqk]
// CHECK: value(%[[VALUES]][n, dv]
func.func @scattered(%q: tensor<2x32x16xf32>, %k: tensor<16x2x16xf32>, %v: tensor<2x16x16xf32>) -> tensor<2x32x16xf32> {
  %init = tensor.empty() : tensor<2x32x16xf32>
  %o = gqa.attention scale 0.25 schedule(#schedule)
    query(%q[hkv, m, dqk] : tensor<2x32x16xf32>) key(%k[n, hkv, dqk] : tensor<16x2x16xf32>)
    value(%v[hkv, n, dv] : tensor<2x16x16xf32>) outs(%init[hkv, m, dv] : tensor<2x32x16xf32>)
  return %o : tensor<2x32x16xf32>
}

// -----

// Near misses: few rows read each key, and a single head has its keys together in any order.
#few = #gqa.schedule<lanes = row, g = 1, m = 16, rows = 16, n = 8, split = 0, dot = false>
#many = #gqa.schedule<lanes = row, g = 1, m = 32, rows = 32, n = 8, split = 0, dot = false>
// CHECK-LABEL: func @not_scattered
// CHECK-NOT: bufferization.alloc_tensor
// CHECK: return
func.func @not_scattered(%q: tensor<2x32x16xf32>, %k: tensor<16x2x16xf32>, %q1: tensor<1x32x16xf32>, %k1: tensor<16x1x16xf32>)
    -> (tensor<2x32x16xf32>, tensor<1x32x16xf32>) {
  %init = tensor.empty() : tensor<2x32x16xf32>
  %few = gqa.attention scale 0.25 schedule(#few)
    query(%q[hkv, m, dqk] : tensor<2x32x16xf32>) key(%k[n, hkv, dqk] : tensor<16x2x16xf32>)
    value(%k[n, hkv, dv] : tensor<16x2x16xf32>) outs(%init[hkv, m, dv] : tensor<2x32x16xf32>)
  %init1 = tensor.empty() : tensor<1x32x16xf32>
  %one = gqa.attention scale 0.25 schedule(#many)
    query(%q1[hkv, m, dqk] : tensor<1x32x16xf32>) key(%k1[n, hkv, dqk] : tensor<16x1x16xf32>)
    value(%k1[n, hkv, dv] : tensor<16x1x16xf32>) outs(%init1[hkv, m, dv] : tensor<1x32x16xf32>)
  return %few, %one : tensor<2x32x16xf32>, tensor<1x32x16xf32>
}

// -----

// Causal, any number of keys, 4 rows in tiles of 3, 6 rows of a task in vectors of 8. Tasks start with the last rows.
// The query is padded twice, first to 3 positions, then to 8 rows.
#schedule = #gqa.schedule<lanes = row, g = 2, m = 3, rows = 8, n = 8, split = 0, dot = false>
// CHECK-DAG: #[[LAST_FIRST:.*]] = affine_map<(d0) -> (d0 * -3 + 3)>
// CHECK-LABEL: func @causal
// CHECK-SAME: %[[Q:[a-z0-9]*]]: tensor<2x2x4x16xf32>, %[[K:[a-z0-9]*]]: tensor<2x?x16xf32>
// CHECK-SAME: %[[V:[a-z0-9]*]]: tensor<2x?x16xf32>, %[[INIT:[a-z0-9]*]]: tensor<2x2x4x16xf32>
func.func @causal(%q: tensor<2x2x4x16xf32>, %k: tensor<2x?x16xf32>, %v: tensor<2x?x16xf32>, %init: tensor<2x2x4x16xf32>)
    -> tensor<2x2x4x16xf32> {
  // CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
  // CHECK: scf.forall (%[[H:.*]], %[[T:.*]]) in (2, 2)
  // CHECK: %[[FIRST:.*]] = affine.apply #[[LAST_FIRST]](%[[T]])
  // CHECK: %[[SIZE:.*]] = affine.min
  // CHECK: %[[POSITIONS:.*]] = tensor.insert_slice %{{.*}} into %{{.*}}[0] [6] [1] : tensor<6xi32> into tensor<8xi32>
  // CHECK: %[[PART:.*]] = tensor.extract_slice %[[Q]][%[[H]], 0, %[[FIRST]], 0] [1, 2, %[[SIZE]], 16]
  // CHECK: %[[ZEROS:.*]] = linalg.fill ins(%[[ZERO]] : f32) outs(%{{.*}} : tensor<2x3x16xf32>)
  // CHECK: %[[PADDED:.*]] = tensor.insert_slice %[[PART]] into %[[ZEROS]]
  // CHECK: %[[FLAT:.*]] = tensor.collapse_shape %[[PADDED]]
  // CHECK: %[[ROWS:.*]] = tensor.insert_slice %[[FLAT]] into %{{.*}}[0, 0] [6, 16] [1, 1] : tensor<6x16xf32> into tensor<8x16xf32>

  // In full blocks every row sees every key: neither positions nor a bound, nor a copy of keys.
  // CHECK: %[[FULL:.*]]:3 = scf.for %[[BLOCK:.*]] = %{{.*}} to %{{.*}} step
  // CHECK-NOT: tensor.insert_slice
  // CHECK: %[[KEYS:.*]] = tensor.extract_slice %[[K]][%[[H]], %{{.*}}, 0] [1, 8, 16]
  // CHECK: gqa.online_attention scale 2.500000e-01{{$}}
  // CHECK-NEXT: query(%[[ROWS]][m, dqk]
  // CHECK-NEXT: key(%[[KEYS]][n, dqk]
  // CHECK-NEXT: value(%{{.*}}[n, dv]
  // CHECK-NEXT: outs(
  // CHECK-NOT: key_start

  // Edge blocks carry on from there: keys and values are padded with zeros, rows know their positions, and kv_len is
  // where the block's keys end.
  // CHECK: scf.for {{.*}} iter_args(%[[ACC:.*]] = %[[FULL]]#0, %[[MAX:.*]] = %[[FULL]]#1, %[[SUM:.*]] = %[[FULL]]#2)
  // CHECK: %[[COUNT:.*]] = affine.max
  // CHECK: %[[SOME_KEYS:.*]] = tensor.extract_slice %[[K]][%[[H]], %[[START:.*]], 0] [1, %[[COUNT]], 16]
  // CHECK: %[[EDGE_KEYS:.*]] = tensor.insert_slice %[[SOME_KEYS]] into {{.*}} into tensor<8x16xf32>
  // CHECK: %[[SOME_VALUES:.*]] = tensor.extract_slice %[[V]][%[[H]], %[[START]], 0] [1, %[[COUNT]], 16]
  // CHECK: %[[EDGE_VALUES:.*]] = tensor.insert_slice %[[SOME_VALUES]] into {{.*}} into tensor<8x16xf32>
  // CHECK: %[[END:.*]] = tensor.from_elements %{{.*}} : tensor<i32>
  // CHECK: gqa.online_attention scale 2.500000e-01 causal
  // CHECK-NEXT: query(%[[ROWS]][m, dqk]
  // CHECK-NEXT: key(%[[EDGE_KEYS]][n, dqk]
  // CHECK-NEXT: value(%[[EDGE_VALUES]][n, dv]
  // CHECK-NEXT: kv_len(%[[END]][] : tensor<i32>)
  // CHECK-NEXT: positions(%[[POSITIONS]][m] : tensor<8xi32>)
  // CHECK-NEXT: outs(%[[ACC]][dv, m] {{.*}}, %[[MAX]][m] {{.*}}, %[[SUM]][m] {{.*}}) key_start(%[[START]])

  // The padding of the result is dropped, in the opposite order.
  // CHECK: %[[SIX:.*]] = tensor.extract_slice %{{.*}}[0, 0] [6, 16]
  // CHECK: %[[EXPANDED:.*]] = tensor.expand_shape %[[SIX]]
  // CHECK: %[[INSIDE:.*]] = tensor.extract_slice %[[EXPANDED]][0, 0, 0] [2, %[[SIZE]], 16]
  // CHECK: tensor.parallel_insert_slice %[[INSIDE]] into %{{.*}}[%[[H]], 0, %[[FIRST]], 0] [1, 2, %[[SIZE]], 16]
  %o = gqa.attention scale 0.25 causal align bottom_right schedule(#schedule)
    query(%q[hkv, g, m, dqk] : tensor<2x2x4x16xf32>) key(%k[hkv, n, dqk] : tensor<2x?x16xf32>)
    value(%v[hkv, n, dv] : tensor<2x?x16xf32>) outs(%init[hkv, g, m, dv] : tensor<2x2x4x16xf32>)
  return %o : tensor<2x2x4x16xf32>
}

// -----

// Split keys: a task takes one range of 16 keys and leaves its running state in one slice of the partial results; a
// second set of tasks merges the ranges. The number of ranges depends on the keys alone.
#schedule = #gqa.schedule<lanes = head_dim, g = 2, m = 1, rows = 2, n = 8, split = 16, dot = false>
// CHECK-DAG: #[[RANGES:.*]] = affine_map<()[s0] -> (s0 ceildiv 16)>
// CHECK-LABEL: func @split
// CHECK-SAME: %{{.*}}: tensor<2x2x16xf32>, %[[K:[a-z0-9]*]]: tensor<2x?x16xf32>
func.func @split(%q: tensor<2x2x16xf32>, %k: tensor<2x?x16xf32>, %v: tensor<2x?x16xf32>, %init: tensor<2x2x16xf32>,
                 %lse: tensor<2x2xf32>) -> (tensor<2x2x16xf32>, tensor<2x2xf32>) {
  // CHECK: %[[LENGTH:.*]] = tensor.dim %[[K]]
  // CHECK: %[[COUNT:.*]] = affine.apply #[[RANGES]]()[%[[LENGTH]]]
  // CHECK-DAG: %[[ACCS:.*]] = tensor.empty(%[[COUNT]]) : tensor<1x2x1x1x?x2x16xf32>
  // CHECK-DAG: %[[ROWS:.*]] = tensor.empty(%[[COUNT]]) : tensor<1x2x1x1x?x2xf32>
  // CHECK: %[[PARTIAL:.*]]:3 = scf.forall (%[[H:.*]], %[[R:.*]]) in (2, %[[COUNT]])
  // CHECK-SAME: shared_outs(%[[A:.*]] = %[[ACCS]], %{{.*}} = %[[ROWS]], %{{.*}} = %[[ROWS]])
  // CHECK-COUNT-2: gqa.online_attention
  // CHECK: tensor.parallel_insert_slice %{{.*}} into %[[A]][0, %[[H]], 0, 0, %[[R]], 0, 0] [1, 1, 1, 1, 1, 2, 16]
  // CHECK: scf.forall (%[[I:.*]]) in (2)
  // CHECK: %[[MINE:.*]] = tensor.extract_slice %[[PARTIAL]]#0[0, %[[I]], 0, 0, 0, 0, 0] [1, 1, 1, 1, %[[COUNT]], 2, 16]
  // CHECK: scf.for
  // CHECK: tensor.extract_slice %[[MINE]]
  // CHECK: math.exp2
  // CHECK: tensor.parallel_insert_slice {{.*}} into tensor<2x2x16xf32>
  // CHECK: tensor.parallel_insert_slice {{.*}} into tensor<2x2xf32>
  %o, %l = gqa.attention scale 0.25 schedule(#schedule)
    query(%q[hkv, g, dqk] : tensor<2x2x16xf32>) key(%k[hkv, n, dqk] : tensor<2x?x16xf32>)
    value(%v[hkv, n, dv] : tensor<2x?x16xf32>)
    outs(%init[hkv, g, dv] : tensor<2x2x16xf32>, %lse[hkv, g] : tensor<2x2xf32>)
  return %o, %l : tensor<2x2x16xf32>, tensor<2x2xf32>
}

// -----

// A window has edges on both sides, which share one loop. Its right side, and softcap, go to the blocks; what masks by
// position goes to the edge blocks alone. Each batch entry has its own number of keys, held to what the tensor has.
#schedule = #gqa.schedule<lanes = row, g = 1, m = 8, rows = 8, n = 8, split = 0, dot = false>
// CHECK-LABEL: func @window
// CHECK-SAME: %[[LENGTHS:[a-z0-9]*]]: tensor<3xi64>
func.func @window(%q: tensor<3x?x16xf32>, %k: tensor<3x?x16xf32>, %lengths: tensor<3xi64>, %init: tensor<3x?x16xf32>)
    -> tensor<3x?x16xf32> {
  // CHECK: scf.forall (%[[B:.*]], %{{.*}}) in (3, %{{.*}})
  // CHECK: tensor.extract %[[LENGTHS]][%[[B]]]
  // CHECK: scf.for
  // CHECK: gqa.online_attention scale 2.500000e-01 softcap 5.000000e+00{{$}}
  // CHECK: scf.for
  // CHECK: gqa.online_attention scale 2.500000e-01 softcap 5.000000e+00 window(left 20 right 2)
  // CHECK: kv_len(
  // CHECK: positions(
  // CHECK-NOT: scf.for{{ }}
  %o = gqa.attention scale 0.25 softcap 5.0 window(left 20 right 2) align top_left schedule(#schedule)
    query(%q[b, m, dqk] : tensor<3x?x16xf32>) key(%k[b, n, dqk] : tensor<3x?x16xf32>)
    value(%k[b, n, dv] : tensor<3x?x16xf32>) kv_len(%lengths[b] : tensor<3xi64>)
    outs(%init[b, m, dv] : tensor<3x?x16xf32>)
  return %o : tensor<3x?x16xf32>
}

// -----

// Keys that do not divide the block need an edge block, but no positions.
#schedule = #gqa.schedule<lanes = row, g = 1, m = 8, rows = 8, n = 8, split = 0, dot = false>
// CHECK-LABEL: func @padded
// CHECK-NOT: positions(
// CHECK: kv_len(
// CHECK-NOT: positions(
// CHECK: return
func.func @padded(%q: tensor<8x16xf32>, %k: tensor<13x16xf32>) -> tensor<8x16xf32> {
  %o = gqa.attention scale 0.25 schedule(#schedule)
    query(%q[m, dqk] : tensor<8x16xf32>) key(%k[n, dqk] : tensor<13x16xf32>) value(%k[n, dv] : tensor<13x16xf32>)
    outs(%q[m, dv] : tensor<8x16xf32>)
  return %o : tensor<8x16xf32>
}

// -----

// Pages of 16 tokens, blocks of 64 keys: a full block is gathered, an edge block copied page by page and padded. Ranges of
// keys are tasks, as many as each sequence has by its length; a list of them has all sequences of a range in a row. The
// second set of tasks merges what the first has written.
#schedule = #gqa.schedule<lanes = head_dim, g = 2, m = 1, rows = 2, n = 64, split = 64, dot = false>
// CHECK-DAG: #[[CLAMP:.*]] = affine_map<(d0)[s0] -> (s0, d0)>
// CHECK-DAG: #[[SIGN:.*]] = affine_map<(d0) -> (0, d0)>
// CHECK-DAG: #[[RANGES:.*]] = affine_map<(d0) -> (d0 ceildiv 64)>
// CHECK-LABEL: func @pages
// CHECK-SAME: %[[Q:[a-z0-9]*]]: tensor<?x2x16xf32>, %[[K:[a-z0-9]*]]: tensor<?x16x16xf32>
// CHECK-SAME: %[[LENGTHS:[a-z0-9]*]]: tensor<?xi32>, %{{[a-z0-9]*}}: tensor<?x2x16xf32>)
// CHECK: %[[ROOM:.*]] = arith.select
func.func @pages(%q: tensor<?x2x16xf32>, %k: tensor<?x16x16xf32>, %v: tensor<?x16x16xf32>, %t: tensor<?x?xi32>,
                 %len: tensor<?xi32>, %init: tensor<?x2x16xf32>) -> tensor<?x2x16xf32> {
  // CHECK: %[[COUNTS:.*]]:2 = scf.for %[[I:.*]] = %c0 to %{{.*}} step %c1 iter_args(%[[SUM:.*]] = %c0, %[[MOST:.*]] = %c0)
  // CHECK: %[[LENGTH:.*]] = tensor.extract %[[LENGTHS]][%[[I]]]
  // CHECK: %[[KEYS:.*]] = arith.index_cast %[[LENGTH]]
  // CHECK: %[[HELD:.*]] = affine.min #[[CLAMP]](%[[KEYS]])[%[[ROOM]]]
  // CHECK: %[[STORED:.*]] = affine.max #[[SIGN]](%[[HELD]])
  // CHECK: %[[COUNT:.*]] = affine.apply #[[RANGES]](%[[STORED]])
  // CHECK: arith.addi %[[SUM]], %[[COUNT]]
  // CHECK: arith.maxsi %[[MOST]], %[[COUNT]]
  // CHECK: %[[LIST:.*]]:3 = scf.for %[[R:.*]] = %c0 to %[[COUNTS]]#1
  // CHECK: scf.for %[[J:.*]] = %c0 to
  // CHECK: %[[HAS:.*]] = arith.cmpi slt, %[[R]], %{{.*}}
  // CHECK: scf.if %[[HAS]]
  // CHECK: tensor.insert %[[R]]
  // CHECK: tensor.insert %[[J]]
  // CHECK: tensor.empty(%{{.*}}, %[[COUNTS]]#1) : tensor<?x1x1x1x?x2x16xf32>
  // CHECK: %[[PARTIAL:.*]]:3 = scf.forall (%[[TASK:.*]]) in (%[[COUNTS]]#0)
  // CHECK: %[[RANGE:.*]] = tensor.extract %[[LIST]]#0[%[[TASK]]]
  // CHECK: %[[B:.*]] = tensor.extract %[[LIST]]#1[%[[TASK]]]
  // CHECK: %[[TABLE:.*]] = tensor.extract_slice %{{.*}}[%[[B]], 0] [1, %{{.*}}] [1, 1] : tensor<?x?xi32> to tensor<?xi32>
  // CHECK: scf.for
  // CHECK: %[[PAGES:.*]] = tensor.extract_slice %[[K]][0, 0, 0]
  // CHECK: %[[KEYS:.*]] = gqa.gather_pages %[[PAGES]][%[[TABLE]]] from %{{.*}} -> tensor<64x16xf32>
  // CHECK: gqa.online_attention
  // CHECK: key(%[[KEYS]][n, dqk]
  // CHECK: scf.for
  // CHECK: scf.for %[[ROW:.*]] = %{{.*}} to %{{.*}} step %c16
  // CHECK: arith.minui
  // CHECK: tensor.extract %[[TABLE]]
  // CHECK: arith.maxsi
  // CHECK: tensor.extract_slice %[[K]][%{{.*}}, %{{.*}}, 0] [1, %{{.*}}, 16]
  // CHECK: tensor.insert_slice {{.*}}[%[[ROW]], 0] [16, 16]
  // CHECK: tensor.parallel_insert_slice %{{.*}} into %{{.*}}[%[[B]], 0, 0, 0, %[[RANGE]], 0, 0]
  // CHECK: scf.forall (%[[M:.*]]) in
  // CHECK: tensor.extract %[[LENGTHS]][%[[M]]]
  // CHECK: %[[MINE:.*]] = affine.apply #[[RANGES]]
  // CHECK: tensor.extract_slice %[[PARTIAL]]#0[%[[M]], 0, 0, 0, 0, 0, 0] [1, 1, 1, 1, %[[MINE]], 2, 16]
  %o = gqa.attention scale 0.25 schedule(#schedule)
    query(%q[b, g, dqk] : tensor<?x2x16xf32>) key(%k[page, slot, dqk] : tensor<?x16x16xf32>)
    value(%v[page, slot, dv] : tensor<?x16x16xf32>) kv_len(%len[b] : tensor<?xi32>)
    block_table(%t[b, block] : tensor<?x?xi32>) outs(%init[b, g, dv] : tensor<?x2x16xf32>)
  return %o : tensor<?x2x16xf32>
}

// -----

// A bias that varies over rows and keys gets the layout of the scores, keys before rows. It is turned first, while only
// its 16 positions have to be, and then repeated for the four heads that share it.
// CHECK-LABEL: func @shared_bias
// CHECK-SAME: %[[BIAS:[a-z0-9]*]]: tensor<64x64xf32>) ->
// CHECK: %[[PART:.*]] = tensor.extract_slice %[[BIAS]][{{.*}}] [16, 64] [1, 1]
// CHECK: %[[TURNED:.*]] = linalg.generic {{.*}} ins(%[[PART]] : tensor<16x64xf32>) outs(%{{.*}} : tensor<64x16xf32>)
// CHECK: %[[REPEATED:.*]] = linalg.generic {{.*}} ins(%[[TURNED]] : tensor<64x16xf32>) outs(%{{.*}} : tensor<64x4x16xf32>)
// CHECK: %[[ROWS:.*]] = tensor.collapse_shape %[[REPEATED]] {{\[\[}}0], [1, 2]] : tensor<64x4x16xf32> into tensor<64x64xf32>
// CHECK: gqa.online_attention
// CHECK: bias(%[[ROWS]][n, m] : tensor<64x64xf32>)
func.func @shared_bias(%q: tensor<4x64x16xf32>, %k: tensor<64x16xf32>, %bias: tensor<64x64xf32>) -> tensor<4x64x16xf32> {
  %o = gqa.attention scale 1.0 schedule(#gqa.schedule<lanes = row, g = 4, m = 16, rows = 64, n = 64, split = 0, dot = false>)
    query(%q[g, m, dqk] : tensor<4x64x16xf32>) key(%k[n, dqk] : tensor<64x16xf32>)
    value(%k[n, dv] : tensor<64x16xf32>) bias(%bias[m, n] : tensor<64x64xf32>) outs(%q[g, m, dv] : tensor<4x64x16xf32>)
  return %o : tensor<4x64x16xf32>
}

// -----

// A mask is turned as words: there are instructions for that, not for bytes.
// CHECK-LABEL: func @mask
// CHECK: arith.extui %{{.*}} : i8 to i32
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<16x64xi32>) outs(%{{.*}} : tensor<64x16xi32>)
// CHECK: arith.trunci %{{.*}} : i32 to i8
// CHECK: mask(%{{.*}}[n, m] : tensor<64x64xi8>)
func.func @mask(%q: tensor<4x64x16xf32>, %k: tensor<64x16xf32>, %mask: tensor<64x64xi8>) -> tensor<4x64x16xf32> {
  %o = gqa.attention scale 1.0 schedule(#gqa.schedule<lanes = row, g = 4, m = 16, rows = 64, n = 64, split = 0, dot = false>)
    query(%q[g, m, dqk] : tensor<4x64x16xf32>) key(%k[n, dqk] : tensor<64x16xf32>)
    value(%k[n, dv] : tensor<64x16xf32>) mask(%mask[m, n] : tensor<64x64xi8>) outs(%q[g, m, dv] : tensor<4x64x16xf32>)
  return %o : tensor<4x64x16xf32>
}
