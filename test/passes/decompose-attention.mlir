// RUN: gqa-opt %s --split-input-file --gqa-decompose-attention --canonicalize --cse | FileCheck %s

// Rows in the lanes, half types, any number of key blocks. What becomes of the query does not depend on the block, so
// it happens once, before the loop: f16 to f32, times scale * log2(e), transposed. Keys and values are converted per
// block (here they are the same); the initial values of a block's scores and maxima stay inside.
// CHECK-DAG: #[[SWAP:.*]] = affine_map<(d0, d1) -> (d1, d0)>
// CHECK-DAG: #[[SAME:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[KEY:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-DAG: #[[QUERY:.*]] = affine_map<(d0, d1, d2) -> (d2, d1)>
// CHECK-DAG: #[[SCORE:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-DAG: #[[VALUE:.*]] = affine_map<(d0, d1, d2) -> (d2, d0)>
// CHECK-LABEL: func @rows_in_lanes
// CHECK-SAME: %[[Q:[a-z0-9]*]]: tensor<8x16xf16>, %{{.*}}: tensor<?x8x16xf16>
// CHECK-SAME: %[[ACC0:[a-z0-9]*]]: tensor<16x8xf32>, %[[MAX0:[a-z0-9]*]]: tensor<8xf32>, %[[SUM0:[a-z0-9]*]]: tensor<8xf32>
func.func @rows_in_lanes(%q: tensor<8x16xf16>, %k: tensor<?x8x16xf16>, %acc0: tensor<16x8xf32>, %max0: tensor<8xf32>,
                         %sum0: tensor<8xf32>, %blocks: index) -> (tensor<16x8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // CHECK-NOT: gqa.online_attention
  // CHECK-DAG: %[[NONE:.*]] = arith.constant 0xFF800000 : f32
  // CHECK-DAG: %[[FACTOR:.*]] = arith.constant 0.36067{{.*}} : f32
  // CHECK: %[[QT:.*]] = linalg.generic {indexing_maps = [#[[SWAP]], #[[SAME]]]
  // CHECK-SAME: ins(%[[Q]] : tensor<8x16xf16>) outs(%{{.*}} : tensor<16x8xf32>)
  // CHECK: %[[WIDE:.*]] = arith.extf
  // CHECK-NEXT: arith.mulf %[[WIDE]], %[[FACTOR]]
  // CHECK: scf.for {{.*}} iter_args(%[[ACC:.*]] = %[[ACC0]], %[[MAX:.*]] = %[[MAX0]], %[[SUM:.*]] = %[[SUM0]])
  %r:3 = scf.for %i = %c0 to %blocks step %c1 iter_args(%acc = %acc0, %max = %max0, %sum = %sum0)
      -> (tensor<16x8xf32>, tensor<8xf32>, tensor<8xf32>) {
    // Scores [n, m].
    // CHECK: %[[KEYS:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<8x16xf16>) outs(%{{.*}} : tensor<8x16xf32>)
    // CHECK: %[[ZEROS:.*]] = linalg.fill {{.*}} outs(%{{.*}} : tensor<8x8xf32>)
    // CHECK: %[[S:.*]] = linalg.generic {indexing_maps = [#[[KEY]], #[[QUERY]], #[[SCORE]]]
    // CHECK-SAME: ins(%[[KEYS]], %[[QT]] : {{.*}}) outs(%[[ZEROS]] :

    // The new maximum: first of the block, then of the block and what was before. Rows that have met no key subtract 0.
    // CHECK: linalg.fill ins(%[[NONE]] : f32)
    // CHECK: %[[BLOCK_MAX:.*]] = linalg.generic {{.*}} ["parallel", "reduction"]} ins(%[[S]] :
    // CHECK: arith.maxnumf
    // CHECK: %[[NEW_MAX:.*]] = linalg.generic {{.*}} ins(%[[MAX]] : tensor<8xf32>) outs(%[[BLOCK_MAX]] : tensor<8xf32>)
    // CHECK: %[[FINITE:.*]] = linalg.generic {{.*}} ins(%[[NEW_MAX]] : tensor<8xf32>)
    // CHECK: arith.cmpf oeq, %{{.*}}, %[[NONE]]

    // Weights and the factor of the old state, in base 2.
    // CHECK: %[[P:.*]] = linalg.generic {{.*}} ins(%[[FINITE]] : tensor<8xf32>) outs(%[[S]] : tensor<8x8xf32>)
    // CHECK: math.exp2
    // CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%[[FINITE]] : tensor<8xf32>) outs(%[[MAX]] : tensor<8xf32>)
    // CHECK: math.exp2

    // sum' = r * sum + sum_n p; acc' = r * acc + sum_n p * value.
    // CHECK: %[[BLOCK_SUM:.*]] = linalg.generic {{.*}} ins(%[[P]] : tensor<8x8xf32>)
    // CHECK: %[[NEW_SUM:.*]] = linalg.generic {{.*}} ins(%[[R]], %[[BLOCK_SUM]] : tensor<8xf32>, tensor<8xf32>) outs(%[[SUM]] : tensor<8xf32>)
    // CHECK: math.fma
    // CHECK: %[[OLD_ACC:.*]] = linalg.generic {{.*}} ins(%[[R]] : tensor<8xf32>) outs(%[[ACC]] : tensor<16x8xf32>)
    // CHECK: %[[NEW_ACC:.*]] = linalg.generic {indexing_maps = [#[[VALUE]], #[[QUERY]], #[[SCORE]]]
    // CHECK-SAME: ins(%[[KEYS]], %[[P]] : {{.*}}) outs(%[[OLD_ACC]] : tensor<16x8xf32>)
    // CHECK: %[[KEPT_MAX:.*]] = bufferization.materialize_in_destination %[[NEW_MAX]]
    // CHECK: scf.yield %[[NEW_ACC]], %[[KEPT_MAX]], %[[NEW_SUM]]
    %block = tensor.extract_slice %k[%i, 0, 0] [1, 8, 16] [1, 1, 1] : tensor<?x8x16xf16> to tensor<8x16xf16>
    %x, %y, %z = gqa.online_attention scale 0.25
      query(%q[m, dqk] : tensor<8x16xf16>) key(%block[n, dqk] : tensor<8x16xf16>) value(%block[n, dv] : tensor<8x16xf16>)
      outs(%acc[dv, m] : tensor<16x8xf32>, %max[m] : tensor<8xf32>, %sum[m] : tensor<8xf32>)
    scf.yield %x, %y, %z : tensor<16x8xf32>, tensor<8xf32>, tensor<8xf32>
  }
  return %r#0, %r#1, %r#2 : tensor<16x8xf32>, tensor<8xf32>, tensor<8xf32>
}

