// RUN: gqa-opt %s --split-input-file --gqa-outline-tasks --canonicalize --cse | FileCheck %s

// The loop becomes one call of the host's parallel-for: its first field, called with its fifth (the host's own state),
// the number of tasks, the task function and a frame. The frame holds the host, the address of the status word that the
// function returns, and what the body captures; constants are repeated in the task instead.
// CHECK-LABEL: func.func @entry
// CHECK-SAME: %[[HOST:[a-z0-9]*]]: !llvm.ptr, %[[IN:[a-z0-9]*]]: memref<?xf32>, %[[OUT:[a-z0-9]*]]: memref<?xf32>
// CHECK-SAME: %[[N:[a-z0-9]*]]: index) -> i32
func.func @entry(%host: !llvm.ptr, %in: memref<?xf32>, %out: memref<?xf32>, %n: index) -> i32 {
  // CHECK-NOT: scf.forall
  // CHECK-DAG: %[[TASK:.*]] = constant @entry_task0 : (!llvm.ptr, i64) -> ()
  // CHECK-DAG: %[[THREE:.*]] = arith.constant 3 : index
  // CHECK-DAG: %[[OK:.*]] = llvm.mlir.constant(0 : i32) : i32
  // CHECK: %[[STATUS:.*]] = llvm.alloca %{{.*}} x i32
  // CHECK: %[[FRAME:.*]] = llvm.alloca %{{.*}} x !llvm.struct<(ptr, ptr, struct<{{.*}}>, struct<{{.*}}>, i64{{.*}})>
  // CHECK: llvm.store %[[OK]], %[[STATUS]]
  // CHECK: %[[FIRST:.*]] = llvm.getelementptr %[[FRAME]][0, 0]
  // CHECK: llvm.store %[[HOST]], %[[FIRST]]
  // CHECK: %[[SECOND:.*]] = llvm.getelementptr %[[FRAME]][0, 1]
  // CHECK: llvm.store %[[STATUS]], %[[SECOND]]
  // CHECK: builtin.unrealized_conversion_cast %[[IN]]
  // CHECK: builtin.unrealized_conversion_cast %[[OUT]]
  // CHECK: %[[COUNT:.*]] = arith.muli %[[N]], %[[THREE]]
  // CHECK: %[[TASKS:.*]] = arith.index_cast %[[COUNT]] : index to i64
  // CHECK: %[[FUNCTION:.*]] = builtin.unrealized_conversion_cast %[[TASK]]
  // CHECK: %[[PARALLEL_FOR:.*]] = llvm.load %[[HOST]]
  // CHECK: %[[FIFTH:.*]] = llvm.getelementptr %[[HOST]][4]
  // CHECK: %[[STATE:.*]] = llvm.load %[[FIFTH]]
  // CHECK: llvm.call %[[PARALLEL_FOR]](%[[STATE]], %[[TASKS]], %[[FUNCTION]], %[[FRAME]])
  // CHECK: %[[RESULT:.*]] = llvm.load %[[STATUS]] : !llvm.ptr -> i32
  // CHECK: return %[[RESULT]]
  %ok = arith.constant 0 : i32
  %two = arith.constant 2.0 : f32
  scf.forall (%i, %j) in (%n, 3) {
    %x = memref.load %in[%i] : memref<?xf32>
    %y = arith.mulf %x, %two : f32
    memref.store %y, %out[%j] : memref<?xf32>
  }
  return %ok : i32
}
// The task's number becomes the induction variables, the last of which runs fastest.
// CHECK-LABEL: func.func private @entry_task0
// CHECK-SAME: %[[FRAME:[a-z0-9]*]]: !llvm.ptr, %[[NUMBER:[a-z0-9]*]]: i64
// CHECK-DAG: %[[TWO:.*]] = arith.constant 2.000000e+00 : f32
// CHECK: llvm.getelementptr %[[FRAME]][0, 2]
// CHECK: %[[LOCAL_IN:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<?xf32>
// CHECK: llvm.getelementptr %[[FRAME]][0, 3]
// CHECK: %[[LOCAL_OUT:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<?xf32>
// CHECK: %[[INDEX:.*]] = arith.index_cast %[[NUMBER]] : i64 to index
// CHECK: %[[INNER:.*]] = arith.remui %[[INDEX]]
// CHECK: %[[OUTER:.*]] = arith.divui %[[INDEX]]
// CHECK: %[[J_STEP:.*]] = arith.muli %[[INNER]]
// CHECK: %[[J:.*]] = arith.addi %[[J_STEP]]
// CHECK: %[[I_STEP:.*]] = arith.muli %[[OUTER]]
// CHECK: %[[I:.*]] = arith.addi %[[I_STEP]]
// CHECK: %[[X:.*]] = memref.load %[[LOCAL_IN]][%[[I]]]
// CHECK: %[[Y:.*]] = arith.mulf %[[X]], %[[TWO]]
// CHECK: memref.store %[[Y]], %[[LOCAL_OUT]][%[[J]]]

// -----

// Two loops are two tasks; a loop inside a task runs there, one iteration after the other.
// CHECK-LABEL: func.func @several
// CHECK-COUNT-2: llvm.call
// CHECK-NOT: llvm.call
// CHECK-DAG: func.func private @several_task0
// CHECK-DAG: func.func private @several_task1
// CHECK-NOT: func.func
// CHECK-NOT: scf.forall
func.func @several(%host: !llvm.ptr, %out: memref<?x?xf32>, %n: index, %x: f32) -> i32 {
  %ok = arith.constant 0 : i32
  scf.forall (%i) in (%n) {
    scf.forall (%j) in (%n) {
      memref.store %x, %out[%i, %j] : memref<?x?xf32>
    }
  }
  scf.forall (%i) = (2) to (%n) step (4) {
    memref.store %x, %out[%i, %i] : memref<?x?xf32>
  }
  return %ok : i32
}

// -----

// Near miss: without a parallel loop there is neither a frame nor a status word.
// CHECK-LABEL: func.func @sequential
// CHECK-NOT: llvm.alloca
// CHECK: scf.for
// CHECK-NOT: func.func
func.func @sequential(%host: !llvm.ptr, %out: memref<?xf32>, %n: index, %x: f32) -> i32 {
  %ok = arith.constant 0 : i32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    memref.store %x, %out[%i] : memref<?xf32>
  }
  return %ok : i32
}
