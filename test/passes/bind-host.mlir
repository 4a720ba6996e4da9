// RUN: gqa-opt %s --split-input-file --gqa-bind-host | FileCheck %s

// Memory comes from the host's second field and goes to its third; both get the host's state, the fifth. Addresses are
// multiples of 64 bytes. Without memory the function ends with status 6, out_of_memory.
// CHECK-NOT: @malloc
// CHECK-NOT: @free
llvm.func @malloc(i64) -> !llvm.ptr
llvm.func @free(!llvm.ptr)
// CHECK-LABEL: llvm.func internal @f
// CHECK-SAME: %[[HOST:[a-z0-9]*]]: !llvm.ptr, %[[SIZE:[a-z0-9]*]]: i64
llvm.func @f(%host: !llvm.ptr, %size: i64) -> i32 {
  // CHECK: %[[ALIGNMENT:.*]] = llvm.mlir.constant(64 : i64)
  // CHECK: %[[SECOND:.*]] = llvm.getelementptr %[[HOST]][1]
  // CHECK: %[[ALLOCATE:.*]] = llvm.load %[[SECOND]]
  // CHECK: %[[FIFTH:.*]] = llvm.getelementptr %[[HOST]][4]
  // CHECK: %[[STATE:.*]] = llvm.load %[[FIFTH]]
  // CHECK: %[[P:.*]] = llvm.call %[[ALLOCATE]](%[[STATE]], %[[SIZE]], %[[ALIGNMENT]])
  // CHECK: %[[NULL:.*]] = llvm.mlir.zero : !llvm.ptr
  // CHECK: %[[FAILED:.*]] = llvm.icmp "eq" %[[P]], %[[NULL]]
  // CHECK: llvm.cond_br %[[FAILED]], ^[[FAILURE:.*]], ^[[REST:.*]]{{$}}
  // CHECK: ^[[FAILURE]]:
  // CHECK-NEXT: %[[OUT_OF_MEMORY:.*]] = llvm.mlir.constant(6 : i32)
  // CHECK-NEXT: llvm.return %[[OUT_OF_MEMORY]]
  // CHECK: ^[[REST]]:
  // CHECK: llvm.store %{{.*}}, %[[P]]
  // CHECK: %[[THIRD:.*]] = llvm.getelementptr %[[HOST]][2]
  // CHECK: %[[DEALLOCATE:.*]] = llvm.load %[[THIRD]]
  // CHECK: llvm.call %[[DEALLOCATE]](%{{.*}}, %[[P]])
  %ok = llvm.mlir.constant(0 : i32) : i32
  %p = llvm.call @malloc(%size) : (i64) -> !llvm.ptr
  llvm.store %ok, %p : i32, !llvm.ptr
  llvm.call @free(%p) : (!llvm.ptr) -> ()
  llvm.return %ok : i32
}

// -----

// A task finds the host in its frame. It returns nothing: the status goes where the frame's second field points.
llvm.func @malloc(i64) -> !llvm.ptr
// CHECK-LABEL: llvm.func internal @f_task0
// CHECK-SAME: %[[FRAME:[a-z0-9]*]]: !llvm.ptr, %[[NUMBER:[a-z0-9]*]]: i64
llvm.func @f_task0(%frame: !llvm.ptr, %number: i64) {
  // CHECK: %[[FIRST:.*]] = llvm.getelementptr %[[FRAME]][0]
  // CHECK: %[[HOST:.*]] = llvm.load %[[FIRST]]
  // CHECK: llvm.getelementptr %[[HOST]][1]
  // CHECK: llvm.cond_br %{{.*}}, ^[[FAILURE:.*]], ^[[REST:.*]]{{$}}
  // CHECK: ^[[FAILURE]]:
  // CHECK: %[[OUT_OF_MEMORY:.*]] = llvm.mlir.constant(6 : i32)
  // CHECK: %[[SECOND:.*]] = llvm.getelementptr %[[FRAME]][1]
  // CHECK: %[[STATUS:.*]] = llvm.load %[[SECOND]]
  // CHECK: llvm.store %[[OUT_OF_MEMORY]], %[[STATUS]] : i32
  // CHECK: llvm.return
  %p = llvm.call @malloc(%number) : (i64) -> !llvm.ptr
  llvm.store %number, %p : i64, !llvm.ptr
  llvm.return
}

// -----

// The entry unpacks one pointer per descriptor. It alone is visible from outside.
// CHECK-LABEL: llvm.func internal @_mlir_ciface_f
llvm.func @_mlir_ciface_f(%host: !llvm.ptr, %argument: !llvm.ptr, %result: !llvm.ptr) -> i32 {
  %ok = llvm.mlir.constant(0 : i32) : i32
  llvm.return %ok : i32
}
// CHECK-LABEL: llvm.func @gqa_run_f
// CHECK-SAME: %[[HOST:[a-z0-9]*]]: !llvm.ptr, %[[ARGS:[a-z0-9]*]]: !llvm.ptr) -> i32
// CHECK: %[[FIRST:.*]] = llvm.getelementptr %[[ARGS]][0] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
// CHECK: %[[ARGUMENT:.*]] = llvm.load %[[FIRST]]
// CHECK: %[[SECOND:.*]] = llvm.getelementptr %[[ARGS]][1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
// CHECK: %[[RESULT:.*]] = llvm.load %[[SECOND]]
// CHECK: %[[STATUS:.*]] = llvm.call @_mlir_ciface_f(%[[HOST]], %[[ARGUMENT]], %[[RESULT]])
// CHECK: llvm.return %[[STATUS]]

// -----

// The shape function keeps its name as an entry; its body gets another.
// CHECK: llvm.func internal @gqa_shape_f_body
llvm.func @gqa_shape_f(%host: !llvm.ptr) -> i32 {
  %ok = llvm.mlir.constant(0 : i32) : i32
  llvm.return %ok : i32
}
// CHECK: llvm.func internal @_mlir_ciface_gqa_shape_f
// CHECK: llvm.call @gqa_shape_f_body
llvm.func @_mlir_ciface_gqa_shape_f(%host: !llvm.ptr) -> i32 {
  %status = llvm.call @gqa_shape_f(%host) : (!llvm.ptr) -> i32
  llvm.return %status : i32
}
// CHECK: llvm.func @gqa_shape_f(
// CHECK: llvm.call @_mlir_ciface_gqa_shape_f
// CHECK-NOT: @gqa_run_

// -----

// Near miss: other functions outside the module stay, and calls of them too.
// CHECK: llvm.func @cosf(f32) -> f32
llvm.func @cosf(f32) -> f32
// CHECK-LABEL: llvm.func internal @other
// CHECK: llvm.call @cosf
llvm.func @other(%host: !llvm.ptr, %x: f32) -> f32 {
  %y = llvm.call @cosf(%x) : (f32) -> f32
  llvm.return %y : f32
}
