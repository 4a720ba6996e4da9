// RUN: gqa-opt %s --gqa-prefetch-tiles --canonicalize --cse --split-input-file | FileCheck %s

// Each read of a row of a block is joined by prefetches of that row in the next block, one per cache line.
// CHECK-LABEL: func @rows
// CHECK-SAME: %[[K:.*]]: memref<8192x64xf16>
// CHECK: scf.for %[[BLOCK:.*]] =
// CHECK: memref.subview %[[K]]
// CHECK: %[[NEXT:.*]] = memref.subview %[[K]]
// CHECK: scf.for %[[ROW:.*]] =
// CHECK-DAG: memref.prefetch %[[NEXT]][%[[ROW]], %c0{{.*}}], read, locality<2>, data
// CHECK-DAG: memref.prefetch %[[NEXT]][%[[ROW]], %c32{{.*}}], read, locality<2>, data
// CHECK: vector.transfer_read
func.func @rows(%k: memref<8192x64xf16>, %out: memref<64xf16>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %f0 = arith.constant 0.0 : f16
  scf.for %block = %c0 to %c128 step %c1 {
    %start = arith.muli %block, %c64 : index
    %tile = memref.subview %k[%start, 0] [64, 64] [1, 1]
        : memref<8192x64xf16> to memref<64x64xf16, strided<[64, 1], offset: ?>>
    scf.for %row = %c0 to %c64 step %c1 {
      %v = vector.transfer_read %tile[%row, %c0], %f0 {in_bounds = [true]}
          : memref<64x64xf16, strided<[64, 1], offset: ?>>, vector<64xf16>
      vector.transfer_write %v, %out[%c0] {in_bounds = [true]} : vector<64xf16>, memref<64xf16>
    }
  }
  return
}

// -----

// Near misses: single elements do not stream, and a buffer that does not move from block to block needs no fetching.
// CHECK-LABEL: func @near_misses
// CHECK-NOT: memref.prefetch
func.func @near_misses(%k: memref<8192x64xf16>, %out: memref<64xf16>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c128 = arith.constant 128 : index
  %f0 = arith.constant 0.0 : f16
  scf.for %block = %c0 to %c128 step %c1 {
    %moving = memref.subview %k[%block, 0] [1, 64] [1, 1]
        : memref<8192x64xf16> to memref<1x64xf16, strided<[64, 1], offset: ?>>
    %element = vector.transfer_read %moving[%c0, %c0], %f0 {in_bounds = [true]}
        : memref<1x64xf16, strided<[64, 1], offset: ?>>, vector<1xf16>
    vector.transfer_write %element, %out[%c0] {in_bounds = [true]} : vector<1xf16>, memref<64xf16>
    %fixed = memref.subview %k[7, 0] [1, 64] [1, 1] : memref<8192x64xf16> to memref<1x64xf16, strided<[64, 1], offset: 448>>
    %row = vector.transfer_read %fixed[%c0, %c0], %f0 {in_bounds = [true]}
        : memref<1x64xf16, strided<[64, 1], offset: 448>>, vector<64xf16>
    vector.transfer_write %row, %out[%c0] {in_bounds = [true]} : vector<64xf16>, memref<64xf16>
  }
  return
}

// -----

// Reads of single elements in a block of attention: the first of a cache line fetches that line of the next block.
// CHECK-LABEL: func @elements
// CHECK-SAME: %[[K:.*]]: memref<8192x64xf32>
// CHECK: scf.for
// CHECK: memref.subview %[[K]]
// CHECK: %[[NEXT:.*]] = memref.subview %[[K]]
// CHECK: scf.for %[[D:.*]] =
// CHECK: %[[IN_LINE:.*]] = arith.remui %[[D]], %c16
// CHECK: %[[IS_FIRST:.*]] = arith.cmpi ult, %[[IN_LINE]], %c1
// CHECK: scf.if %[[IS_FIRST]]
// CHECK-COUNT-2: memref.prefetch %[[NEXT]]
// CHECK: }
// CHECK: vector.transfer_read
func.func @elements(%k: memref<8192x64xf32>, %out: memref<2x1xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %f0 = arith.constant 0.0 : f32
  scf.for %block = %c0 to %c4096 step %c1 {
    %start = arith.muli %block, %c2 : index
    %tile = memref.subview %k[%start, 0] [2, 64] [1, 1]
        : memref<8192x64xf32> to memref<2x64xf32, strided<[64, 1], offset: ?>>
    scf.for %d = %c0 to %c64 step %c1 {
      %v = vector.transfer_read %tile[%c0, %d], %f0 {in_bounds = [true, true]}
          : memref<2x64xf32, strided<[64, 1], offset: ?>>, vector<2x1xf32>
      vector.transfer_write %v, %out[%c0, %c0] {in_bounds = [true, true]} : vector<2x1xf32>, memref<2x1xf32>
    }
    %x = vector.transfer_read %out[%c0, %c0], %f0 {in_bounds = [true, true]} : memref<2x1xf32>, vector<2x1xf32>
    %p = math.exp2 %x : vector<2x1xf32>
    vector.transfer_write %p, %out[%c0, %c0] {in_bounds = [true, true]} : vector<2x1xf32>, memref<2x1xf32>
  }
  return
}

