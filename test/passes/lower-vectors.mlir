// RUN: gqa-opt %s --gqa-lower-vectors --split-input-file | FileCheck %s

// The sum of each row of a matrix becomes one-dimensional reductions.
// CHECK-LABEL: func @rows
// CHECK-NOT: vector.multi_reduction
// CHECK-COUNT-2: vector.reduction <add>, {{.*}} : vector<4xf32> into f32
// CHECK-NOT: vector.reduction
// CHECK: return
func.func @rows(%x: vector<2x4xf32>, %start: vector<2xf32>) -> vector<2xf32> {
  %sum = vector.multi_reduction <add>, %x, %start [1] : vector<2x4xf32> to vector<2xf32>
  return %sum : vector<2xf32>
}

// -----

// A read of six elements is six loads, each of which LLVM can repeat along a vector; rows of vectors, and of four
// elements, stay what they are.
// CHECK-LABEL: func @few
// CHECK-SAME: %[[BUFFER:.*]]: memref<48x126xf32>, %[[I:.*]]: index, %[[J:.*]]: index
func.func @few(%buffer: memref<48x126xf32>, %i: index, %j: index) -> (vector<1x6xf32>, vector<1x4xf32>, vector<14xf32>) {
  %zero = arith.constant 0.0 : f32
  // CHECK: memref.load %[[BUFFER]][%[[I]], %[[J]]]
  // CHECK: %[[LAST:.*]] = arith.addi %[[J]], %c5
  // CHECK: %[[X:.*]] = memref.load %[[BUFFER]][%[[I]], %[[LAST]]]
  // CHECK: vector.from_elements {{.*}}, %[[X]] : vector<1x6xf32>
  %six = vector.transfer_read %buffer[%i, %j], %zero {in_bounds = [true, true]}
    : memref<48x126xf32>, vector<1x6xf32>
  // CHECK: vector.transfer_read {{.*}} vector<1x4xf32>
  %four = vector.transfer_read %buffer[%i, %j], %zero {in_bounds = [true, true]}
    : memref<48x126xf32>, vector<1x4xf32>
  // CHECK: vector.transfer_read {{.*}} vector<14xf32>
  %row = vector.transfer_read %buffer[%i, %j], %zero {in_bounds = [true]} : memref<48x126xf32>, vector<14xf32>
  return %six, %four, %row : vector<1x6xf32>, vector<1x4xf32>, vector<14xf32>
}

// -----

// A read of one element is a load, from a buffer of any strides, also if the element is repeated along a vector.
// CHECK-LABEL: func @load
// CHECK-SAME: %[[BUFFER:.*]]: memref<?x?xf32, strided<[?, ?], offset: ?>>, %[[I:.*]]: index, %[[J:.*]]: index
func.func @load(%buffer: memref<?x?xf32, strided<[?, ?], offset: ?>>, %i: index, %j: index)
    -> (vector<1x1xf32>, vector<16xf32>) {
  %zero = arith.constant 0.0 : f32
  // CHECK: %[[X:.*]] = memref.load %[[BUFFER]][%[[I]], %[[J]]]
  // CHECK: %[[ONE:.*]] = vector.broadcast %[[X]] : f32 to vector<1x1xf32>
  %one = vector.transfer_read %buffer[%i, %j], %zero {in_bounds = [true, true]}
    : memref<?x?xf32, strided<[?, ?], offset: ?>>, vector<1x1xf32>
  // CHECK: %[[Y:.*]] = memref.load %[[BUFFER]][%[[J]], %[[I]]]
  // CHECK: %[[SINGLE:.*]] = vector.broadcast %[[Y]] : f32 to vector<f32>
  // CHECK: %[[MANY:.*]] = vector.broadcast %[[SINGLE]] : vector<f32> to vector<16xf32>
  %many = vector.transfer_read %buffer[%j, %i], %zero {in_bounds = [true], permutation_map = affine_map<(i, j) -> (0)>}
    : memref<?x?xf32, strided<[?, ?], offset: ?>>, vector<16xf32>
  // CHECK: return %[[ONE]], %[[MANY]]
  return %one, %many : vector<1x1xf32>, vector<16xf32>
}

