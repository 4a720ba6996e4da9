// RUN: gqa-opt %s --gqa-share-tasks | FileCheck %s

// Entries stay, whatever they have in common. Both call one task; the task of another constant is another one.
// CHECK:     func.func @a
// CHECK:       constant @a_task0
// CHECK:       constant @a_task1
// CHECK:     func.func @b
// CHECK:       constant @a_task0
// CHECK:     func.func private @a_task0
// CHECK:     func.func private @a_task1
// CHECK-NOT: func.func
func.func @a() -> ((!llvm.ptr, i64) -> (), (!llvm.ptr, i64) -> ()) {
  %0 = constant @a_task0 : (!llvm.ptr, i64) -> ()
  %1 = constant @a_task1 : (!llvm.ptr, i64) -> ()
  return %0, %1 : (!llvm.ptr, i64) -> (), (!llvm.ptr, i64) -> ()
}
func.func @b() -> ((!llvm.ptr, i64) -> (), (!llvm.ptr, i64) -> ()) {
  %0 = constant @b_task0 : (!llvm.ptr, i64) -> ()
  %1 = constant @a_task1 : (!llvm.ptr, i64) -> ()
  return %0, %1 : (!llvm.ptr, i64) -> (), (!llvm.ptr, i64) -> ()
}
func.func private @a_task0(%frame: !llvm.ptr, %index: i64) {
  %one = llvm.mlir.constant(1.0 : f32) : f32
  llvm.store %one, %frame : f32, !llvm.ptr
  return
}
func.func private @a_task1(%frame: !llvm.ptr, %index: i64) {
  %two = llvm.mlir.constant(2.0 : f32) : f32
  llvm.store %two, %frame : f32, !llvm.ptr
  return
}
func.func private @b_task0(%frame: !llvm.ptr, %index: i64) {
  %one = llvm.mlir.constant(1.0 : f32) : f32
  llvm.store %one, %frame : f32, !llvm.ptr
  return
}
