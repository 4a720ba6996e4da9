// RUN: gqa-opt %s --gqa-gpu-distribute --verify-diagnostics --split-input-file

func.func @odd(%s: !llvm.ptr<3>) {
  // expected-error@below {{a warp cannot hold a tile of type 'tensor<12x16xf32>'}}
  %x = gqa_gpu.get_tile %s : <3> -> tensor<12x16xf32>
  return
}

// -----

func.func @columns(%s: !llvm.ptr<3>, %o: !llvm.ptr<3>) {
  %x = gqa_gpu.get_tile %s : <3> -> tensor<16x16xf32>
  %empty = tensor.empty() : tensor<16x16xf32>
  // expected-error@below {{operands must be in registers and have the leading dimensions of the result}}
  %y = linalg.generic {indexing_maps = [affine_map<(m, n) -> (n, m)>, affine_map<(m, n) -> (m, n)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<16x16xf32>) outs(%empty : tensor<16x16xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<16x16xf32>
  gqa_gpu.put_tile %y to %o : tensor<16x16xf32>, <3>
  return
}

// -----

func.func @unknown(%s: !llvm.ptr<3>) {
  %x = gqa_gpu.get_tile %s : <3> -> tensor<16x16xf32>
  // expected-error@below {{'tensor.cast' op cannot be distributed over the lanes of a warp}}
  %y = tensor.cast %x : tensor<16x16xf32> to tensor<?x16xf32>
  return
}