// -----

// The head dimension in the lanes: scores [m, n] are dot products along 16 lanes, summed up afterwards. An edge block
// masks keys n + key_start that are not below kv_len, or are above the row's position, with -inf.
// CHECK-LABEL: func @edge_block
// CHECK-SAME: %[[POSITIONS:[a-z0-9]*]]: tensor<8xi32>, %[[LENGTH:[a-z0-9]*]]: tensor<i32>, %[[START:[a-z0-9]*]]: index
func.func @edge_block(%q: tensor<8x16xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %acc: tensor<8x16xf32>,
                      %max: tensor<8xf32>, %sum: tensor<8xf32>, %positions: tensor<8xi32>, %length: tensor<i32>,
                      %start: index) -> (tensor<8x16xf32>, tensor<8xf32>, tensor<8xf32>) {
  // CHECK-DAG: %[[NONE:.*]] = arith.constant 0xFF800000 : f32
  // CHECK: %[[PARTIAL:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<8x8x16xf32>)
  // CHECK: %[[S:.*]] = linalg.generic {{.*}} ins(%[[PARTIAL]] : tensor<8x8x16xf32>) outs(%{{.*}} : tensor<8x8xf32>)
  // CHECK: linalg.generic {{.*}} ins(%[[LENGTH]], %[[POSITIONS]] : tensor<i32>, tensor<8xi32>) outs(%[[S]] : tensor<8x8xf32>)
  // CHECK-NEXT: ^bb0(%[[END:.*]]: i32, %[[POSITION:.*]]: i32, %[[SCORE:.*]]: f32):
  // CHECK: %[[N:.*]] = linalg.index 1
  // CHECK: arith.addi %[[N]], %[[START]]
  // CHECK: %[[KEY:.*]] = arith.index_cast
  // CHECK: %[[EXISTS:.*]] = arith.cmpi slt, %[[KEY]], %[[END]]
  // CHECK: %[[IS_PAST:.*]] = arith.cmpi sle, %[[KEY]], %[[POSITION]]
  // CHECK: %[[IS_SEEN:.*]] = arith.andi %[[EXISTS]], %[[IS_PAST]]
  // CHECK: arith.select %[[IS_SEEN]], %[[SCORE]], %[[NONE]]
  %x, %y, %z = gqa.online_attention scale 0.25 causal
    query(%q[m, dqk] : tensor<8x16xf32>) key(%k[n, dqk] : tensor<8x16xf32>) value(%v[n, dv] : tensor<8x16xf32>)
    kv_len(%length[] : tensor<i32>) positions(%positions[m] : tensor<8xi32>)
    outs(%acc[m, dv] : tensor<8x16xf32>, %max[m] : tensor<8xf32>, %sum[m] : tensor<8xf32>) key_start(%start)
  return %x, %y, %z : tensor<8x16xf32>, tensor<8xf32>, tensor<8xf32>
}

