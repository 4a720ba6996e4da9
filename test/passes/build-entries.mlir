// RUN: gqa-opt %s --split-input-file --gqa-build-entries --canonicalize --cse | FileCheck %s

// An entry takes the host's table, a buffer per argument and a buffer per result, and returns a status. Buffers have
// any strides but the innermost. The description names dynamic dimensions; those that attention wants equal share one
// name: s0 is the query's, the mask's and the result's number of rows, s1 the number of keys.
// CHECK-LABEL: module attributes {gqa.description =
// CHECK-SAME: [{\22arguments\22:[
// CHECK-SAME: {\22shape\22:[2,2,\22s0\22,16],\22type\22:\22f32\22},
// CHECK-SAME: {\22shape\22:[2,\22s1\22,16],\22type\22:\22f16\22},
// CHECK-SAME: {\22shape\22:[2,\22s1\22,16],\22type\22:\22f16\22},
// CHECK-SAME: {\22shape\22:[\22s0\22,\22s1\22],\22type\22:\22i1\22}],
// CHECK-SAME: \22name\22:\22attention\22,
// CHECK-SAME: \22results\22:[{\22shape\22:[2,2,\22s0\22,16],\22type\22:\22f32\22}],
// CHECK-SAME: \22schedules\22:[\22#gqa.schedule<lanes = row, g = 2, m = 4, rows = 8, n = 8, split = 0, dot = false>\22]}]
#schedule = #gqa.schedule<lanes = row, g = 2, m = 4, rows = 8, n = 8, split = 0, dot = false>

