// RMS norms with kept unit dimensions, and products of few rows with weights as PyTorch stores them, [out, in].
//
// RUN: gqa-compile %s -o %t.so
// RUN: %python %S/Inputs/norms.py %t
// RUN: gqa-run %t.so --function rms_norm --input @%t.x.npy --expect @%t.norm.npy --atol 1e-5
// RUN: gqa-run %t.so --function linear --input @%t.x1.npy --input @%t.w.npy --expect @%t.y1.npy --atol 1e-4
// RUN: gqa-run %t.so --function linear --input @%t.x5.npy --input @%t.w.npy --expect @%t.y5.npy --atol 1e-4
// RUN: gqa-run %t.so --function linear --input @%t.x0.npy --input @%t.w.npy --expect @%t.y0.npy
// RUN: gqa-run %t.so --function linear_of_one --input @%t.x1.npy --input @%t.w.npy --expect @%t.y1.npy --atol 1e-4
// RUN: gqa-run %t.so --function lowest --input @%t.matrix.npy --expect @%t.lowest.npy

func.func @rms_norm(%x: tensor<1x5x203xf32>) -> tensor<1x5x203xf32> {
  %zero = arith.constant 0.0 : f32
  %count = arith.constant 203.0 : f32
  %two = arith.constant 2 : i64
  %empty = tensor.empty() : tensor<1x5x203xf32>
  %column = tensor.empty() : tensor<1x5x1xf32>
  %init = linalg.fill ins(%zero : f32) outs(%column : tensor<1x5x1xf32>) -> tensor<1x5x1xf32>
  %sum = linalg.generic {indexing_maps = [affine_map<(b, i, j) -> (b, i, j)>, affine_map<(b, i, j) -> (b, i, 0)>],
                         iterator_types = ["parallel", "parallel", "reduction"]}
    ins(%x : tensor<1x5x203xf32>) outs(%init : tensor<1x5x1xf32>) {
  ^bb0(%a: f32, %o: f32):
    %p = math.fpowi %a, %two : f32, i64
    %s = arith.addf %p, %o : f32
    linalg.yield %s : f32
  } -> tensor<1x5x1xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(b, i, j) -> (b, i, j)>, affine_map<(b, i, j) -> (b, i, 0)>,
                                        affine_map<(b, i, j) -> (b, i, j)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%x, %sum : tensor<1x5x203xf32>, tensor<1x5x1xf32>) outs(%empty : tensor<1x5x203xf32>) {
  ^bb0(%a: f32, %s: f32, %o: f32):
    %mean = arith.divf %s, %count : f32
    %root = math.rsqrt %mean : f32
    %n = arith.mulf %a, %root : f32
    linalg.yield %n : f32
  } -> tensor<1x5x203xf32>
  return %r : tensor<1x5x203xf32>
}

func.func @linear(%x: tensor<?x203xf32>, %w: tensor<71x203xf32>) -> tensor<?x71xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %rows = tensor.dim %x, %c0 : tensor<?x203xf32>
  %e = tensor.empty() : tensor<203x71xf32>
  %t = linalg.transpose ins(%w : tensor<71x203xf32>) outs(%e : tensor<203x71xf32>) permutation = [1, 0]
  %empty = tensor.empty(%rows) : tensor<?x71xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x71xf32>) -> tensor<?x71xf32>
  %r = linalg.matmul ins(%x, %t : tensor<?x203xf32>, tensor<203x71xf32>) outs(%init : tensor<?x71xf32>) -> tensor<?x71xf32>
  return %r : tensor<?x71xf32>
}

func.func @linear_of_one(%x: tensor<1x203xf32>, %w: tensor<71x203xf32>) -> tensor<1x71xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<203x71xf32>
  %t = linalg.transpose ins(%w : tensor<71x203xf32>) outs(%e : tensor<203x71xf32>) permutation = [1, 0]
  %empty = tensor.empty() : tensor<1x71xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x71xf32>) -> tensor<1x71xf32>
  %r = linalg.matmul ins(%x, %t : tensor<1x203xf32>, tensor<203x71xf32>) outs(%init : tensor<1x71xf32>) -> tensor<1x71xf32>
  return %r : tensor<1x71xf32>
}

// The neutral element of maxnumf is NaN, which must not reach a result.
func.func @lowest(%x: tensor<5x203xf32>) -> tensor<5xf32> {
  %high = arith.constant 0x7F800000 : f32
  %e = tensor.empty() : tensor<5xf32>
  %init = linalg.fill ins(%high : f32) outs(%e : tensor<5xf32>) -> tensor<5xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
                       iterator_types = ["parallel", "reduction"]} ins(%x : tensor<5x203xf32>) outs(%init : tensor<5xf32>) {
  ^bb0(%a: f32, %o: f32):
    %m = arith.minnumf %a, %o : f32
    linalg.yield %m : f32
  } -> tensor<5xf32>
  return %r : tensor<5xf32>
}
