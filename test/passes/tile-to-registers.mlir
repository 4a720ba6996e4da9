// RUN: gqa-opt %s --split-input-file --gqa-tile-to-registers --canonicalize --cse | FileCheck %s
// RUN: gqa-opt %s --split-input-file --gqa-tile-to-registers="vector-bits=256 registers=16" --canonicalize --cse \
// RUN:   | FileCheck %s --check-prefix=NARROW

// Scores [n, m] = sum over d of key [n, d] * query [d, m]. A block has all 64 lanes, which are four of the 32 registers,
// times 4 of 8 rows, since 24 registers may hold accumulators and 6 does not divide 8; one step of the reduction. The
// start of the sums is made per block. 16 registers of half the width have room for 32 lanes of 2 rows.
#key = affine_map<(n, m, dqk) -> (n, dqk)>
#query = affine_map<(n, m, dqk) -> (dqk, m)>
#score = affine_map<(n, m, dqk) -> (n, m)>
// CHECK-LABEL: func @scores
// CHECK-SAME: %[[K:[a-z0-9]*]]: tensor<8x16xf32>, %[[Q:[a-z0-9]*]]: tensor<16x64xf32>
// NARROW-LABEL: func @scores
func.func @scores(%k: tensor<8x16xf32>, %q: tensor<16x64xf32>) -> tensor<8x64xf32> {
  // CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : index
  // CHECK-DAG: %[[FOUR:.*]] = arith.constant 4 : index
  // CHECK-DAG: %[[EIGHT:.*]] = arith.constant 8 : index
  // CHECK-DAG: %[[SIXTEEN:.*]] = arith.constant 16 : index
  // CHECK-NOT: linalg.fill
  // CHECK: scf.for %[[N:.*]] = %{{.*}} to %[[EIGHT]] step %[[FOUR]] iter_args(%[[ALL:.*]] = %{{.*}})
  // CHECK: %[[PART:.*]] = tensor.extract_slice %[[ALL]][%[[N]], 0] [4, 64]
  // CHECK: %[[ZEROS:.*]] = linalg.fill {{.*}} outs(%[[PART]] : tensor<4x64xf32>)
  // CHECK: scf.for %[[D:.*]] = %{{.*}} to %[[SIXTEEN]] step %[[ONE]] iter_args(%[[SUMS:.*]] = %[[ZEROS]])
  // CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<4x1xf32>, tensor<1x64xf32>) outs(%[[SUMS]] : tensor<4x64xf32>)

  // NARROW-DAG: %[[TWO:.*]] = arith.constant 2 : index
  // NARROW-DAG: %[[LANES:.*]] = arith.constant 32 : index
  // NARROW: scf.for {{.*}} step %[[TWO]]
  // NARROW: scf.for {{.*}} step %[[LANES]]
  // NARROW: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<2x1xf32>, tensor<1x32xf32>) outs(%{{.*}} : tensor<2x32xf32>)
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<8x64xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<8x64xf32>) -> tensor<8x64xf32>
  %s = linalg.generic {indexing_maps = [#key, #query, #score], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%k, %q : tensor<8x16xf32>, tensor<16x64xf32>) outs(%init : tensor<8x64xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %product = arith.mulf %a, %b : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<8x64xf32>
  return %s : tensor<8x64xf32>
}

// -----

// Many rows, whose number 6 does not divide: blocks of 6, and a last one of 2 with code of its own.
#key = affine_map<(n, m, dqk) -> (n, dqk)>
#query = affine_map<(n, m, dqk) -> (dqk, m)>
#score = affine_map<(n, m, dqk) -> (n, m)>
// CHECK-LABEL: func @many_rows
// CHECK-DAG: %[[SIX:.*]] = arith.constant 6 : index
// CHECK-DAG: %[[END:.*]] = arith.constant 18 : index
// CHECK: %[[MOST:.*]] = scf.for %{{.*}} = %{{.*}} to %[[END]] step %[[SIX]]
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<6x64xf32>)
// CHECK: tensor.extract_slice %[[MOST]][18, 0] [2, 64]
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<2x64xf32>)
// CHECK: return
// NARROW-LABEL: func @many_rows
// NARROW-NOT: tensor<6x
func.func @many_rows(%k: tensor<20x16xf32>, %q: tensor<16x64xf32>, %init: tensor<20x64xf32>) -> tensor<20x64xf32> {
  %s = linalg.generic {indexing_maps = [#key, #query, #score], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%k, %q : tensor<20x16xf32>, tensor<16x64xf32>) outs(%init : tensor<20x64xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %product = arith.mulf %a, %b : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<20x64xf32>
  return %s : tensor<20x64xf32>
}

// -----

// A constant start with a second user is made again for each block, since the other user would make a copy of it. Near
// miss: another start, here old sums times two, is computed once, as a whole, row by row.
#key = affine_map<(n, m, dqk) -> (n, dqk)>
#query = affine_map<(n, m, dqk) -> (dqk, m)>
#score = affine_map<(n, m, dqk) -> (n, m)>
// CHECK-LABEL: func @shared_start
// CHECK: scf.for
// CHECK: linalg.fill {{.*}} outs(%{{.*}} : tensor<1x64xf32>)
// CHECK: %[[DOUBLED:.*]] = scf.for
// CHECK: arith.addf
// CHECK: scf.for
// CHECK: %[[ZEROS:.*]] = linalg.fill {{.*}} outs(%{{.*}} : tensor<4x64xf32>)
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[ZEROS]])
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[DOUBLED]])
// CHECK-NOT: linalg.fill
// NARROW-LABEL: func @shared_start
func.func @shared_start(%k: tensor<8x16xf32>, %q: tensor<16x64xf32>, %old: tensor<8x64xf32>)
    -> (tensor<8x64xf32>, tensor<8x64xf32>, tensor<8x64xf32>, tensor<8x64xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<8x64xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<8x64xf32>) -> tensor<8x64xf32>
  %doubled = linalg.generic {indexing_maps = [affine_map<(n, m) -> (n, m)>], iterator_types = ["parallel", "parallel"]}
      outs(%old : tensor<8x64xf32>) {
  ^bb0(%a: f32):
    %sum = arith.addf %a, %a : f32
    linalg.yield %sum : f32
  } -> tensor<8x64xf32>
  %s = linalg.generic {indexing_maps = [#key, #query, #score], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%k, %q : tensor<8x16xf32>, tensor<16x64xf32>) outs(%zeros : tensor<8x64xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %product = arith.mulf %a, %b : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<8x64xf32>
  %t = linalg.generic {indexing_maps = [#key, #query, #score], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%k, %q : tensor<8x16xf32>, tensor<16x64xf32>) outs(%doubled : tensor<8x64xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %product = arith.mulf %a, %b : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<8x64xf32>
  return %s, %t, %zeros, %doubled : tensor<8x64xf32>, tensor<8x64xf32>, tensor<8x64xf32>, tensor<8x64xf32>
}

// -----

// Dot products along the lanes: the partial sums of 4 x 4 products fill half of the registers. Their sum takes what
// makes the partial sums with it, so these never exist as a whole.
#query = affine_map<(m, n, lane, step) -> (m, step, lane)>
#key = affine_map<(m, n, lane, step) -> (n, step, lane)>
#partial = affine_map<(m, n, lane, step) -> (m, n, lane)>
// CHECK-LABEL: func @dots
// NARROW-LABEL: func @dots
func.func @dots(%q: tensor<4x2x16xf32>, %k: tensor<8x2x16xf32>) -> tensor<4x8xf32> {
  // CHECK: scf.for
  // CHECK: linalg.fill {{.*}} outs(%{{.*}} : tensor<4x4x16xf32>)
  // CHECK: %[[PARTIAL:.*]] = scf.for
  // CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<4x1x16xf32>, tensor<4x1x16xf32>)
  // CHECK: linalg.fill {{.*}} outs(%{{.*}} : tensor<4x4xf32>)
  // CHECK: linalg.reduce {{.*}} ins(%[[PARTIAL]] : tensor<4x4x16xf32>)
  // CHECK-NOT: linalg
  %zero = arith.constant 0.0 : f32
  %partials = tensor.empty() : tensor<4x8x16xf32>
  %sums = tensor.empty() : tensor<4x8xf32>
  %zero_partials = linalg.fill ins(%zero : f32) outs(%partials : tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %zero_sums = linalg.fill ins(%zero : f32) outs(%sums : tensor<4x8xf32>) -> tensor<4x8xf32>
  %p = linalg.generic {indexing_maps = [#query, #key, #partial],
                       iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<4x2x16xf32>, tensor<8x2x16xf32>) outs(%zero_partials : tensor<4x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %product = arith.mulf %a, %b : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<4x8x16xf32>
  %s = linalg.reduce { arith.addf } ins(%p : tensor<4x8x16xf32>) outs(%zero_sums : tensor<4x8xf32>) dimensions = [2]
  return %s : tensor<4x8xf32>
}

// -----

// A transposition is cut into squares of one vector.
// CHECK-LABEL: func @transposition
// CHECK: linalg.transpose ins(%{{.*}} : tensor<16x16xf32>) outs(%{{.*}} : tensor<16x16xf32>)
// NARROW-LABEL: func @transposition
// NARROW: linalg.transpose ins(%{{.*}} : tensor<8x8xf32>) outs(%{{.*}} : tensor<8x8xf32>)
func.func @transposition(%x: tensor<32x16xf32>) -> tensor<16x32xf32> {
  %empty = tensor.empty() : tensor<16x32xf32>
  %t = linalg.transpose ins(%x : tensor<32x16xf32>) outs(%empty : tensor<16x32xf32>) permutation = [1, 0]
  return %t : tensor<16x32xf32>
}

// -----

// Everything else is taken by rows of the output, at most four vectors of one: 80 lanes are five vectors of 16, of which
// one divides them. A row's sum takes one row of the input. Extents that no vector divides get their largest divisor.
// CHECK-LABEL: func @rows
// CHECK: linalg.exp ins(%{{.*}} : tensor<1x16xf32>)
// CHECK: linalg.reduce {{.*}} ins(%{{.*}} : tensor<1x64xf32>) outs(%{{.*}} : tensor<1xf32>)
// CHECK: linalg.exp ins(%{{.*}} : tensor<37xf32>)
// NARROW-LABEL: func @rows
// NARROW: linalg.exp ins(%{{.*}} : tensor<1x16xf32>)
// NARROW: linalg.reduce {{.*}} ins(%{{.*}} : tensor<1x32xf32>) outs(%{{.*}} : tensor<1xf32>)
// NARROW: linalg.exp ins(%{{.*}} : tensor<1xf32>)
func.func @rows(%x: tensor<6x80xf32>, %y: tensor<6x64xf32>, %sums: tensor<6xf32>, %z: tensor<37xf32>)
    -> (tensor<6x80xf32>, tensor<6xf32>, tensor<37xf32>) {
  %e = linalg.exp ins(%x : tensor<6x80xf32>) outs(%x : tensor<6x80xf32>) -> tensor<6x80xf32>
  %s = linalg.reduce { arith.addf } ins(%y : tensor<6x64xf32>) outs(%sums : tensor<6xf32>) dimensions = [1]
  %f = linalg.exp ins(%z : tensor<37xf32>) outs(%z : tensor<37xf32>) -> tensor<37xf32>
  return %e, %s, %f : tensor<6x80xf32>, tensor<6xf32>, tensor<37xf32>
}

// -----

// Near misses: a dynamic shape stays as it is, whatever else is static.
// CHECK-LABEL: func @dynamic
// CHECK-NOT: scf.for
// CHECK: linalg.exp ins(%{{.*}} : tensor<?x64xf32>)
// NARROW-LABEL: func @dynamic
func.func @dynamic(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %e = linalg.exp ins(%x : tensor<?x64xf32>) outs(%x : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %e : tensor<?x64xf32>
}

// -----

// A step of products of pairs takes one pair, that is, two elements of the reduction.
#key = affine_map<(n, m, pair, half) -> (n, pair, half)>
#query = affine_map<(n, m, pair, half) -> (pair, m, half)>
#score = affine_map<(n, m, pair, half) -> (n, m)>
// CHECK-LABEL: func @pairs
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<8x1x2xbf16>, tensor<1x16x2xbf16>) outs(%{{.*}} : tensor<8x16xf32>)
// NARROW-LABEL: func @pairs
func.func @pairs(%k: tensor<8x8x2xbf16>, %q: tensor<8x16x2xbf16>, %init: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = linalg.generic {indexing_maps = [#key, #query, #score],
                       iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%k, %q : tensor<8x8x2xbf16>, tensor<8x16x2xbf16>) outs(%init : tensor<8x16xf32>) {
  ^bb0(%a: bf16, %b: bf16, %c: f32):
    %wide_a = arith.extf %a : bf16 to f32
    %wide_b = arith.extf %b : bf16 to f32
    %product = arith.mulf %wide_a, %wide_b : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<8x16xf32>
  return %s : tensor<8x16xf32>
}

// -----

// 96 lanes are three blocks of two vectors, never one of three or six: LLVM would take those apart lane by lane.
// CHECK-LABEL: func @six_vectors
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<1x32xf32>)
// NARROW-LABEL: func @six_vectors
// NARROW: linalg.generic {{.*}} ins(%{{.*}} : tensor<1x32xf32>)
func.func @six_vectors(%x: tensor<4x96xf32>) -> tensor<4x96xf32> {
  %empty = tensor.empty() : tensor<4x96xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(m, dv) -> (m, dv)>, affine_map<(m, dv) -> (m, dv)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x96xf32>) outs(%empty : tensor<4x96xf32>) {
  ^bb0(%a: f32, %b: f32):
    %doubled = arith.addf %a, %a : f32
    linalg.yield %doubled : f32
  } -> tensor<4x96xf32>
  return %y : tensor<4x96xf32>
}
