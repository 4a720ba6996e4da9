// Ops beside attention that have no vector form, or a form of their own: a search for the index of a maximum, a window,
// a softmax, functions of libm, a loop around tensors, sums of what is computed on the way, booleans in memory, a
// dimension read backwards. NumPy says what they give.
//
// RUN: gqa-compile %s -o %t.so
// RUN: %python %S/Inputs/other-ops.py %t
// RUN: gqa-run %t.so --function argmax --input @%t.x.npy --expect @%t.max.npy --expect @%t.index.npy
// RUN: gqa-run %t.so --function maximum_of_windows --input @%t.image.npy --expect @%t.windows.npy
// RUN: gqa-run %t.so --function softmax --input @%t.x.npy --expect @%t.softmax.npy --atol 1e-6
// RUN: gqa-run %t.so --function erf --input @%t.x.npy --expect @%t.erf.npy --atol 1e-6
// RUN: gqa-run %t.so --function erf_of_halves --input @%t.halves.npy --expect @%t.erf_of_halves.npy --atol 1e-3
// RUN: gqa-run %t.so --function power --input @%t.matrix.npy --expect @%t.power.npy --atol 1e-4
// RUN: gqa-run %t.so --function sums --input @%t.x.npy --expect @%t.sum_of_exponentials.npy --expect @%t.sum_of_squares.npy
// RUN: gqa-run %t.so --function products --input @%t.matrix.npy --expect @%t.products.npy
// RUN: gqa-run %t.so --function booleans --input @%t.x.npy --expect @%t.positive.npy --expect @%t.kept.npy
// RUN: gqa-run %t.so --function backwards --input @%t.x.npy --expect @%t.backwards.npy
// RUN: gqa-run %t.so --function column --input @%t.column.npy --expect @%t.exponentials.npy

func.func @argmax(%x: tensor<4x37xf32>) -> (tensor<4xf32>, tensor<4xi64>) {
  %lowest = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0 : i64
  %empty_max = tensor.empty() : tensor<4xf32>
  %empty_index = tensor.empty() : tensor<4xi64>
  %max = linalg.fill ins(%lowest : f32) outs(%empty_max : tensor<4xf32>) -> tensor<4xf32>
  %index = linalg.fill ins(%zero : i64) outs(%empty_index : tensor<4xi64>) -> tensor<4xi64>
  %r:2 = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<4x37xf32>) outs(%max, %index : tensor<4xf32>, tensor<4xi64>) {
  ^bb0(%a: f32, %best: f32, %where: i64):
    %j = linalg.index 1 : index
    %here = arith.index_cast %j : index to i64
    %is_more = arith.cmpf ogt, %a, %best : f32
    %new_best = arith.select %is_more, %a, %best : f32
    %new_where = arith.select %is_more, %here, %where : i64
    linalg.yield %new_best, %new_where : f32, i64
  } -> (tensor<4xf32>, tensor<4xi64>)
  return %r#0, %r#1 : tensor<4xf32>, tensor<4xi64>
}

