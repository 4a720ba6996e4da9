// Two query heads that share a key head, decoding one position over four keys.
func.func @attention(%q: tensor<2x16xf32>, %k: tensor<4x16xf32>, %v: tensor<4x16xf32>) -> tensor<2x16xf32> {
  %init = tensor.empty() : tensor<2x16xf32>
  %o = gqa.attention scale 0.25
    query(%q[g, dqk] : tensor<2x16xf32>)
    key(%k[n, dqk] : tensor<4x16xf32>)
    value(%v[n, dv] : tensor<4x16xf32>)
    outs(%init[g, dv] : tensor<2x16xf32>)
  return %o : tensor<2x16xf32>
}