// -----

// A block that is copied to a tile: reads of the tile fetch the next block, the copy does not.
// CHECK-LABEL: func @packed
// CHECK-SAME: %[[K:.*]]: memref<512x8x64xf32>
// CHECK: %[[TILE:.*]] = memref.alloca
// CHECK: scf.for
// CHECK: memref.subview %[[K]]
// CHECK: %[[NEXT:.*]] = memref.subview %[[K]]
// CHECK-NOT: memref.prefetch
// CHECK: memref.copy
// CHECK: scf.for %[[ROW:.*]] =
// CHECK-COUNT-4: memref.prefetch %[[NEXT]][%[[ROW]], %{{.*}}]
// CHECK: vector.transfer_read %[[TILE]]
func.func @packed(%k: memref<512x8x64xf32>, %out: memref<64xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %f0 = arith.constant 0.0 : f32
  %tile = memref.alloca() : memref<16x64xf32>
  scf.for %block = %c0 to %c32 step %c1 {
    %start = arith.muli %block, %c16 : index
    %keys = memref.subview %k[%start, 0, 0] [16, 1, 64] [1, 1, 1]
        : memref<512x8x64xf32> to memref<16x64xf32, strided<[512, 1], offset: ?>>
    memref.copy %keys, %tile : memref<16x64xf32, strided<[512, 1], offset: ?>> to memref<16x64xf32>
    scf.for %row = %c0 to %c16 step %c1 {
      %v = vector.transfer_read %tile[%row, %c0], %f0 {in_bounds = [true]} : memref<16x64xf32>, vector<64xf32>
      vector.transfer_write %v, %out[%c0] {in_bounds = [true]} : vector<64xf32>, memref<64xf32>
    }
    %x = vector.transfer_read %out[%c0], %f0 {in_bounds = [true]} : memref<64xf32>, vector<64xf32>
    %p = math.exp2 %x : vector<64xf32>
    vector.transfer_write %p, %out[%c0] {in_bounds = [true]} : vector<64xf32>, memref<64xf32>
  }
  return
}

// -----

// A block of attention is the loop that holds the exponentials: its reads fetch the next block wherever they are in it,
// whether they index the buffer themselves (values), read pages that a table names (keys), or copy to a tile (scales).
// The table is read one block early, too, within its bounds.
// CHECK-LABEL: func @key_blocks
// CHECK-SAME: %[[K:.*]]: memref<?x16x32xf16>, %[[V:.*]]: memref<8192x32xf16>, %[[S:.*]]: memref<8192xf32>, %[[TABLE:.*]]: memref<?xi32>
// CHECK: scf.for %[[BLOCK:.*]] = %c0 to %c128 step %[[STEP:.*]] {
// CHECK: %[[NEXT:.*]] = arith.addi %[[BLOCK]], %[[STEP]]
// CHECK: %[[START:.*]] = arith.muli %[[NEXT]], %c16
// CHECK: %[[NEXT_PAGE:.*]] = arith.minui %[[NEXT]]
// CHECK: memref.load %[[TABLE]][%[[NEXT_PAGE]]]
// CHECK: memref.subview %[[S]]
// CHECK: %[[NEXT_SCALE:.*]] = memref.subview %[[S]][%[[START]]]
// CHECK: memref.prefetch %[[NEXT_SCALE]][%c0]
// CHECK: memref.copy
// CHECK: scf.for %[[N:.*]] =
// CHECK-DAG: memref.prefetch %{{.*}}[%[[N]], %c0]
// CHECK-DAG: %[[ROW:.*]] = arith.addi %[[START]], %[[N]]
// CHECK-DAG: memref.prefetch %[[V]][%[[ROW]], %c0]
func.func @key_blocks(%k: memref<?x16x32xf16>, %v: memref<8192x32xf16>, %s: memref<8192xf32>, %table: memref<?xi32>,
                      %last: index, %scale: memref<16xf32>, %out: memref<32xf16>, %p: memref<16xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %c128 = arith.constant 128 : index
  %f0 = arith.constant 0.0 : f16
  %zero = arith.constant 0.0 : f32
  scf.for %block = %c0 to %c128 step %c1 {
    %start = arith.muli %block, %c16 : index
    %known = arith.minui %block, %last : index
    %entry = memref.load %table[%known] : memref<?xi32>
    %page = arith.index_cast %entry : i32 to index
    %tile = memref.subview %k[%page, 0, 0] [1, 16, 32] [1, 1, 1]
        : memref<?x16x32xf16> to memref<16x32xf16, strided<[32, 1], offset: ?>>
    %scales = memref.subview %s[%start] [16] [1] : memref<8192xf32> to memref<16xf32, strided<[1], offset: ?>>
    memref.copy %scales, %scale : memref<16xf32, strided<[1], offset: ?>> to memref<16xf32>
    scf.for %n = %c0 to %c16 step %c1 {
      %key = vector.transfer_read %tile[%n, %c0], %f0 {in_bounds = [true]}
          : memref<16x32xf16, strided<[32, 1], offset: ?>>, vector<32xf16>
      %row = arith.addi %start, %n : index
      %value = vector.transfer_read %v[%row, %c0], %f0 {in_bounds = [true]} : memref<8192x32xf16>, vector<32xf16>
      %sum = arith.addf %key, %value : vector<32xf16>
      vector.transfer_write %sum, %out[%c0] {in_bounds = [true]} : vector<32xf16>, memref<32xf16>
    }
    %score = vector.transfer_read %p[%c0], %zero {in_bounds = [true]} : memref<16xf32>, vector<16xf32>
    %weight = math.exp2 %score : vector<16xf32>
    vector.transfer_write %weight, %p[%c0] {in_bounds = [true]} : vector<16xf32>, memref<16xf32>
  }
  return
}