// -----

// A write of one element is a store.
// CHECK-LABEL: func @store
// CHECK-SAME: %[[X:.*]]: vector<1xf32>, %[[BUFFER:.*]]: memref<?xf32>, %[[I:.*]]: index
func.func @store(%x: vector<1xf32>, %buffer: memref<?xf32>, %i: index) {
  // CHECK: %[[ELEMENT:.*]] = vector.extract %[[X]][0]
  // CHECK: memref.store %[[ELEMENT]], %[[BUFFER]][%[[I]]]
  vector.transfer_write %x, %buffer[%i] {in_bounds = [true]} : vector<1xf32>, memref<?xf32>
  return
}

// -----

// Near misses: several elements; one that may lie outside; one under a mask; tensors.
// CHECK-LABEL: func @stays
// CHECK-COUNT-4: vector.transfer_read
// CHECK-COUNT-2: vector.transfer_write
// CHECK: return
func.func @stays(%buffer: memref<?xf32>, %tensor: tensor<?xf32>, %i: index, %mask: vector<1xi1>)
    -> (vector<4xf32>, vector<1xf32>) {
  %zero = arith.constant 0.0 : f32
  %four = vector.transfer_read %buffer[%i], %zero {in_bounds = [true]} : memref<?xf32>, vector<4xf32>
  %outside = vector.transfer_read %buffer[%i], %zero : memref<?xf32>, vector<1xf32>
  %masked = vector.transfer_read %buffer[%i], %zero, %mask {in_bounds = [true]} : memref<?xf32>, vector<1xf32>
  %one = vector.transfer_read %tensor[%i], %zero {in_bounds = [true]} : tensor<?xf32>, vector<1xf32>
  vector.transfer_write %outside, %buffer[%i] : vector<1xf32>, memref<?xf32>
  vector.transfer_write %masked, %buffer[%i], %mask {in_bounds = [true]} : vector<1xf32>, memref<?xf32>
  return %four, %one : vector<4xf32>, vector<1xf32>
}

// -----

// Half types are transposed as integers. Near miss: f32 stays.
// CHECK-LABEL: func @transpose
// CHECK-SAME: %[[X:.*]]: vector<4x8xbf16>, %[[Y:.*]]: vector<4x8xf32>
func.func @transpose(%x: vector<4x8xbf16>, %y: vector<4x8xf32>) -> (vector<8x4xbf16>, vector<8x4xf32>) {
  // CHECK: %[[BITS:.*]] = vector.bitcast %[[X]] : vector<4x8xbf16> to vector<4x8xi16>
  // CHECK: %[[MOVED:.*]] = vector.transpose %[[BITS]], [1, 0] : vector<4x8xi16> to vector<8x4xi16>
  // CHECK: vector.bitcast %[[MOVED]] : vector<8x4xi16> to vector<8x4xbf16>
  // CHECK: vector.transpose %[[Y]], [1, 0] : vector<4x8xf32> to vector<8x4xf32>
  %t = vector.transpose %x, [1, 0] : vector<4x8xbf16> to vector<8x4xbf16>
  %u = vector.transpose %y, [1, 0] : vector<4x8xf32> to vector<8x4xf32>
  return %t, %u : vector<8x4xbf16>, vector<8x4xf32>
}

// -----

// CHECK-LABEL: func @shorts
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.vpdpwssd.512"(%arg0, %arg1, %arg2) : (vector<16xi32>, vector<32xi16>, vector<32xi16>) -> vector<16xi32>
func.func @shorts(%sums: vector<16xi32>, %x: vector<32xi16>, %y: vector<32xi16>) -> vector<16xi32> {
  %0 = gqa.dot_shorts %sums, %x, %y : vector<16xi32>, vector<32xi16>
  return %0 : vector<16xi32>
}
