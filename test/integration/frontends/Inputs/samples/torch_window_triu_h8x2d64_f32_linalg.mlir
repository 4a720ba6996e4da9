#map = affine_map<(d0) -> (d0)>
#map1 = affine_map<(d0, d1) -> (0, d1)>
#map2 = affine_map<(d0, d1) -> (d0, 0)>
#map3 = affine_map<(d0, d1) -> (d0, d1)>
#map4 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d3, d4)>
#map5 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>
#map6 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map7 = affine_map<(d0, d1, d2, d3) -> (d2, d3)>
#map8 = affine_map<(d0, d1, d2, d3) -> ()>
#map9 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
#map10 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>
module {
  func.func @attention(%arg0: tensor<2x8x20x64xf32>, %arg1: tensor<2x2x20x64xf32>, %arg2: tensor<2x2x20x64xf32>) -> tensor<2x8x20x64xf32> {
    %c-5_i64 = arith.constant -5 : i64
    %c0_i64 = arith.constant 0 : i64
    %cst = arith.constant 0.000000e+00 : f32
    %true = arith.constant true
    %cst_0 = arith.constant 0xFF800000 : f32
    %cst_1 = arith.constant dense<-1.000000e+09> : tensor<f32>
    %cst_2 = arith.constant dense<true> : tensor<20x20xi1>
    %cst_3 = arith.constant 1.250000e-01 : f32
    %0 = tensor.empty() : tensor<20xi64>
    %1 = linalg.generic {indexing_maps = [#map], iterator_types = ["parallel"]} outs(%0 : tensor<20xi64>) {
    ^bb0(%out: i64):
      %34 = linalg.index 0 : index
      %35 = arith.index_cast %34 : index to i64
      linalg.yield %35 : i64
    } -> tensor<20xi64>
    %expanded = tensor.expand_shape %1 [[0, 1]] output_shape [1, 20] : tensor<20xi64> into tensor<1x20xi64>
    %expanded_4 = tensor.expand_shape %1 [[0, 1]] output_shape [20, 1] : tensor<20xi64> into tensor<20x1xi64>
    %2 = tensor.empty() : tensor<20x20xi64>
    %3 = linalg.generic {indexing_maps = [#map1, #map2, #map3], iterator_types = ["parallel", "parallel"]} ins(%expanded, %expanded_4 : tensor<1x20xi64>, tensor<20x1xi64>) outs(%2 : tensor<20x20xi64>) {
    ^bb0(%in: i64, %in_12: i64, %out: i64):
      %34 = arith.subi %in, %in_12 : i64
      linalg.yield %34 : i64
    } -> tensor<20x20xi64>
    %4 = tensor.empty() : tensor<20x20xi1>
    %5 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel"]} ins(%3 : tensor<20x20xi64>) outs(%4 : tensor<20x20xi1>) {
    ^bb0(%in: i64, %out: i1):
      %34 = arith.cmpi sle, %in, %c0_i64 : i64
      linalg.yield %34 : i1
    } -> tensor<20x20xi1>
    %6 = linalg.generic {indexing_maps = [#map3, #map3, #map3], iterator_types = ["parallel", "parallel"]} ins(%5, %cst_2 : tensor<20x20xi1>, tensor<20x20xi1>) outs(%4 : tensor<20x20xi1>) {
    ^bb0(%in: i1, %in_12: i1, %out: i1):
      %34 = arith.andi %in, %in_12 : i1
      linalg.yield %34 : i1
    } -> tensor<20x20xi1>
    %7 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel"]} ins(%3 : tensor<20x20xi64>) outs(%4 : tensor<20x20xi1>) {
    ^bb0(%in: i64, %out: i1):
      %34 = arith.cmpi sge, %in, %c-5_i64 : i64
      linalg.yield %34 : i1
    } -> tensor<20x20xi1>
    %8 = linalg.generic {indexing_maps = [#map3, #map3, #map3], iterator_types = ["parallel", "parallel"]} ins(%7, %6 : tensor<20x20xi1>, tensor<20x20xi1>) outs(%4 : tensor<20x20xi1>) {
    ^bb0(%in: i1, %in_12: i1, %out: i1):
      %34 = arith.andi %in, %in_12 : i1
      linalg.yield %34 : i1
    } -> tensor<20x20xi1>
    %9 = tensor.empty() : tensor<2x2x4x20x64xf32>
    %10 = linalg.generic {indexing_maps = [#map4, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%arg1 : tensor<2x2x20x64xf32>) outs(%9 : tensor<2x2x4x20x64xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<2x2x4x20x64xf32>
    %collapsed = tensor.collapse_shape %10 [[0], [1, 2], [3], [4]] : tensor<2x2x4x20x64xf32> into tensor<2x8x20x64xf32>
    %11 = tensor.empty() : tensor<2x8x64x20xf32>
    %transposed = linalg.transpose ins(%collapsed : tensor<2x8x20x64xf32>) outs(%11 : tensor<2x8x64x20xf32>) permutation = [0, 1, 3, 2] 
    %collapsed_5 = tensor.collapse_shape %arg0 [[0, 1], [2], [3]] : tensor<2x8x20x64xf32> into tensor<16x20x64xf32>
    %collapsed_6 = tensor.collapse_shape %transposed [[0, 1], [2], [3]] : tensor<2x8x64x20xf32> into tensor<16x64x20xf32>
    %12 = tensor.empty() : tensor<16x20x20xf32>
    %13 = linalg.fill ins(%cst : f32) outs(%12 : tensor<16x20x20xf32>) -> tensor<16x20x20xf32>
    %14 = linalg.batch_matmul ins(%collapsed_5, %collapsed_6 : tensor<16x20x64xf32>, tensor<16x64x20xf32>) outs(%13 : tensor<16x20x20xf32>) -> tensor<16x20x20xf32>
    %expanded_7 = tensor.expand_shape %14 [[0, 1], [2], [3]] output_shape [2, 8, 20, 20] : tensor<16x20x20xf32> into tensor<2x8x20x20xf32>
    %15 = tensor.empty() : tensor<2x8x20x20xf32>
    %16 = linalg.generic {indexing_maps = [#map6, #map6], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_7 : tensor<2x8x20x20xf32>) outs(%15 : tensor<2x8x20x20xf32>) {
    ^bb0(%in: f32, %out: f32):
      %34 = arith.mulf %in, %cst_3 : f32
      linalg.yield %34 : f32
    } -> tensor<2x8x20x20xf32>
    %17 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel"]} ins(%8 : tensor<20x20xi1>) outs(%4 : tensor<20x20xi1>) {
    ^bb0(%in: i1, %out: i1):
      %34 = arith.xori %in, %true : i1
      linalg.yield %34 : i1
    } -> tensor<20x20xi1>
    %18 = linalg.generic {indexing_maps = [#map7, #map8, #map6, #map6], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%17, %cst_1, %16 : tensor<20x20xi1>, tensor<f32>, tensor<2x8x20x20xf32>) outs(%15 : tensor<2x8x20x20xf32>) {
    ^bb0(%in: i1, %in_12: f32, %in_13: f32, %out: f32):
      %34 = arith.select %in, %in_12, %in_13 : f32
      linalg.yield %34 : f32
    } -> tensor<2x8x20x20xf32>
    %19 = tensor.empty() : tensor<2x8x20xi64>
    %20 = linalg.fill ins(%c0_i64 : i64) outs(%19 : tensor<2x8x20xi64>) -> tensor<2x8x20xi64>
    %21 = tensor.empty() : tensor<2x8x20xf32>
    %22 = linalg.fill ins(%cst_0 : f32) outs(%21 : tensor<2x8x20xf32>) -> tensor<2x8x20xf32>
    %23:2 = linalg.generic {indexing_maps = [#map6, #map9, #map9], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%18 : tensor<2x8x20x20xf32>) outs(%22, %20 : tensor<2x8x20xf32>, tensor<2x8x20xi64>) {
    ^bb0(%in: f32, %out: f32, %out_12: i64):
      %34 = linalg.index 3 : index
      %35 = arith.index_cast %34 : index to i64
      %36 = arith.maximumf %in, %out : f32
      %37 = arith.cmpf ogt, %in, %out : f32
      %38 = arith.select %37, %35, %out_12 : i64
      linalg.yield %36, %38 : f32, i64
    } -> (tensor<2x8x20xf32>, tensor<2x8x20xi64>)
    %expanded_8 = tensor.expand_shape %23#0 [[0], [1], [2, 3]] output_shape [2, 8, 20, 1] : tensor<2x8x20xf32> into tensor<2x8x20x1xf32>
    %24 = linalg.generic {indexing_maps = [#map6, #map10, #map6], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%18, %expanded_8 : tensor<2x8x20x20xf32>, tensor<2x8x20x1xf32>) outs(%15 : tensor<2x8x20x20xf32>) {
    ^bb0(%in: f32, %in_12: f32, %out: f32):
      %34 = arith.subf %in, %in_12 : f32
      linalg.yield %34 : f32
    } -> tensor<2x8x20x20xf32>
    %25 = linalg.generic {indexing_maps = [#map6, #map6], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%24 : tensor<2x8x20x20xf32>) outs(%15 : tensor<2x8x20x20xf32>) {
    ^bb0(%in: f32, %out: f32):
      %34 = math.exp %in : f32
      linalg.yield %34 : f32
    } -> tensor<2x8x20x20xf32>
    %26 = tensor.empty() : tensor<2x8x20x1xf32>
    %27 = linalg.fill ins(%cst : f32) outs(%26 : tensor<2x8x20x1xf32>) -> tensor<2x8x20x1xf32>
    %28 = linalg.generic {indexing_maps = [#map6, #map10], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%25 : tensor<2x8x20x20xf32>) outs(%27 : tensor<2x8x20x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %34 = arith.addf %in, %out : f32
      linalg.yield %34 : f32
    } -> tensor<2x8x20x1xf32>
    %29 = linalg.generic {indexing_maps = [#map6, #map10, #map6], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%25, %28 : tensor<2x8x20x20xf32>, tensor<2x8x20x1xf32>) outs(%15 : tensor<2x8x20x20xf32>) {
    ^bb0(%in: f32, %in_12: f32, %out: f32):
      %34 = arith.divf %in, %in_12 : f32
      linalg.yield %34 : f32
    } -> tensor<2x8x20x20xf32>
    %30 = linalg.generic {indexing_maps = [#map4, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%arg2 : tensor<2x2x20x64xf32>) outs(%9 : tensor<2x2x4x20x64xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<2x2x4x20x64xf32>
    %collapsed_9 = tensor.collapse_shape %29 [[0, 1], [2], [3]] : tensor<2x8x20x20xf32> into tensor<16x20x20xf32>
    %collapsed_10 = tensor.collapse_shape %30 [[0, 1, 2], [3], [4]] : tensor<2x2x4x20x64xf32> into tensor<16x20x64xf32>
    %31 = tensor.empty() : tensor<16x20x64xf32>
    %32 = linalg.fill ins(%cst : f32) outs(%31 : tensor<16x20x64xf32>) -> tensor<16x20x64xf32>
    %33 = linalg.batch_matmul ins(%collapsed_9, %collapsed_10 : tensor<16x20x20xf32>, tensor<16x20x64xf32>) outs(%32 : tensor<16x20x64xf32>) -> tensor<16x20x64xf32>
    %expanded_11 = tensor.expand_shape %33 [[0, 1], [2], [3]] output_shape [2, 8, 20, 64] : tensor<16x20x64xf32> into tensor<2x8x20x64xf32>
    return %expanded_11 : tensor<2x8x20x64xf32>
  }
}