// CHECK-LABEL: func.func @attention(%{{.*}}: !llvm.ptr,
// CHECK-SAME: %[[Q:[a-z0-9]*]]: memref<2x2x?x16xf32, strided<[?, ?, ?, 1], offset: ?>>,
// CHECK-SAME: %[[K:[a-z0-9]*]]: memref<2x?x16xf16, strided<[?, ?, 1], offset: ?>>,
// CHECK-SAME: %[[V:[a-z0-9]*]]: memref<2x?x16xf16, strided<[?, ?, 1], offset: ?>>,
// CHECK-SAME: %[[MASK:[a-z0-9]*]]: memref<?x?xi8, strided<[?, 1], offset: ?>>,
// CHECK-SAME: %[[OUT:[a-z0-9]*]]: memref<2x2x?x16xf32, strided<[?, ?, ?, 1], offset: ?>>) -> i32
// CHECK-SAME: llvm.emit_c_interface
func.func @attention(%q: tensor<2x2x?x16xf32>, %k: tensor<2x?x16xf16>, %v: tensor<2x?x16xf16>, %mask: tensor<?x?xi1>)
    -> tensor<2x2x?x16xf32> {
  // The mask of i1 is read as the bytes that it is made of, without a converted copy.
  // CHECK-DAG: %[[OK:.*]] = arith.constant 0 : i32
  // CHECK-DAG: %[[QUERY:.*]] = bufferization.to_tensor %[[Q]] restrict
  // CHECK-DAG: %[[BYTES:.*]] = bufferization.to_tensor %[[MASK]] restrict {{.*}} to tensor<?x?xi8>
  // CHECK-NOT: linalg.generic
  // CHECK: %[[O:.*]] = gqa.attention
  // CHECK: query(%[[QUERY]]
  // CHECK: mask(%[[BYTES]][m, n] : tensor<?x?xi8>)
  // CHECK: bufferization.materialize_in_destination %[[O]] in restrict writable %[[OUT]]
  // CHECK: return %[[OK]] : i32

  // Beside it stands the function of its results' shapes: 2, 2, the query's rows, 16.
  // CHECK-LABEL: func.func @gqa_shape_attention(%{{.*}}: !llvm.ptr,
  // CHECK-SAME: %[[Q:[a-z0-9]*]]: memref<2x2x?x16xf32
  // CHECK-SAME: %[[SHAPE:[a-z0-9]*]]: memref<4xi64>) -> i32
  // CHECK-NOT: gqa.attention
  // CHECK-DAG: %[[C2:.*]] = arith.constant 2 : index
  // CHECK-DAG: %[[SIXTEEN:.*]] = arith.constant 16 : i64
  // CHECK-DAG: %[[C3:.*]] = arith.constant 3 : index
  // CHECK: %[[ROWS:.*]] = memref.dim %[[Q]], %[[C2]]
  // CHECK: %[[EXTENT:.*]] = arith.index_cast %[[ROWS]] : index to i64
  // CHECK: memref.store %[[EXTENT]], %[[SHAPE]][%[[C2]]]
  // CHECK: memref.store %[[SIXTEEN]], %[[SHAPE]][%[[C3]]]
  %c2 = arith.constant 2 : index
  %m = tensor.dim %q, %c2 : tensor<2x2x?x16xf32>
  %init = tensor.empty(%m) : tensor<2x2x?x16xf32>
  %o = gqa.attention scale 0.25 schedule(#schedule)
    query(%q[hkv, g, m, dqk] : tensor<2x2x?x16xf32>) key(%k[hkv, n, dqk] : tensor<2x?x16xf16>)
    value(%v[hkv, n, dv] : tensor<2x?x16xf16>) mask(%mask[m, n] : tensor<?x?xi1>)
    outs(%init[hkv, g, m, dv] : tensor<2x2x?x16xf32>)
  return %o : tensor<2x2x?x16xf32>
}

// -----

// Scalars travel in buffers of rank 0, booleans as bytes that are 0 or 1: any other byte counts as 1 on its way in.
// CHECK-LABEL: module attributes {gqa.description =
// CHECK-SAME: {\22shape\22:[],\22type\22:\22i1\22},{\22shape\22:[4],\22type\22:\22i1\22}],\22name\22:\22booleans\22
// CHECK-LABEL: func.func @booleans(%{{[a-z0-9]*}}: !llvm.ptr,
// CHECK-SAME: %[[X:[a-z0-9]*]]: memref<i8>, %[[T:[a-z0-9]*]]: memref<4xi8
// CHECK-SAME: %[[Y:[a-z0-9]*]]: memref<i8>, %[[U:[a-z0-9]*]]: memref<4xi8
// CHECK: %[[BYTE:.*]] = memref.load %[[X]][]
// CHECK: %[[BIT:.*]] = arith.cmpi ne, %[[BYTE]]
// CHECK: linalg.generic
// CHECK: arith.cmpi ne
// CHECK: %[[BACK:.*]] = arith.extui %[[BIT]] : i1 to i8
// CHECK: memref.store %[[BACK]], %[[Y]][]
// CHECK: linalg.generic
// CHECK: arith.extui
// CHECK: bufferization.materialize_in_destination %{{.*}} in restrict writable %[[U]]
// CHECK-LABEL: func.func @gqa_shape_booleans
// CHECK-SAME: memref<0xi64>, %{{.*}}: memref<1xi64>) -> i32
func.func @booleans(%x: i1, %t: tensor<4xi1>) -> (i1, tensor<4xi1>) {
  return %x, %t : i1, tensor<4xi1>
}

// -----

// A dimension of a result that no argument has is unknown until the shape function has run. Dimensions that nothing
// relates have names of their own.
// CHECK-LABEL: module attributes {gqa.description =
// CHECK-SAME: [{\22arguments\22:[{\22shape\22:[\22s0\22],\22type\22:\22f32\22},{\22shape\22:[\22s1\22],\22type\22:\22f32\22}]
// CHECK-SAME: \22results\22:[{\22shape\22:[\22?\22],\22type\22:\22f32\22}]
// CHECK-LABEL: func.func @gqa_shape_both
// CHECK-SAME: %[[X:[a-z0-9]*]]: memref<?xf32, {{[^,]*, [^,]*}}, %[[Y:[a-z0-9]*]]: memref<?xf32, {{.*}}, %[[SHAPE:[a-z0-9]*]]: memref<1xi64>
// CHECK-DAG: %[[M:.*]] = memref.dim %[[X]]
// CHECK-DAG: %[[N:.*]] = memref.dim %[[Y]]
// CHECK: %[[SUM:.*]] = arith.addi %[[M]], %[[N]]
// CHECK: %[[EXTENT:.*]] = arith.index_cast %[[SUM]] : index to i64
// CHECK: memref.store %[[EXTENT]], %[[SHAPE]]
func.func @both(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1.0 : f32
  %m = tensor.dim %x, %c0 : tensor<?xf32>
  %n = tensor.dim %y, %c0 : tensor<?xf32>
  %sum = arith.addi %m, %n : index
  %empty = tensor.empty(%sum) : tensor<?xf32>
  %ones = linalg.fill ins(%one : f32) outs(%empty : tensor<?xf32>) -> tensor<?xf32>
  return %ones : tensor<?xf32>
}

// -----

// Near misses: private functions and declarations are no entries.
// CHECK-LABEL: module attributes {gqa.description = "[]"}
// CHECK: func.func private @helper(%{{.*}}: tensor<4xf32>) -> tensor<4xf32>
// CHECK: func.func private @declared(tensor<4xf32>)
// CHECK-NOT: func.func
func.func private @helper(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
func.func private @declared(tensor<4xf32>)