// -----

// Near miss: attention that is not tiled is not decomposed.
// CHECK-LABEL: func @not_tiled
// CHECK: gqa.attention
// CHECK-NOT: linalg.generic
func.func @not_tiled(%q: tensor<8x16xf32>, %k: tensor<?x16xf32>) -> tensor<8x16xf32> {
  %o = gqa.attention scale 0.25
    query(%q[m, dqk] : tensor<8x16xf32>) key(%k[n, dqk] : tensor<?x16xf32>) value(%k[n, dv] : tensor<?x16xf32>)
    outs(%q[m, dv] : tensor<8x16xf32>)
  return %o : tensor<8x16xf32>
}

// -----

// Products of pairs of bf16: the halves of a pair come to stand side by side, in the query and the weights behind the
// lanes. Nothing is widened beforehand, so the scores are scaled afterwards, in f32.
// CHECK-LABEL: func @pairs
// CHECK-SAME: %[[Q:[a-z0-9]*]]: tensor<16x16xbf16>, %[[K:[a-z0-9]*]]: tensor<8x16xbf16>
func.func @pairs(%q: tensor<16x16xbf16>, %k: tensor<8x16xbf16>, %v: tensor<8x16xbf16>, %acc: tensor<16x16xf32>,
                 %max: tensor<16xf32>, %sum: tensor<16xf32>) -> (tensor<16x16xf32>, tensor<16xf32>, tensor<16xf32>) {
  // CHECK-DAG: %[[FACTOR:.*]] = arith.constant 0.36067{{.*}} : f32
  // CHECK: %[[HALVES:.*]] = tensor.expand_shape %[[Q]] {{\[}}[0], [1, 2]] output_shape [16, 8, 2]
  // CHECK: %[[QP:.*]] = linalg.generic {{.*}} ins(%[[HALVES]] : {{.*}}) outs(%{{.*}} : tensor<8x16x2xbf16>)
  // CHECK: %[[KP:.*]] = tensor.expand_shape %[[K]] {{\[}}[0], [1, 2]] output_shape [8, 8, 2]
  // CHECK: %[[S:.*]] = linalg.generic {{.*}} ["parallel", "parallel", "reduction", "reduction"]}
  // CHECK-SAME: ins(%[[KP]], %[[QP]] : tensor<8x8x2xbf16>, tensor<8x16x2xbf16>) outs(%{{.*}} : tensor<8x16xf32>)
  // CHECK: linalg.generic {{.*}} outs(%[[S]] : tensor<8x16xf32>)
  // CHECK: arith.mulf %{{.*}}, %[[FACTOR]]
  // CHECK: %[[P:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<4x2x16xf32>) outs(%{{.*}} : tensor<4x16x2xbf16>)
  // CHECK: arith.truncf
  // CHECK: linalg.generic {{.*}} ["parallel", "parallel", "reduction", "reduction"]}
  // CHECK-SAME: ins(%{{.*}}, %[[P]] : tensor<4x16x2xbf16>, tensor<4x16x2xbf16>) outs(%{{.*}} : tensor<16x16xf32>)
  %x, %y, %z = gqa.online_attention scale 0.25 dot
    query(%q[m, dqk] : tensor<16x16xbf16>) key(%k[n, dqk] : tensor<8x16xbf16>) value(%v[n, dv] : tensor<8x16xbf16>)
    outs(%acc[dv, m] : tensor<16x16xf32>, %max[m] : tensor<16xf32>, %sum[m] : tensor<16xf32>)
  return %x, %y, %z : tensor<16x16xf32>, tensor<16xf32>, tensor<16xf32>
}