func.func @maximum_of_windows(%x: tensor<1x8x8x4xf32>) -> tensor<1x4x4x4xf32> {
  %lowest = arith.constant 0xFF800000 : f32
  %window = tensor.empty() : tensor<2x2xf32>
  %empty = tensor.empty() : tensor<1x4x4x4xf32>
  %init = linalg.fill ins(%lowest : f32) outs(%empty : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  %r = linalg.pooling_nhwc_max {strides = dense<2> : tensor<2xi64>}
    ins(%x, %window : tensor<1x8x8x4xf32>, tensor<2x2xf32>) outs(%init : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  return %r : tensor<1x4x4x4xf32>
}

func.func @softmax(%x: tensor<4x37xf32>) -> tensor<4x37xf32> {
  %empty = tensor.empty() : tensor<4x37xf32>
  %r = linalg.softmax dimension(1) ins(%x : tensor<4x37xf32>) outs(%empty : tensor<4x37xf32>) -> tensor<4x37xf32>
  return %r : tensor<4x37xf32>
}

// A library function without an instruction, on whole vectors and on halves of floats.
func.func @erf(%x: tensor<4x37xf32>) -> tensor<4x37xf32> {
  %empty = tensor.empty() : tensor<4x37xf32>
  %r = linalg.erf ins(%x : tensor<4x37xf32>) outs(%empty : tensor<4x37xf32>) -> tensor<4x37xf32>
  return %r : tensor<4x37xf32>
}
func.func @erf_of_halves(%x: tensor<4x48xf16>) -> tensor<4x48xf16> {
  %empty = tensor.empty() : tensor<4x48xf16>
  %r = linalg.erf ins(%x : tensor<4x48xf16>) outs(%empty : tensor<4x48xf16>) -> tensor<4x48xf16>
  return %r : tensor<4x48xf16>
}

// A loop that carries a tensor which each iteration makes anew: x^4.
func.func @power(%x: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %zero = arith.constant 0.0 : f32
  %r = scf.for %i = %c0 to %c3 step %c1 iter_args(%power = %x) -> tensor<16x16xf32> {
    %empty = tensor.empty() : tensor<16x16xf32>
    %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<16x16xf32>) -> tensor<16x16xf32>
    %next = linalg.matmul ins(%power, %x : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>)
      -> tensor<16x16xf32>
    scf.yield %next : tensor<16x16xf32>
  }
  return %r : tensor<16x16xf32>
}

// What a reduction sums is not its input but something computed from it.
func.func @sums(%x: tensor<4x37xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
  %exponentials = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : tensor<4x37xf32>) outs(%init : tensor<4xf32>) {
  ^bb0(%a: f32, %sum: f32):
    %exp = math.exp %a : f32
    %next = arith.addf %sum, %exp : f32
    linalg.yield %next : f32
  } -> tensor<4xf32>
  %squares = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : tensor<4x37xf32>) outs(%init : tensor<4xf32>) {
  ^bb0(%a: f32, %sum: f32):
    %square = arith.mulf %a, %a : f32
    %next = arith.addf %square, %sum : f32
    linalg.yield %next : f32
  } -> tensor<4xf32>
  return %exponentials, %squares : tensor<4xf32>, tensor<4xf32>
}

// A contraction as linalg sees it, with a function of one factor: sum_k exp(x[i, k]) * -x[k, j].
func.func @products(%x: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<16x16xf32>) -> tensor<16x16xf32>
  %r = linalg.generic {
      indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %x : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %exp = math.exp %a : f32
    %minus = arith.negf %b : f32
    %product = arith.mulf %exp, %minus : f32
    %next = arith.addf %sum, %product : f32
    linalg.yield %next : f32
  } -> tensor<16x16xf32>
  return %r : tensor<16x16xf32>
}

// Booleans that are written as rows and read as columns.
func.func @booleans(%x: tensor<4x37xf32>) -> (tensor<37x4xi1>, tensor<4x37xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x37xi1>
  %positive = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x37xf32>) outs(%empty : tensor<4x37xi1>) {
  ^bb0(%a: f32, %out: i1):
    %is_positive = arith.cmpf ogt, %a, %zero : f32
    linalg.yield %is_positive : i1
  } -> tensor<4x37xi1>
  %turned = tensor.empty() : tensor<37x4xi1>
  %columns = linalg.transpose ins(%positive : tensor<4x37xi1>) outs(%turned : tensor<37x4xi1>) permutation = [1, 0]
  %floats = tensor.empty() : tensor<4x37xf32>
  %kept = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%x, %columns : tensor<4x37xf32>, tensor<37x4xi1>) outs(%floats : tensor<4x37xf32>) {
  ^bb0(%a: f32, %is_kept: i1, %out: f32):
    %r = arith.select %is_kept, %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<4x37xf32>
  return %columns, %kept : tensor<37x4xi1>, tensor<4x37xf32>
}

func.func @backwards(%x: tensor<4x37xf32>) -> tensor<4x37xf32> {
  %empty = tensor.empty() : tensor<4x37xf32>
  %r = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, 36 - j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x37xf32>) outs(%empty : tensor<4x37xf32>) {
  ^bb0(%a: f32, %out: f32):
    linalg.yield %a : f32
  } -> tensor<4x37xf32>
  return %r : tensor<4x37xf32>
}

// The innermost dimension has one element, so vectors have a unit dimension.
func.func @column(%x: tensor<4x37x1xf32>) -> tensor<4x37x1xf32> {
  %empty = tensor.empty() : tensor<4x37x1xf32>
  %r = linalg.exp ins(%x : tensor<4x37x1xf32>) outs(%empty : tensor<4x37x1xf32>) -> tensor<4x37x1xf32>
  return %r : tensor<4x37x1xf32>
}
