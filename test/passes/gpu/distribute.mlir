// RUN: gqa-opt %s --gqa-gpu-distribute --canonicalize --cse | FileCheck %s

// A product of registers and a tile in shared memory: one step of 16, four blocks of 8 columns. ldmatrix brings what two
// blocks need. The scores' columns are rows of the tile in memory, so it is read as it lies.
// CHECK-LABEL: func @product(
// CHECK-COUNT-2: gqa_gpu.ldmatrix %
// CHECK-NOT: ldmatrix
func.func @product(%q: !llvm.ptr<1>, %o: !llvm.ptr<1>) {
  %zero = arith.constant 0.0 : f32
  %true = arith.constant true
  %c0 = arith.constant 0 : i64
  %shared = gqa_gpu.shared_memory : <3>
  %a = gqa_gpu.load_rows %q columns 16 {
  ^bb0(%row: i32):
    %wide = arith.extsi %row : i32 to i64
    gqa_gpu.yield %wide, %true
  } : <1> -> tensor<16x16xbf16>
  %b = gqa_gpu.shared_tile %shared : <3> -> tensor<32x16xbf16>
  %empty = tensor.empty() : tensor<16x32xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<16x32xf32>) -> tensor<16x32xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : tensor<16x16xbf16>, tensor<32x16xbf16>) outs(%init : tensor<16x32xf32>) {
  ^bb0(%x: bf16, %y: bf16, %z: f32):
    %wx = arith.extf %x : bf16 to f32
    %wy = arith.extf %y : bf16 to f32
    %p = arith.mulf %wx, %wy : f32
    %r = arith.addf %z, %p : f32
    linalg.yield %r : f32
  } -> tensor<16x32xf32>
  gqa_gpu.store_rows %s to %o columns 32 {
  ^bb0(%row: i32):
    %wide = arith.extsi %row : i32 to i64
    gqa_gpu.yield %wide, %true
  } : tensor<16x32xf32>, <1>
  return
}

// A row maximum: a tree over the lane's four elements of each row, then over the four lanes that share it.
// CHECK-LABEL: func @row_maximum(
// CHECK-COUNT-3: arith.maxnumf
// CHECK: %[[ONE:.*]] = gqa_gpu.shuffle_xor %{{.*}}, 1
// CHECK: arith.maxnumf %{{.*}}, %[[ONE]]
// CHECK: %[[TWO:.*]] = gqa_gpu.shuffle_xor %{{.*}}, 2
// CHECK: arith.maxnumf %{{.*}}, %[[TWO]]
func.func @row_maximum(%s: !llvm.ptr<3>, %o: !llvm.ptr<1>) {
  %low = arith.constant 0xFF800000 : f32
  %true = arith.constant true
  %x = gqa_gpu.get_tile %s : <3> -> tensor<16x16xf32>
  %empty = tensor.empty() : tensor<16xf32>
  %init = linalg.fill ins(%low : f32) outs(%empty : tensor<16xf32>) -> tensor<16xf32>
  %m = linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m)>],
                       iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<16x16xf32>) outs(%init : tensor<16xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = arith.maxnumf %b, %a : f32
    linalg.yield %r : f32
  } -> tensor<16xf32>
  gqa_gpu.store_rows %m to %o columns 1 {
  ^bb0(%row: i32):
    %wide = arith.extsi %row : i32 to i64
    gqa_gpu.yield %wide, %true
  } : tensor<16xf32>, <1>
  return
}

// linalg.index is the row and the column of the lane's element: lane / 4 and 2 (lane mod 4), and what the element adds.
// CHECK-LABEL: func @positions(
// CHECK-DAG: %[[LANE:.*]] = arith.andi %{{.*}}, %c31_i32
// CHECK-DAG: %[[ROW:.*]] = arith.shrui %[[LANE]], %c2_i32
// CHECK-DAG: %[[PART:.*]] = arith.andi %{{.*}}, %c3_i32
// CHECK-DAG: %[[COLUMN:.*]] = arith.shli %[[PART]], %c1_i32
// CHECK-DAG: arith.addi %[[ROW]], %c8_i32
// CHECK-DAG: arith.addi %[[COLUMN]], %c1_i32
func.func @positions(%o: !llvm.ptr<3>) {
  %empty = tensor.empty() : tensor<16x8xf32>
  %x = linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>], iterator_types = ["parallel", "parallel"]}
      outs(%empty : tensor<16x8xf32>) {
  ^bb0(%z: f32):
    %row = linalg.index 0 : index
    %column = linalg.index 1 : index
    %sum = arith.addi %row, %column : index
    %word = arith.index_cast %sum : index to i32
    %r = arith.sitofp %word : i32 to f32
    linalg.yield %r : f32
  } -> tensor<16x8xf32>
  gqa_gpu.put_tile %x to %o : tensor<16x8xf32>, <3>
  return
}