// Keys in pages of 16 are read in place, a page at a time: the scores of all 64 come before the softmax, the values of
// each page after it.
// CHECK-LABEL: func @pages
// CHECK-SAME: %[[K:[a-z0-9]*]]: tensor<?x16x32xf16>, %[[T:[a-z0-9]*]]: tensor<?xi32>
// CHECK: scf.for %[[AT:.*]] = %c0{{.*}} to %c64{{.*}} step %c16
// CHECK: tensor.extract %[[T]]
// CHECK: %[[PAGE:.*]] = tensor.extract_slice %[[K]][%{{.*}}, %{{.*}}, 0] [1, 16, 32]
// CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[0, %[[AT]]] [4, 16]
// CHECK: math.exp2
// CHECK: scf.for %[[AT2:.*]] = %c0{{.*}} to %c64{{.*}} step %c16
// CHECK: tensor.extract_slice %{{.*}}[0, %[[AT2]]] [4, 16]
// CHECK-NOT: gqa.gather_pages
func.func @pages(%q: tensor<4x32xf16>, %k: tensor<?x16x32xf16>, %t: tensor<?xi32>, %start: index,
                 %acc: tensor<4x32xf32>, %max: tensor<4xf32>, %sum: tensor<4xf32>) -> tensor<4x32xf32> {
  %keys = gqa.gather_pages %k[%t] from %start : tensor<?x16x32xf16>, tensor<?xi32> -> tensor<64x32xf16>
  %r:3 = gqa.online_attention scale 1.0
    query(%q[m, dqk] : tensor<4x32xf16>) key(%keys[n, dqk] : tensor<64x32xf16>) value(%keys[n, dv] : tensor<64x32xf16>)
    outs(%acc[m, dv] : tensor<4x32xf32>, %max[m] : tensor<4xf32>, %sum[m] : tensor<4xf32>)
  return %r#0 : tensor<4x32xf32>
}

// Keys and values of bytes. The query becomes three bytes for each of its numbers before the loop, rows of digits up to a
// multiple of 16, and words of four; in the loop, so do the weights. Products are of words, into i32, and the digits'
// sums become scores and weighted values. A value that packs two elements to a byte is unpacked to bytes first.
// CHECK-LABEL: func @bytes
// CHECK-SAME: %[[Q:[a-z0-9]*]]: tensor<4x64xf32>, %[[K:[a-z0-9]*]]: tensor<?x64xi8>
// CHECK: math.absf
// CHECK: arith.maximumf
// CHECK: math.roundeven
// CHECK: arith.fptosi
// CHECK: arith.trunci %{{.*}} : i32 to i8
// CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[0, 0] [4, 64] [1, 1] : tensor<4x64xi8> into tensor<16x64xi8>
// CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[4, 0] [4, 64] [1, 1]
// CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[8, 0] [4, 64] [1, 1]
// CHECK: %[[WORDS:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<16x16x4xi8>) outs(%{{.*}} : tensor<16x16x4xi8>)
// CHECK: scf.for
// CHECK: %[[KEYS:.*]] = tensor.expand_shape %{{.*}} output_shape [8, 16, 4] : tensor<8x64xi8> into tensor<8x16x4xi8>
// CHECK: linalg.generic {{.*}} ins(%[[KEYS]], %[[WORDS]] : tensor<8x16x4xi8>, tensor<16x16x4xi8>) outs(%{{.*}} : tensor<8x16xi32>)
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<8x16xi32>) outs(%{{.*}} : tensor<16x8xi32>)
// CHECK: arith.sitofp
// CHECK: math.exp2
// CHECK: arith.trunci %{{.*}} : i32 to i8
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<8x8xi8>) outs(%{{.*}} : tensor<8x8x2xi8>)
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<2x4x16xi8>) outs(%[[EMPTY:.*]] : tensor<2x16x4xi8>)
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<16x2x4xi8>, tensor<2x16x4xi8>) outs(%{{.*}} : tensor<16x16xi32>)
// CHECK: scf.yield
func.func @bytes(%q: tensor<4x64xf32>, %k: tensor<?x64xi8>, %v: tensor<?x8xi8>, %blocks: index, %acc: tensor<4x16xf32>,
                 %max: tensor<4xf32>, %sum: tensor<4xf32>) -> tensor<4x16xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %r:3 = scf.for %i = %c0 to %blocks step %c1 iter_args(%a = %acc, %m = %max, %s = %sum)
      -> (tensor<4x16xf32>, tensor<4xf32>, tensor<4xf32>) {
    %n = arith.muli %i, %c8 : index
    %kt = tensor.extract_slice %k[%n, 0] [8, 64] [1, 1] : tensor<?x64xi8> to tensor<8x64xi8>
    %vt = tensor.extract_slice %v[%n, 0] [8, 8] [1, 1] : tensor<?x8xi8> to tensor<8x8xi8>
    %x, %y, %z = gqa.online_attention scale 1.0 dot
      query(%q[m, dqk] : tensor<4x64xf32>) key(%kt[n, dqk] : tensor<8x64xi8>) value(%vt[n, dv2] : tensor<8x8xi8>)
      outs(%a[m, dv] : tensor<4x16xf32>, %m[m] : tensor<4xf32>, %s[m] : tensor<4xf32>)
    scf.yield %x, %y, %z : tensor<4x16xf32>, tensor<4xf32>, tensor<4xf32>
  }
  return %r#0 : tensor<4x16xf32>
}

