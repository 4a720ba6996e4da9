// RUN: gqa-opt %s --gqa-expand-copies --canonicalize --split-input-file | FileCheck %s

// A copy becomes loops over every dimension, strided and dynamic ones included.
// CHECK-LABEL: func @copy
// CHECK-SAME: %[[FROM:[a-z0-9]*]]: memref<4x?xf32, strided<[?, 1], offset: ?>>, %[[TO:[a-z0-9]*]]: memref<4x?xf32>
func.func @copy(%from: memref<4x?xf32, strided<[?, 1], offset: ?>>, %to: memref<4x?xf32>) {
  // CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : index
  // CHECK-DAG: %[[ROWS:.*]] = arith.constant 4 : index
  // CHECK-DAG: %[[COLUMNS:.*]] = memref.dim %[[FROM]], %[[ONE]]
  // CHECK: scf.for %[[I:.*]] = %{{.*}} to %[[ROWS]]
  // CHECK: scf.for %[[J:.*]] = %{{.*}} to %[[COLUMNS]]
  // CHECK: %[[X:.*]] = memref.load %[[FROM]][%[[I]], %[[J]]]
  // CHECK: memref.store %[[X]], %[[TO]][%[[I]], %[[J]]]
  memref.copy %from, %to : memref<4x?xf32, strided<[?, 1], offset: ?>> to memref<4x?xf32>
  return
}

// -----

// A scalar needs no loop.
// CHECK-LABEL: func @scalar
// CHECK-SAME: %[[FROM:[a-z0-9]*]]: memref<i64>, %[[TO:[a-z0-9]*]]: memref<i64>
func.func @scalar(%from: memref<i64>, %to: memref<i64>) {
  // CHECK-NEXT: %[[X:.*]] = memref.load %[[FROM]][]
  // CHECK-NEXT: memref.store %[[X]], %[[TO]][]
  // CHECK-NEXT: return
  memref.copy %from, %to : memref<i64> to memref<i64>
  return
}

// -----

// What is left of linalg on buffers becomes loops as well; here a sum, and a fill of a dynamic buffer.
// CHECK-LABEL: func @others
// CHECK-SAME: %[[IN:[a-z0-9]*]]: memref<?xf32>, %[[OUT:[a-z0-9]*]]: memref<f32>, %[[ZERO:[a-z0-9]*]]: f32
// CHECK-NOT: linalg
func.func @others(%in: memref<?xf32>, %out: memref<f32>, %zero: f32) {
  // CHECK: scf.for %[[I:.*]] =
  // CHECK: %[[X:.*]] = memref.load %[[IN]][%[[I]]]
  // CHECK: %[[OLD:.*]] = memref.load %[[OUT]][]
  // CHECK: %[[SUM:.*]] = arith.addf %[[OLD]], %[[X]]
  // CHECK: memref.store %[[SUM]], %[[OUT]][]
  // CHECK: scf.for %[[J:.*]] =
  // CHECK: memref.store %[[ZERO]], %[[IN]][%[[J]]]
  linalg.reduce { arith.addf } ins(%in : memref<?xf32>) outs(%out : memref<f32>) dimensions = [0]
  linalg.fill ins(%zero : f32) outs(%in : memref<?xf32>)
  return
}

// -----

// Loads, stores and vectors stay.
// CHECK-LABEL: func @vectors
// CHECK-NOT: scf.for
// CHECK: vector.transfer_read
// CHECK: vector.transfer_write
func.func @vectors(%from: memref<16xf32>, %to: memref<16xf32>, %zero: f32) {
  %c0 = arith.constant 0 : index
  %x = vector.transfer_read %from[%c0], %zero {in_bounds = [true]} : memref<16xf32>, vector<16xf32>
  vector.transfer_write %x, %to[%c0] {in_bounds = [true]} : vector<16xf32>, memref<16xf32>
  return
}
