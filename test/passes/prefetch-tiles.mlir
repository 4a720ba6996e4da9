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
