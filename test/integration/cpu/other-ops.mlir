// Ops beside attention that have no vector form, or a form of their own: a search for the index of a maximum, a window,
// a softmax, functions of libm, a loop around tensors. NumPy says what they give.
//
// RUN: gqa-compile %s -o %t.so
// RUN: %python %S/Inputs/other-ops.py %t
// RUN: gqa-run %t.so --function argmax --input @%t.x.npy --expect @%t.max.npy --expect @%t.index.npy
// RUN: gqa-run %t.so --function maximum_of_windows --input @%t.image.npy --expect @%t.windows.npy
// RUN: gqa-run %t.so --function softmax --input @%t.x.npy --expect @%t.softmax.npy --atol 1e-6
// RUN: gqa-run %t.so --function erf --input @%t.x.npy --expect @%t.erf.npy --atol 1e-6
// RUN: gqa-run %t.so --function erf_of_halves --input @%t.halves.npy --expect @%t.erf_of_halves.npy --atol 1e-3
// RUN: gqa-run %t.so --function power --input @%t.matrix.npy --expect @%t.power.npy --atol 1e-4

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
