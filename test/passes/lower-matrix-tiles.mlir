// RUN: gqa-opt %s --split-input-file --verify-diagnostics --gqa-lower-matrix-tiles --cse | FileCheck %s

#rows = affine_map<(row, lane, pair, half) -> (row, pair, half)>
#lanes = affine_map<(row, lane, pair, half) -> (pair, lane, half)>
#sums = affine_map<(row, lane, pair, half) -> (row, lane)>

// 32 rows are two tiles, 16 lanes one, 32 pairs two steps: sums stay in registers while each step loads one tile of
// lanes and two of rows. The keys' rows are as far apart as the caller has them.
// CHECK-LABEL: func @product
// CHECK-SAME: %[[K:[a-z0-9]*]]: memref<32x32x2xbf16, strided<[?, 2, 1]>>, %[[Q:[a-z0-9]*]]: memref<32x16x2xbf16>, %[[S:[a-z0-9]*]]: memref<32x16xf32>
// CHECK: scf.for %[[ROW:.*]] =
// CHECK: scf.for %[[LANE:.*]] =
// CHECK-COUNT-2: amx.tile_load %[[S]]{{.*}} into !amx.tile<16x16xf32>
// CHECK: %[[RIGHT:.*]] = amx.tile_load %[[Q]]{{.*}}, %c32{{.*}} into !amx.tile<16x32xbf16>
// CHECK: %{{.*}}, %{{.*}}, %{{.*}}:3, %[[STRIDES:.*]]:3 = memref.extract_strided_metadata %[[K]]
// CHECK: %[[LEFT:.*]] = amx.tile_load %[[K]][{{.*}}], %[[STRIDES]]#0
// CHECK: amx.tile_mulf %[[LEFT]], %[[RIGHT]]
// CHECK: amx.tile_mulf %{{.*}}, %[[RIGHT]]
// CHECK-COUNT-2: amx.tile_mulf
// CHECK-COUNT-2: amx.tile_store %[[S]]
func.func @product(%k: memref<32x32x2xbf16, strided<[?, 2, 1]>>, %q: memref<32x16x2xbf16>, %s: memref<32x16xf32>) {
  linalg.generic {indexing_maps = [#rows, #lanes, #sums],
                  iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%k, %q : memref<32x32x2xbf16, strided<[?, 2, 1]>>, memref<32x16x2xbf16>) outs(%s : memref<32x16xf32>)
      attrs = {gqa.matrix_tiles} {
  ^bb0(%a: bf16, %b: bf16, %c: f32):
    %x = arith.extf %a : bf16 to f32
    %y = arith.extf %b : bf16 to f32
    %product = arith.mulf %x, %y : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  }
  return
}

// -----

#rows = affine_map<(row, lane, word, byte) -> (row, word, byte)>
#lanes = affine_map<(row, lane, word, byte) -> (word, lane, byte)>
#sums = affine_map<(row, lane, word, byte) -> (row, lane)>

// Bytes, into i32. 24 words of them are two steps of 12. What starts from zeros is not loaded.
// CHECK-LABEL: func @bytes
// CHECK-NOT: amx.tile_load %{{.*}} into !amx.tile<16x16xi32>
// CHECK: amx.tile_zero : !amx.tile<16x16xi32>
// CHECK: amx.tile_load %{{.*}} into !amx.tile<12x64xi8>
// CHECK: amx.tile_load %{{.*}} into !amx.tile<16x48xi8>
// CHECK-COUNT-2: amx.tile_muli
// CHECK: amx.tile_store
func.func @bytes(%k: memref<16x24x4xi8>, %q: memref<24x16x4xi8>, %s: memref<16x16xi32>) {
  linalg.generic {indexing_maps = [#rows, #lanes, #sums],
                  iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%k, %q : memref<16x24x4xi8>, memref<24x16x4xi8>) outs(%s : memref<16x16xi32>)
      attrs = {gqa.matrix_tiles, gqa.from_zeros} {
  ^bb0(%a: i8, %b: i8, %c: i32):
    %x = arith.extsi %a : i8 to i32
    %y = arith.extsi %b : i8 to i32
    %product = arith.muli %x, %y : i32
    %sum = arith.addi %c, %product : i32
    linalg.yield %sum : i32
  }
  return
}

// -----

#rows = affine_map<(row, lane, pair, half) -> (row, pair, half)>
#lanes = affine_map<(row, lane, pair, half) -> (pair, lane, half)>
#sums = affine_map<(row, lane, pair, half) -> (row, lane)>

// A row with gaps between its pairs is no row of a tile.
func.func @gaps(%k: memref<16x16x2xbf16, strided<[?, ?, 1]>>, %q: memref<16x16x2xbf16>, %s: memref<16x16xf32>) {
  // expected-error @below {{marked 'gqa.matrix_tiles' needs buffers with dense rows}}
  linalg.generic {indexing_maps = [#rows, #lanes, #sums],
                  iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%k, %q : memref<16x16x2xbf16, strided<[?, ?, 1]>>, memref<16x16x2xbf16>) outs(%s : memref<16x16xf32>)
      attrs = {gqa.matrix_tiles} {
  ^bb0(%a: bf16, %b: bf16, %c: f32):
    %x = arith.extf %a : bf16 to f32
    %y = arith.extf %b : bf16 to f32
    %product = arith.mulf %x, %y : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  }
  return
}
