// RUN: gqa-opt %s --split-input-file --gqa-tile-rows --canonicalize --cse | FileCheck %s
// RUN: gqa-opt %s --split-input-file --gqa-tile-rows=vector-bits=256 --canonicalize --cse \
// RUN:   | FileCheck %s --check-prefix=NARROW

// Rows are divided into tasks; the innermost dimension becomes four vectors, one vector, then scalars.
// CHECK-LABEL: func @scale
// NARROW-LABEL: func @scale
func.func @scale(%x: tensor<?x?xf32>, %out: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // CHECK: scf.forall
  // CHECK: scf.for
  // CHECK: scf.for
  // CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<1x64xf32>)
  // CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<1x16xf32>)
  // CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<1x1xf32>)
  // CHECK: tensor.parallel_insert_slice

  // Half of that with vectors of 256 bits.
  // NARROW: linalg.generic {{.*}} outs(%{{.*}} : tensor<1x32xf32>)
  // NARROW: linalg.generic {{.*}} outs(%{{.*}} : tensor<1x8xf32>)
  // NARROW: linalg.generic {{.*}} outs(%{{.*}} : tensor<1x1xf32>)
  %r = linalg.generic {
    indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x?xf32>) outs(%out : tensor<?x?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %m = arith.mulf %a, %a : f32
    linalg.yield %m : f32
  } -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

// A reduction along the rows is a vector along the reduction, with a sum per lane that are added once per row; tasks take
// several rows.
// CHECK-LABEL: func @row_sum
func.func @row_sum(%x: tensor<512x256xf32>, %out: tensor<512xf32>) -> tensor<512xf32> {
  // CHECK: scf.forall (%{{.*}}) in (8)
  // CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]} ins(%{{.*}} : tensor<1x64xf32>) outs(%{{.*}} : tensor<1x64xf32>)
  // CHECK: linalg.reduce ins(%{{.*}} : tensor<1x64xf32>) outs(%{{.*}} : tensor<1xf32>)
  // CHECK-NOT: linalg.generic
  %r = linalg.generic {
    indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
    iterator_types = ["parallel", "reduction"]} ins(%x : tensor<512x256xf32>) outs(%out : tensor<512xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %o, %a : f32
    linalg.yield %s : f32
  } -> tensor<512xf32>
  return %r : tensor<512xf32>
}

// -----

// A transposition goes by square blocks. A small op is not worth tasks.
// CHECK-LABEL: func @transpose
// NARROW-LABEL: func @transpose
// NARROW: ins(%{{.*}} : tensor<8x8xf32>) outs(%{{.*}} : tensor<8x8xf32>)
func.func @transpose(%x: tensor<32x64xf32>, %out: tensor<64x32xf32>) -> tensor<64x32xf32> {
  // CHECK-NOT: scf.forall
  // CHECK: ins(%{{.*}} : tensor<16x16xf32>) outs(%{{.*}} : tensor<16x16xf32>)
  %r = linalg.generic {
    indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]} ins(%x : tensor<32x64xf32>) outs(%out : tensor<64x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<64x32xf32>
  return %r : tensor<64x32xf32>
}

// -----

// A gather does not vectorise: it becomes tasks and stays whole in them.
// CHECK-LABEL: func @gather
func.func @gather(%table: tensor<1000x64xf32>, %ids: tensor<?xi64>, %out: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: scf.forall
  // CHECK-NOT: scf.for
  // CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<?x64xf32>)
  // CHECK: tensor.extract %
  %r = linalg.generic {
    indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]} ins(%ids : tensor<?xi64>) outs(%out : tensor<?x64xf32>) {
  ^bb0(%id: i64, %o: f32):
    %i = arith.index_cast %id : i64 to index
    %j = linalg.index 1 : index
    %e = tensor.extract %table[%i, %j] : tensor<1000x64xf32>
    linalg.yield %e : f32
  } -> tensor<?x64xf32>
  return %r : tensor<?x64xf32>
}

// -----

// What is inside a task already is cut into vectors, but not into tasks of its own.
// CHECK-LABEL: func @in_task
// CHECK: scf.forall
// CHECK-NOT: scf.forall (
// CHECK: linalg.exp ins(%{{.*}} : tensor<64xf32>)
// CHECK: linalg.exp ins(%{{.*}} : tensor<16xf32>)
// CHECK: linalg.exp ins(%{{.*}} : tensor<1xf32>)
func.func @in_task(%x: tensor<4x?xf32>, %out: tensor<4x?xf32>, %n: index) -> tensor<4x?xf32> {
  %r = scf.forall (%i) in (4) shared_outs(%o = %out) -> (tensor<4x?xf32>) {
    %row = tensor.extract_slice %x[%i, 0] [1, %n] [1, 1] : tensor<4x?xf32> to tensor<?xf32>
    %place = tensor.extract_slice %o[%i, 0] [1, %n] [1, 1] : tensor<4x?xf32> to tensor<?xf32>
    %e = linalg.exp ins(%row : tensor<?xf32>) outs(%place : tensor<?xf32>) -> tensor<?xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %e into %o[%i, 0] [1, %n] [1, 1] : tensor<?xf32> into tensor<4x?xf32>
    }
  }
  return %r : tensor<4x?xf32>
}
