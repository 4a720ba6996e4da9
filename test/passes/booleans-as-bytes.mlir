// RUN: gqa-opt %s --gqa-booleans-as-bytes | FileCheck %s

// CHECK-LABEL: llvm.func @copy
// CHECK:         %[[BYTES:.*]] = llvm.load %{{.*}} {alignment = 1 : i64} : !llvm.ptr -> vector<16xi8>
// CHECK:         %[[BITS:.*]] = llvm.trunc %[[BYTES]] : vector<16xi8> to vector<16xi1>
// CHECK:         %[[WIDE:.*]] = llvm.zext %[[BITS]] : vector<16xi1> to vector<16xi8>
// CHECK:         llvm.store %[[WIDE]], %{{.*}} {alignment = 1 : i64} : vector<16xi8>, !llvm.ptr
llvm.func @copy(%from: !llvm.ptr, %to: !llvm.ptr) {
  %0 = llvm.load %from : !llvm.ptr -> vector<16xi1>
  llvm.store %0, %to : vector<16xi1>, !llvm.ptr
  llvm.return
}

// CHECK-LABEL: llvm.func @masked
// CHECK:         llvm.intr.masked.load %{{.*}} -> vector<16xi8>
// CHECK:         llvm.intr.masked.store %{{.*}} : vector<16xi8>, vector<16xi1> into !llvm.ptr
llvm.func @masked(%from: !llvm.ptr, %to: !llvm.ptr, %mask: vector<16xi1>, %other: vector<16xi1>) {
  %0 = llvm.intr.masked.load %from, %mask, %other {alignment = 1 : i32}
    : (!llvm.ptr, vector<16xi1>, vector<16xi1>) -> vector<16xi1>
  llvm.intr.masked.store %0, %to, %mask {alignment = 1 : i32} : vector<16xi1>, vector<16xi1> into !llvm.ptr
  llvm.return
}

// Scalars are bytes already, and other vectors have one form.
// CHECK-LABEL: llvm.func @others
// CHECK:         llvm.load %{{.*}} : !llvm.ptr -> i1
// CHECK:         llvm.load %{{.*}} : !llvm.ptr -> vector<16xf32>
// CHECK-NOT:     llvm.trunc
llvm.func @others(%from: !llvm.ptr, %to: !llvm.ptr) -> i1 {
  %0 = llvm.load %from : !llvm.ptr -> i1
  %1 = llvm.load %from : !llvm.ptr -> vector<16xf32>
  llvm.store %1, %to : vector<16xf32>, !llvm.ptr
  llvm.return %0 : i1
}
