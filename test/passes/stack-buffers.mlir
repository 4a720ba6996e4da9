// RUN: gqa-opt %s --gqa-stack-buffers --split-input-file | FileCheck %s
// RUN: gqa-opt %s --gqa-stack-buffers=max-bytes=64 --split-input-file | FileCheck %s --check-prefix=SMALL

// A buffer that a loop inside a task allocates each time becomes one at the start of the task's body, with its
// alignment. With at most 64 bytes on the stack, its 256 stay where they are.
// CHECK-LABEL: func @loop_in_task
// SMALL-LABEL: func @loop_in_task
func.func @loop_in_task(%in: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // CHECK: scf.forall
  // CHECK-NEXT: %[[TILE:.*]] = memref.alloca() {alignment = 64 : i64} : memref<64xf32>
  // CHECK: scf.for
  // CHECK-NOT: memref.alloc
  // CHECK: memref.load %[[TILE]]
  // CHECK: memref.store %{{.*}}, %[[TILE]]
  // SMALL-NOT: memref.alloca
  // SMALL: scf.for {{.*}} step
  // SMALL-NEXT: memref.alloc() {alignment = 64 : i64} : memref<64xf32>
  scf.forall (%task) in (%n) {
    scf.for %i = %c0 to %n step %c1 {
      %tile = memref.alloc() {alignment = 64 : i64} : memref<64xf32>
      %x = memref.load %tile[%c1] : memref<64xf32>
      memref.store %x, %tile[%c0] : memref<64xf32>
    }
  }
  return
}

// -----

// Outside tasks it is the start of the function. 64 bytes are as many as `max-bytes=64` allows; 65 would be too many.
// CHECK-LABEL: func @in_function
// SMALL-LABEL: func @in_function
func.func @in_function(%n: index, %x: f32, %y: i1) {
  // CHECK-DAG: memref.alloca() : memref<16xf32>
  // CHECK-DAG: memref.alloca() : memref<65xi1>
  // CHECK: scf.for
  // SMALL: memref.alloca() : memref<16xf32>
  // SMALL: scf.for
  // SMALL: memref.alloc() : memref<65xi1>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %tile = memref.alloc() : memref<16xf32>
    memref.store %x, %tile[%c0] : memref<16xf32>
    %bits = memref.alloc() : memref<65xi1>
    memref.store %y, %bits[%c0] : memref<65xi1>
  }
  return
}

// -----

// Near misses: a buffer, or a view of it, that leaves its block; one whose size is not known; one over 1 MiB.
// CHECK-LABEL: func @stays
// CHECK-NOT: memref.alloca
// CHECK: return
func.func @stays(%n: index, %x: f32) -> (memref<8xf32>, memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %returned = memref.alloc() : memref<8xf32>
  %first = memref.alloc() : memref<4xf32>
  %carried = scf.for %i = %c0 to %n step %c1 iter_args(%old = %first) -> (memref<4xf32>) {
    %whole = memref.alloc() : memref<8xf32>
    %view = memref.reinterpret_cast %whole to offset: [0], sizes: [4], strides: [1] : memref<8xf32> to memref<4xf32>
    scf.yield %view : memref<4xf32>
  }
  %dynamic = memref.alloc(%n) : memref<?xf32>
  memref.store %x, %dynamic[%c0] : memref<?xf32>
  %large = memref.alloc() : memref<262145xf32>
  memref.store %x, %large[%c0] : memref<262145xf32>
  return %returned, %carried : memref<8xf32>, memref<4xf32>
}