// -----

// A table that is read without bounds is not read early.
// CHECK-LABEL: func @unbounded
// CHECK-NOT: memref.prefetch
func.func @unbounded(%k: memref<?x16x32xf16>, %table: memref<?xi32>, %out: memref<32xf16>, %p: memref<16xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %c128 = arith.constant 128 : index
  %f0 = arith.constant 0.0 : f16
  %zero = arith.constant 0.0 : f32
  scf.for %block = %c0 to %c128 step %c1 {
    %entry = memref.load %table[%block] : memref<?xi32>
    %page = arith.index_cast %entry : i32 to index
    scf.for %n = %c0 to %c16 step %c1 {
      %key = vector.transfer_read %k[%page, %n, %c0], %f0 {in_bounds = [true]} : memref<?x16x32xf16>, vector<32xf16>
      vector.transfer_write %key, %out[%c0] {in_bounds = [true]} : vector<32xf16>, memref<32xf16>
    }
    %score = vector.transfer_read %p[%c0], %zero {in_bounds = [true]} : memref<16xf32>, vector<16xf32>
    %weight = math.exp2 %score : vector<16xf32>
    vector.transfer_write %weight, %p[%c0] {in_bounds = [true]} : vector<16xf32>, memref<16xf32>
  }
  return
}

// -----

#rows = affine_map<(row, lane, word, byte) -> (row, word, byte)>
#lanes = affine_map<(row, lane, word, byte) -> (word, lane, byte)>
#sums = affine_map<(row, lane, word, byte) -> (row, lane)>

// A block for matrix registers: its 16 rows of two lines each are fetched for the next block in equal parts before each
// step of this one.
// CHECK-LABEL: func @matrix
// CHECK-SAME: %[[K:[a-z0-9]*]]: memref<8192x128xi8>
// CHECK: scf.for %[[BLOCK:.*]] =
// CHECK: %[[LATER:.*]] = arith.addi %[[BLOCK]], %c1
// CHECK: %[[START:.*]] = arith.muli %[[LATER]], %c16
// CHECK: %[[NEXT:.*]] = memref.subview %[[K]][%[[START]], 0]
// CHECK: memref.prefetch %[[NEXT]][%c0{{.*}}, %c0{{.*}}], read, locality<2>, data
// CHECK: memref.prefetch %[[NEXT]][%c0{{.*}}, %c64{{.*}}], read, locality<2>, data
// CHECK-COUNT-14: memref.prefetch %[[NEXT]]
// CHECK-NOT: memref.prefetch
// CHECK: linalg.generic
// CHECK: memref.prefetch %[[NEXT]][%c8{{.*}}, %c0
// CHECK-COUNT-15: memref.prefetch %[[NEXT]]
// CHECK-NOT: memref.prefetch
// CHECK: scf.for
func.func @matrix(%k: memref<8192x128xi8>, %q: memref<32x16x4xi8>, %s: memref<16x16xi32>, %w: memref<16xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %c512 = arith.constant 512 : index
  scf.for %block = %c0 to %c512 step %c1 {
    %start = arith.muli %block, %c16 : index
    %tile = memref.subview %k[%start, 0] [16, 128] [1, 1]
        : memref<8192x128xi8> to memref<16x128xi8, strided<[128, 1], offset: ?>>
    %words = memref.expand_shape %tile [[0], [1, 2]] output_shape [16, 32, 4]
        : memref<16x128xi8, strided<[128, 1], offset: ?>> into memref<16x32x4xi8, strided<[128, 4, 1], offset: ?>>
    linalg.generic {indexing_maps = [#rows, #lanes, #sums],
                    iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
        ins(%words, %q : memref<16x32x4xi8, strided<[128, 4, 1], offset: ?>>, memref<32x16x4xi8>)
        outs(%s : memref<16x16xi32>) attrs = {gqa.matrix_tiles} {
    ^bb0(%a: i8, %b: i8, %c: i32):
      %x = arith.extsi %a : i8 to i32
      %y = arith.extsi %b : i8 to i32
      %product = arith.muli %x, %y : i32
      %sum = arith.addi %c, %product : i32
      linalg.yield %sum : i32
    }
    scf.for %i = %c0 to %c16 step %c1 {
      %weight = memref.load %w[%i] : memref<16xf32>
      %exp = math.exp2 %weight : f32
      memref.store %exp, %w[%i] : memref<16xf32>
    }
  }
  return
}