// -----

// With `shorts`, query and weights are integers of 16 bits: dot products of pairs along the head dimension, and values
// of pairs of keys. A query with an outlier is multiplied as f32, into the same scores.
// CHECK-LABEL: func @shorts
// CHECK-SAME: %[[Q:[a-z0-9]*]]: tensor<4x64xf16>, %[[K:[a-z0-9]*]]: tensor<8x64xi8>
// CHECK: %[[NUMBERS:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<4x64xi16>)
// CHECK: arith.trunci %{{.*}} : i32 to i16
// CHECK-COUNT-4: arith.cmpf ogt
// CHECK: %[[SCORES:.*]] = tensor.empty() : tensor<4x8xf32>
// CHECK: scf.if
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<4x8x16xf32>)
// CHECK: bufferization.materialize_in_destination %{{.*}} in %[[SCORES]]
// CHECK: } else {
// CHECK: %[[ROWS:.*]] = tensor.expand_shape %[[NUMBERS]] {{.*}} : tensor<4x64xi16> into tensor<4x2x16x2xi16>
// CHECK: %[[KEYS:.*]] = tensor.expand_shape %[[K]] {{.*}} : tensor<8x64xi8> into tensor<8x2x16x2xi8>
// CHECK: linalg.generic {{.*}} ins(%[[ROWS]], %[[KEYS]] : {{.*}}) outs(%{{.*}} : tensor<4x8x16xi32>)
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<4x8x16xi32>) outs(%{{.*}} : tensor<4x8xi32>)
// CHECK: linalg.generic {{.*}} outs(%[[SCORES]] : tensor<4x8xf32>)
// CHECK: arith.sitofp
// CHECK: math.exp2
// CHECK: arith.trunci %{{.*}} : i32 to i16
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<4x4x2xi16>, tensor<4x2x16xi8>) outs(%{{.*}} : tensor<4x16xi32>)
// CHECK: arith.sitofp
// CHECK: math.fma
func.func @shorts(%q: tensor<4x64xf16>, %k: tensor<8x64xi8>, %v: tensor<8x16xi8>, %acc: tensor<4x16xf32>,
                  %max: tensor<4xf32>, %sum: tensor<4xf32>) -> tensor<4x16xf32> {
  %x, %y, %z = gqa.online_attention scale 1.0 dot shorts
    query(%q[m, dqk] : tensor<4x64xf16>) key(%k[n, dqk] : tensor<8x64xi8>) value(%v[n, dv] : tensor<8x16xi8>)
    outs(%acc[m, dv] : tensor<4x16xf32>, %max[m] : tensor<4xf32>, %sum[m] : tensor<4xf32>)
  return %x : tensor<4x16xf32>
}
