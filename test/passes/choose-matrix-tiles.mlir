// RUN: gqa-opt %s --split-input-file --gqa-choose-matrix-tiles --canonicalize | FileCheck %s
// RUN: gqa-opt %s --split-input-file --gqa-choose-matrix-tiles --gqa-tile-to-registers --gqa-vectorize-tiles \
// RUN:   | FileCheck %s --check-prefix=VECTOR

#rows = affine_map<(row, lane, pair, half) -> (row, pair, half)>
#pairs = affine_map<(row, lane, pair, half) -> (pair, row, half)>
#lanes = affine_map<(row, lane, pair, half) -> (pair, lane, half)>
#sums = affine_map<(row, lane, pair, half) -> (row, lane)>

// Rows come first in the left operand, as they do in keys: the product is marked, and later passes leave it whole.
// CHECK-LABEL: func @rows_first
// CHECK: linalg.generic {{.*}} attrs = {gqa.matrix_tiles}
// VECTOR-LABEL: func @rows_first
// VECTOR: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<32x16x2xbf16>, tensor<16x16x2xbf16>) {{.*}} attrs = {gqa.matrix_tiles}
func.func @rows_first(%k: tensor<32x16x2xbf16>, %q: tensor<16x16x2xbf16>, %init: tensor<32x16xf32>) -> tensor<32x16xf32> {
  %s = linalg.generic {indexing_maps = [#rows, #lanes, #sums],
                       iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%k, %q : tensor<32x16x2xbf16>, tensor<16x16x2xbf16>) outs(%init : tensor<32x16xf32>) {
  ^bb0(%a: bf16, %b: bf16, %c: f32):
    %x = arith.extf %a : bf16 to f32
    %y = arith.extf %b : bf16 to f32
    %product = arith.mulf %x, %y : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<32x16xf32>
  return %s : tensor<32x16xf32>
}

// -----

#rows = affine_map<(row, lane, pair, half) -> (row, pair, half)>
#pairs = affine_map<(row, lane, pair, half) -> (pair, row, half)>
#lanes = affine_map<(row, lane, pair, half) -> (pair, lane, half)>
#sums = affine_map<(row, lane, pair, half) -> (row, lane)>
#apart = affine_map<(pair, row, half) -> (pair, half, row)>
#together = affine_map<(pair, row, half) -> (pair, row, half)>

// Values are brought together pair by pair; for a product in tiles they are transposed on the way. In vectors, a block
// of 16 x 16 pairs is a transposition of words.
// CHECK-DAG: #[[TOGETHER:.*]] = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
// CHECK-DAG: #[[APART:.*]] = affine_map<(d0, d1, d2) -> (d1, d2, d0)>
// CHECK-DAG: #[[ROWS:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>
// CHECK-LABEL: func @pairs_first
// CHECK-SAME: %[[V:[a-z0-9]*]]: tensor<16x2x32xbf16>
// CHECK: %[[ROW_MAJOR:.*]] = linalg.generic {indexing_maps = [#[[APART]], #[[TOGETHER]]]{{.*}} ins(%[[V]] : {{.*}}) outs(%{{.*}} : tensor<32x16x2xbf16>)
// CHECK: linalg.generic {indexing_maps = [#[[ROWS]], {{.*}} ins(%[[ROW_MAJOR]], {{.*}} attrs = {gqa.matrix_tiles}
// VECTOR-LABEL: func @pairs_first
// VECTOR: vector.transpose {{.*}} : vector<16x16xi32> to vector<16x16xi32>
func.func @pairs_first(%v: tensor<16x2x32xbf16>, %p: tensor<16x16x2xbf16>, %init: tensor<32x16xf32>) -> tensor<32x16xf32> {
  %empty = tensor.empty() : tensor<16x32x2xbf16>
  %pairs = linalg.generic {indexing_maps = [#apart, #together], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%v : tensor<16x2x32xbf16>) outs(%empty : tensor<16x32x2xbf16>) {
  ^bb0(%a: bf16, %b: bf16):
    linalg.yield %a : bf16
  } -> tensor<16x32x2xbf16>
  %o = linalg.generic {indexing_maps = [#pairs, #lanes, #sums],
                       iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%pairs, %p : tensor<16x32x2xbf16>, tensor<16x16x2xbf16>) outs(%init : tensor<32x16xf32>) {
  ^bb0(%a: bf16, %b: bf16, %c: f32):
    %x = arith.extf %a : bf16 to f32
    %y = arith.extf %b : bf16 to f32
    %product = arith.mulf %x, %y : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<32x16xf32>
  return %o : tensor<32x16xf32>
}

// -----

#rows = affine_map<(row, lane, pair, half) -> (row, pair, half)>
#lanes = affine_map<(row, lane, pair, half) -> (pair, lane, half)>
#sums = affine_map<(row, lane, pair, half) -> (row, lane)>

// Near miss: 17 pairs do not fill a tile; the product is made of vectors.
// CHECK-LABEL: func @partial_tiles
// CHECK-NOT: gqa.matrix_tiles
// VECTOR-LABEL: func @partial_tiles
// VECTOR: x86vector.avx512.dot
func.func @partial_tiles(%k: tensor<32x17x2xbf16>, %q: tensor<17x16x2xbf16>, %init: tensor<32x16xf32>) -> tensor<32x16xf32> {
  %s = linalg.generic {indexing_maps = [#rows, #lanes, #sums],
                       iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%k, %q : tensor<32x17x2xbf16>, tensor<17x16x2xbf16>) outs(%init : tensor<32x16xf32>) {
  ^bb0(%a: bf16, %b: bf16, %c: f32):
    %x = arith.extf %a : bf16 to f32
    %y = arith.extf %b : bf16 to f32
    %product = arith.mulf %x, %y : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<32x16xf32>
  return %s : tensor<32x16xf32>
}

// -----

#rows = affine_map<(row, lane, pair, half) -> (row, pair, half)>
#lanes = affine_map<(row, lane, pair, half) -> (pair, lane, half)>
#sums = affine_map<(row, lane, pair, half) -> (row, lane)>

// Near miss: the keys' innermost dimension in memory is another one, which the slice drops; tiles cannot be loaded.
// CHECK-LABEL: func @not_innermost
// CHECK-NOT: gqa.matrix_tiles
// VECTOR-LABEL: func @not_innermost
func.func @not_innermost(%keys: tensor<32x32x5xbf16>, %q: tensor<16x16x2xbf16>, %init: tensor<32x16xf32>, %b: index)
    -> tensor<32x16xf32> {
  %slice = tensor.extract_slice %keys[0, 0, %b] [32, 32, 1] [1, 1, 1] : tensor<32x32x5xbf16> to tensor<32x32xbf16>
  %k = tensor.expand_shape %slice [[0], [1, 2]] output_shape [32, 16, 2] : tensor<32x32xbf16> into tensor<32x16x2xbf16>
  %s = linalg.generic {indexing_maps = [#rows, #lanes, #sums],
                       iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%k, %q : tensor<32x16x2xbf16>, tensor<16x16x2xbf16>) outs(%init : tensor<32x16xf32>) {
  ^bb0(%a: bf16, %b1: bf16, %c: f32):
    %x = arith.extf %a : bf16 to f32
    %y = arith.extf %b1 : bf16 to f32
    %product = arith.mulf %x, %y : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<32x16xf32>
  return %s : tensor<32x16xf32>
}

// -----

#rows = affine_map<(row, lane, word, byte) -> (row, word, byte)>
#lanes = affine_map<(row, lane, word, byte) -> (word, lane, byte)>
#sums = affine_map<(row, lane, word, byte) -> (row, lane)>

// Words of four bytes; zeros to start from need not be written. Near miss: 17 words fill no register to a quarter.
// CHECK-LABEL: func @bytes
// CHECK-SAME: %[[INIT:[a-z0-9]*]]: tensor<16x16xi32>)
// CHECK: %[[ZEROS:.*]] = linalg.fill
// CHECK: linalg.generic {{.*}} outs(%[[INIT]] : tensor<16x16xi32>) attrs = {gqa.from_zeros, gqa.matrix_tiles}
// CHECK: linalg.generic {{.*}} outs(%[[ZEROS]] : tensor<16x16xi32>) {
// VECTOR-LABEL: func @bytes
func.func @bytes(%k: tensor<16x12x4xi8>, %q: tensor<12x16x4xi8>, %k17: tensor<16x17x4xi8>, %q17: tensor<17x16x4xi8>,
                 %init: tensor<16x16xi32>) -> (tensor<16x16xi32>, tensor<16x16xi32>) {
  %zero = arith.constant 0 : i32
  %zeros = linalg.fill ins(%zero : i32) outs(%init : tensor<16x16xi32>) -> tensor<16x16xi32>
  %a = linalg.generic {indexing_maps = [#rows, #lanes, #sums],
                       iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%k, %q : tensor<16x12x4xi8>, tensor<12x16x4xi8>) outs(%zeros : tensor<16x16xi32>) {
  ^bb0(%l: i8, %r: i8, %c: i32):
    %x = arith.extsi %l : i8 to i32
    %y = arith.extsi %r : i8 to i32
    %product = arith.muli %x, %y : i32
    %sum = arith.addi %c, %product : i32
    linalg.yield %sum : i32
  } -> tensor<16x16xi32>
  %b = linalg.generic {indexing_maps = [#rows, #lanes, #sums],
                       iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%k17, %q17 : tensor<16x17x4xi8>, tensor<17x16x4xi8>) outs(%zeros : tensor<16x16xi32>) {
  ^bb0(%l: i8, %r: i8, %c: i32):
    %x = arith.extsi %l : i8 to i32
    %y = arith.extsi %r : i8 to i32
    %product = arith.muli %x, %y : i32
    %sum = arith.addi %c, %product : i32
    linalg.yield %sum : i32
  } -> tensor<16x16xi32>
  return %a, %b : tensor<16x16xi32>, tensor<16x16xi32>
}