// A product of f32: a step takes 8 of the inner dimension, which lanes hold as pairs, and each of both column blocks
// three products of the parts of its factors, the small ones first.
// CHECK-LABEL: func @product_f32(
// CHECK-NOT: ldmatrix
// CHECK: llvm.load %{{.*}} {alignment = 8 : i64} : !llvm.ptr<3> -> vector<2xf32>
// CHECK: %[[A:r[0-9_]*]], %[[B:r[0-9_]*]], %{{.*}} = gqa_gpu.mma_tf32
// CHECK: %[[C:r[0-9_]*]], %[[D:r[0-9_]*]], %{{.*}} = gqa_gpu.mma_tf32 {{.*}} init(%[[A]], %[[B]],
// CHECK: gqa_gpu.mma_tf32 {{.*}} init(%[[C]], %[[D]],
// CHECK-COUNT-9: gqa_gpu.mma_tf32
// CHECK-NOT: mma_tf32
func.func @product_f32(%o: !llvm.ptr<3>) {
  %zero = arith.constant 0.0 : f32
  %shared = gqa_gpu.shared_memory : <3>
  %a = gqa_gpu.shared_tile %shared : <3> -> tensor<16x16xf32>
  %b = gqa_gpu.shared_tile %shared : <3> -> tensor<16x16xf32>
  %empty = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<16x16xf32>) -> tensor<16x16xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %r = arith.addf %z, %p : f32
    linalg.yield %r : f32
  } -> tensor<16x16xf32>
  gqa_gpu.put_tile %s to %o : tensor<16x16xf32>, <3>
  return
}

// A number per column: a lane holds those of its own two columns of each block, whatever its rows.
// CHECK-LABEL: func @columns(
// CHECK-COUNT-4: llvm.load %{{.*}} : !llvm.ptr<3> -> i32
// CHECK-NOT: -> i32
func.func @columns(%s: !llvm.ptr<3>, %o: !llvm.ptr<3>) {
  %scale = tensor.generate {
  ^bb0(%column: index):
    %word = arith.index_cast %column : index to i32
    %address = llvm.getelementptr %s[%word] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i32
    %loaded = llvm.load %address : !llvm.ptr<3> -> i32
    %number = arith.sitofp %loaded : i32 to f32
    tensor.yield %number : f32
  } : tensor<16xf32>
  %x = gqa_gpu.get_tile %s : <3> -> tensor<16x16xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(m, n) -> (n)>, affine_map<(m, n) -> (m, n)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%scale : tensor<16xf32>) outs(%x : tensor<16x16xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<16x16xf32>
  gqa_gpu.put_tile %y to %o : tensor<16x16xf32>, <3>
  return
}

// Rows of 40 bytes go in chunks of 8; a scale per key is a row of 4.
// CHECK-LABEL: func @copies(
// CHECK: gqa_gpu.cp_async {{.*}} of 8
// CHECK: gqa_gpu.cp_async {{.*}} of 4
func.func @copies(%k: !llvm.ptr<1>) {
  %true = arith.constant true
  %shared = gqa_gpu.shared_memory : <3>
  gqa_gpu.copy_rows %k to %shared rows 16 columns 40 width 48 pitch 64 threads 96 element i8 {
  ^bb0(%row: i32):
    %wide = arith.extsi %row : i32 to i64
    gqa_gpu.yield %wide, %true
  } : <1>, <3>
  gqa_gpu.copy_rows %k to %shared rows 32 columns 1 width 1 pitch 4 threads 32 element f32 {
  ^bb0(%row: i32):
    %wide = arith.extsi %row : i32 to i64
    gqa_gpu.yield %wide, %true
  } : <1>, <3>
  return
}

// 4-bit integers: a thread takes four bytes, and stores eight numbers at once.
// CHECK-LABEL: func @nibbles(
// CHECK: %[[BYTES:.*]] = llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr<3> -> vector<4xi8>
// CHECK-COUNT-8: arith.sitofp %{{.*}} : i32 to
// CHECK: llvm.store %{{.*}} {alignment = 16 : i64} : vector<4xi32>, !llvm.ptr<3>
// CHECK-NOT: llvm.store
func.func @nibbles() {
  %shared = gqa_gpu.shared_memory : <3>
  gqa_gpu.convert_rows %shared to %shared rows 16 columns 32 width 32 pitch 32 threads 64 from packed i8 to bf16
      : <3>, <3>
  return
}
